"""Reading of texts and series with labels."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fastgru_recipes import numerals, read_files, read_table
from fastgru_recipes.errors import DataError
from fastgru_recipes.option_names import named
from fastgru_recipes.read_table import USUAL, TableFormat

Label = str | int | float | bool
UNNAMED = re.compile(r"Unnamed: \d+(_level_\d+)?$")
LARGEST_NUMBER = float(np.finfo(np.float32).max)  # in a series


@dataclass(frozen=True)
class Labelled:
    """Sequences with labels.

    Attributes:
        sequences: texts, or arrays (T, F).
        labels: one for each sequence; None for prediction.
        features: names of the F columns; empty if arrays have none.
        keys: (N, K), what tells the sequences apart in their file: names of series, or columns beside texts and labels.
        weights: how much each sequence counts in training; None if all count the same.
    """

    sequences: Sequence[str] | Sequence[NDArray[np.floating[Any]]]
    labels: Sequence[Label] | None
    features: tuple[str, ...] = ()
    keys: pd.DataFrame | None = field(default=None, compare=False)
    weights: Sequence[float] | None = None

    @property
    def is_text(self) -> bool:
        """Whether the sequences are texts."""
        return len(self.sequences) > 0 and isinstance(self.sequences[0], str)

    @property
    def texts(self) -> list[str]:
        """The sequences, which are texts."""
        return [str(text) for text in self.sequences]

    def part(self, indices: Sequence[int]) -> Labelled:
        """The sequences and labels at `indices`."""
        labels = None if self.labels is None else [self.labels[index] for index in indices]
        sequences: list[Any] = [self.sequences[index] for index in indices]
        keys = None if self.keys is None else self.keys.iloc[list(indices)].reset_index(drop=True)
        weights = None if self.weights is None else [self.weights[index] for index in indices]
        return replace(self, sequences=sequences, labels=labels, keys=keys, weights=weights)


@dataclass(frozen=True)
class LabelledColumns:
    """Names of the columns with a meaning; all others are features."""

    text: str
    label: str
    series: str


def read(path: Path | str, columns: LabelledColumns, with_labels: bool, how: TableFormat = USUAL) -> Labelled:
    """Reads texts from JSON lines or a table, or series from a long table or a folder LABEL/SERIES.csv.

    Raises:
        DataError: for data that cannot be used, with the file and the line or column.
    """
    if Path(path).is_dir():
        return _read_folder(Path(path), how)
    # Beside texts there are only keys, in which 007 is no number.
    texts = (columns.text, columns.label, columns.series)
    table = read_table.table(path, how, texts=texts, beside=columns.text)
    if read_files.kind(path) == ".parquet":
        if both := {*table.index.names} & {*table.columns}:
            raise DataError(f"{path} has {both.pop()!r} as a column and as an index. Rename or remove one.")
        table = table.reset_index(drop=table.index.names == [None])  # names in the index are columns
    return _from_table(table, columns, with_labels, path)


def _from_table(table: pd.DataFrame, columns: LabelledColumns, with_labels: bool, path: Path | str) -> Labelled:
    is_text = columns.text in table.columns
    if not is_text and columns.series not in table.columns:
        raise DataError(
            f"{path} has no column {columns.text!r} of texts, nor {columns.series!r} of series."
            f"{read_table.did_you_mean((columns.text, columns.series), table.columns)} Its columns are "
            f"{', '.join(map(repr, table.columns))}. Name one with {named('text_column')} or {named('series_column')}."
        )
    key = columns.text if is_text else columns.series
    read_table.require_columns(path, table, [key] + [columns.label] * with_labels)
    if not len(table):
        raise DataError(f"{path} has no rows. Give at least one sequence for each label.")
    if is_text and columns.series in table.columns:
        _require_no_numbers(table, columns, path)
    labels = _labels(table, columns.label, path) if with_labels else None
    if not is_text:
        return _from_long(table, labels, columns, path)
    for line, text in zip(table.index, table[key], strict=True):
        if not isinstance(text, str) or not text.strip():
            raise DataError(f"{path}, line {line}: the text is empty, or is not a text. Remove the line.")
    keys = table.drop(columns=[key, columns.label], errors="ignore").reset_index(drop=True)
    return Labelled(list(table[key]), labels, keys=keys)


def _labels(table: pd.DataFrame, column: str, path: Path | str) -> list[str]:
    for line, label in zip(table.index, table[column], strict=True):
        if isinstance(label, (list, dict)):
            raise DataError(f"{path}, line {line}: the label is {label!r}. Give one text or number.")
        if pd.isna(label) or not str(label).strip():
            raise DataError(f"{path}, line {line}: the label is missing. Fill it in or remove the line.")
    return [str(label).strip() for label in table[column]]


def _from_long(
    table: pd.DataFrame, labels: Sequence[str] | None, columns: LabelledColumns, path: Path | str
) -> Labelled:
    if (empty := table.index[table[columns.series].isna()]).size:
        raise DataError(f"{path}, line {empty[0]}: the series is missing in column {columns.series!r}. Fill it in.")
    features = table.drop(columns=[columns.series, columns.label], errors="ignore")
    _require_names(features, path)
    named = None if labels is None else pd.Series(labels, table.index)
    sequences, found, names = [], [], []
    for name, rows in table.groupby(table[columns.series].astype(str), sort=False):
        sequences.append(_numbers(features.loc[rows.index], path))
        names.append(name)
        if named is not None:
            kinds = named[rows.index].unique()
            if len(kinds) > 1:
                raise DataError(f"{path}: series {name} has the labels {', '.join(kinds)}. Give it one.")
            found.append(kinds[0])
    keys = pd.DataFrame({columns.series: names})
    return Labelled(sequences, None if named is None else found, tuple(map(str, features.columns)), keys)


def _read_folder(path: Path, how: TableFormat) -> Labelled:
    files = sorted(file for file in path.rglob("*") if read_files.kind(file) in read_files.TABLES)
    if not files:
        raise DataError(f"{path} holds no .csv, .tsv or .parquet files. Lay the series out as LABEL/SERIES.csv.")
    tables = [read_table.table(file, how) for file in files]
    _require_names(tables[0], files[0])
    for file, table in zip(files, tables, strict=True):
        if file.parent.parent != path:
            raise DataError(f"{file} is not laid out as LABEL/SERIES.csv within {path}. Move or remove it.")
        if list(table.columns) != list(tables[0].columns):
            raise DataError(
                f"{file} has the columns {', '.join(table.columns)}, but {files[0]} has "
                f"{', '.join(tables[0].columns)}. All series need the same ones."
            )
    sequences = [_numbers(table, file) for file, table in zip(files, tables, strict=True)]
    keys = pd.DataFrame({"file": [file.relative_to(path).as_posix() for file in files]})
    return Labelled(sequences, [file.parent.name for file in files], tuple(map(str, tables[0].columns)), keys)


def _require_no_numbers(table: pd.DataFrame, columns: LabelledColumns, path: Path | str) -> None:
    """Raises if a table has columns of texts and of series, and all texts are numbers, which may be a feature."""
    if pd.to_numeric(table[columns.text].astype(str), errors="coerce").notna().all():
        raise DataError(
            f"{path} has columns {columns.text!r} and {columns.series!r}, and {columns.text!r} holds only numbers: it "
            "may be texts, or a feature of series. Rename the column that is neither texts nor names of series, or "
            f"give their names with {named('text_column')} or {named('series_column')}."
        )


def _require_names(table: pd.DataFrame, path: Path | str) -> None:
    """Raises for a column without a name, which usually has row numbers and is not a feature."""
    if unnamed := [name for name in map(str, table.columns) if UNNAMED.match(name)]:
        raise DataError(
            f"{path} has a column without a name, which pandas calls {unnamed[0]!r}. Remove it if it numbers the "
            "rows (pandas leaves it out with index=False), or give it a name if it is a feature."
        )


def _numbers(table: pd.DataFrame, path: Path | str) -> NDArray[np.float64]:
    if not table.shape[1]:
        raise DataError(f"{path} has no columns of numbers besides the series and its label. Add some.")
    if not len(table):
        raise DataError(f"{path} has no rows. A series needs at least one step: remove it.")
    for column in table.columns:
        values = pd.to_numeric(table[column], errors="coerce").to_numpy(np.float64)
        bad = table.index[~(np.abs(values) <= LARGEST_NUMBER)]
        if bad.size:
            raise DataError(
                f"{path}, line {bad[0]}, column {column!r}: {_shown(table[column].loc[bad[0]])} is not a finite "
                f"number. Fill it in, or leave the series out.{numerals.remedy(table[column].loc[bad[0]])}"
            )
    array: NDArray[np.float64] = table.to_numpy(np.float64)
    return array


def _shown(value: object) -> str:
    return "an empty field" if pd.isna(value) else repr(value) if isinstance(value, str) else str(value)
