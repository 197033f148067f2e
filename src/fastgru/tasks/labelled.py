"""Sequences with labels: where they come from, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fastgru.errors import DataError
from fastgru.tasks import reading

Label = str | int | float | bool


@dataclass(frozen=True)
class Labelled:
    """Sequences with a label each.

    Attributes:
        sequences: texts, or arrays (T, F).
        labels: one for each; None for prediction.
    """

    sequences: Sequence[str] | Sequence[NDArray[np.float32]]
    labels: Sequence[Label] | None

    @property
    def is_text(self) -> bool:
        """Whether the sequences are texts."""
        return len(self.sequences) > 0 and isinstance(self.sequences[0], str)

    def part(self, indices: Sequence[int]) -> Labelled:
        """Some of the sequences."""
        labels = None if self.labels is None else [self.labels[index] for index in indices]
        return Labelled([self.sequences[index] for index in indices], labels)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Columns:
    """Names of the columns that mean something; all others are features."""

    text: str
    label: str
    series: str


def read(path: Path, columns: Columns, with_labels: bool) -> Labelled:
    """JSON lines or a table with texts; a long table of series; or a folder LABEL/SERIES.csv of them.

    Raises:
        DataError: naming file and line or column, for what cannot be learned from.
    """
    if path.is_dir():
        return _read_folder(path)
    if path.suffix == ".jsonl":
        numbers, rows = zip(*reading.json_lines(path), strict=True)
        table = pd.DataFrame(rows, index=numbers)
    else:
        table = reading.table(path, texts=(columns.text, columns.label))
    return _from_table(table, columns, with_labels, path)


def _from_table(table: pd.DataFrame, columns: Columns, with_labels: bool, path: Path) -> Labelled:
    is_text = columns.text in table.columns
    needed = [columns.text if is_text else columns.series] + [columns.label] * with_labels
    reading.require_columns(path, table, needed)
    if not len(table):
        raise DataError(f"{path} has no rows. Give at least one sequence for each label.")
    if with_labels and (empty := table.index[table[columns.label].isna()]).size:
        raise DataError(f"{path}, line {empty[0]}: the label is missing. Fill it in or remove the line.")
    if not is_text:
        return _from_long(table, columns, with_labels, path)
    texts = table[columns.text]
    blank = table.index[[not isinstance(text, str) or not text.strip() for text in texts]]
    if blank.size:
        raise DataError(f"{path}, line {blank[0]}: the text is empty, or no text. Remove the line.")
    return Labelled(list(texts), [str(label) for label in table[columns.label]] if with_labels else None)


def _from_long(table: pd.DataFrame, columns: Columns, with_labels: bool, path: Path) -> Labelled:
    features = table.drop(columns=[columns.series, columns.label], errors="ignore")
    sequences, labels = [], []
    for name, rows in table.groupby(columns.series, sort=False):
        sequences.append(_numbers(features.loc[rows.index], path))
        if with_labels:
            kinds = rows[columns.label].astype(str).unique()
            if len(kinds) > 1:
                raise DataError(f"{path}: series {name!r} has the labels {', '.join(kinds)}. Give it one.")
            labels.append(str(kinds[0]))
    return Labelled(sequences, labels if with_labels else None)


def _read_folder(path: Path) -> Labelled:
    files = sorted(file for file in path.rglob("*") if file.suffix in (".csv", ".tsv", ".parquet"))
    if not files:
        raise DataError(f"{path} holds no .csv, .tsv or .parquet files. Lay the series out as LABEL/SERIES.csv.")
    tables = [reading.table(file) for file in files]
    for file, table in zip(files, tables, strict=True):
        if list(table.columns) != list(tables[0].columns):
            raise DataError(
                f"{file} has the columns {', '.join(table.columns)}, but {files[0]} has "
                f"{', '.join(tables[0].columns)}. All series need the same ones."
            )
    sequences = [_numbers(table, file) for file, table in zip(files, tables, strict=True)]
    return Labelled(sequences, [file.parent.name for file in files])


def _numbers(table: pd.DataFrame, path: Path) -> NDArray[np.float32]:
    for column in table.columns:
        values = pd.to_numeric(table[column], errors="coerce")
        bad = table.index[~np.isfinite(values.to_numpy(np.float64))]
        if bad.size:
            raise DataError(
                f"{path}, line {bad[0]}, column {column!r}: {table[column].loc[bad[0]]!r} is no finite number. "
                "Fill it in, or leave the series out."
            )
    array: NDArray[np.float32] = table.to_numpy(np.float32)
    return array
