"""Reading of sentences and their translations: lines with a tab, or two columns of a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from fastgru_recipes import read_files, read_table, separated
from fastgru_recipes.errors import DataError
from fastgru_recipes.option_names import given, named
from fastgru_recipes.read_table import USUAL, TableFormat

COLUMNS = ("source", "target")  # of a table, if no others are named


@dataclass(frozen=True)
class Pairs:
    """Sentences and their translations.

    Attributes:
        sources: the sentences.
        targets: their translations; None for prediction.
        keys: (N, K), what tells the pairs apart in their file: other columns of a table.
    """

    sources: Sequence[str]
    targets: Sequence[str] | None
    keys: pd.DataFrame | None = field(default=None, compare=False)


def read(path: Path | str, columns: Sequence[str], with_targets: bool, how: TableFormat = USUAL) -> Pairs:
    """Reads pairs.

    Args:
        path: a table (CSV, JSON lines, Parquet, or any file if `columns` are named), or lines with a sentence, one tab
            and its translation. In the latter quotes are ordinary characters.
        columns: two columns, by name, or by number from 1 in a file without names. Empty for "source" and "target" of a
            table.
        with_targets: whether translations are needed. If not, a line may have a sentence alone.
        how: the separator and the encoding of the file.

    Raises:
        DataError: for a line without a sentence or its translation, with its number.
    """
    if columns and all(each.isdecimal() for each in columns) and read_files.kind(path) not in read_files.EXCEL:
        return _numbered(path, [int(each) for each in columns], with_targets, how)
    if columns or read_table.is_table(path):
        return _named(path, columns or COLUMNS, with_targets, how)
    return _lines(path, with_targets, how.encoding)


def _named(path: Path | str, columns: Sequence[str], with_targets: bool, how: TableFormat) -> Pairs:
    if (
        read_files.kind(path) not in (".csv", ".tsv", ".parquet", *read_files.EXCEL, *read_files.JSON_LINES)
        and not how.separator
    ):
        how = TableFormat("tab", how.decimal, how.encoding)
    table = read_table.table(path, how, texts=columns, beside=columns[0])
    needed = list(columns) if with_targets else [columns[0]]
    read_table.require_columns(path, table, needed, _hint())
    for column in needed:
        for line, text in zip(table.index, table[column], strict=True):
            if not isinstance(text, str) or not text.strip():
                found = "is empty" if pd.isna(text) or text == "" else f"holds {text!r}"
                raise DataError(
                    f"{path}, line {line}, column {column!r} {found}. Write a sentence, or remove the line."
                )
    sides = [[text.strip() for text in table[column]] for column in needed]
    keys = table.drop(columns=list(columns), errors="ignore").reset_index(drop=True)
    return Pairs(sides[0], sides[1] if with_targets else None, keys)


def _hint() -> str:
    names, numbers = given("columns", "source,target"), given("columns", "1,2")
    return f"Name the two with {names}; without names in the file by number, {numbers}."


def _numbered(path: Path | str, columns: Sequence[int], with_targets: bool, how: TableFormat) -> Pairs:
    """Columns of lines without names. Quotes are ordinary characters, as between tabs."""
    if min(columns) < 1:
        raise DataError(f"columns {columns[0]},{columns[1]}: numbers of columns begin at 1.")
    mark = separated.named(how.separator) or "\t"
    needed = columns if with_targets else columns[:1]
    sides: list[list[str]] = [[] for _ in needed]
    for number, line in read_files.lines(path, how.encoding):
        parts = line.split(mark)
        for side, column in zip(sides, needed, strict=True):
            text = parts[column - 1].strip() if column <= len(parts) else ""
            if not text:
                raise DataError(
                    f"{path}, line {number} has no text in column {column} of {len(parts)} (separated by "
                    f"{separated.named_as(mark)}): {line[:60]!r}. Give other columns with {named('columns')}, or "
                    f"another {named('separator')}."
                )
            side.append(text)
    return Pairs(sides[0], sides[1] if with_targets else None)


def _lines(path: Path | str, with_targets: bool, encoding: str) -> Pairs:
    sources, targets = [], []
    for number, line in read_files.lines(path, encoding):
        parts = [part.strip() for part in line.split("\t")]
        if with_targets and (len(parts) != 2 or not all(parts)):
            found = "no tab" if len(parts) == 1 else f"{len(parts) - 1} tabs" if len(parts) > 2 else "an empty side"
            raise DataError(
                f"{path}, line {number} has {found}: {line[:60]!r}. Each line must be a sentence, one tab, and its "
                f"translation. Name other columns with {given('columns', '1,3')}."
            )
        if not parts[0]:
            raise DataError(f"{path}, line {number} has no sentence before the tab. Remove it.")
        sources.append(parts[0])
        targets += parts[1:2]
    return Pairs(sources, targets if with_targets else None)
