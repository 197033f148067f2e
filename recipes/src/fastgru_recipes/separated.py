"""The rules of tables with a separator: which one it is, quotes, and lines with too many fields."""

from __future__ import annotations

import csv
import io
import re
import warnings
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import pandas as pd

from fastgru_recipes.errors import DataError
from fastgru_recipes.option_names import given
from fastgru_recipes.option_names import named as name_of_option

NAMES = {"tab": "\t", "\\t": "\t", "space": " ", "comma": ",", "semicolon": ";", "pipe": "|"}
CANDIDATES = (",", ";", "\t", "|")
SAMPLE = 50  # lines that tell the separator


def named(separator: str) -> str:
    """The separator that a name such as "tab" stands for; "" is unknown.

    Raises:
        DataError: for a text of several characters that is no such name.
    """
    found = NAMES.get(separator, separator)
    if len(found) > 1 or found in ('"', "\n", "\r"):
        raise DataError(f"{given('separator', separator)} is not one character. Give one such as ';', or tab or space.")
    return found


def hinted(content: str) -> tuple[str, str]:
    r"""The separator in a first line such as "sep=;", which spreadsheets write, and the content after it; "" if none.

    Example:
        >>> from fastgru_recipes.separated import hinted
        >>> hinted("sep=;\na;b\n")
        (';', 'a;b\n')
    """
    found = re.match(r'"?sep=([^"\n])"?\n', content)
    return (found[1], content[found.end() :]) if found else ("", content)


def separator(content: str, default: str) -> str:
    r"""The separator of a table: the default, unless only another one divides all lines into as many columns.

    Example:
        >>> from fastgru_recipes.separated import separator
        >>> separator("time;value\n2024;1,5\n2025;2,5\n", ",")
        ';'
        >>> separator("text\none; two\nthree\n", ",")
        ','
    """
    if _widths(content, default)[0] > 1:
        return default
    for each in CANDIDATES:
        if (widths := _widths(content, each))[0] > 1 and len({*widths}) == 1:
            return each
    return default


def _widths(content: str, mark: str) -> list[int]:
    """The numbers of fields of the first rows."""
    return [len(row) for row in islice(_rows(content[:100_000], mark), SAMPLE)] or [0]


def _rows(content: str, mark: str) -> Any:
    return csv.reader(io.StringIO(content, newline=""), delimiter=mark, quoting=_quoting(mark))


def _quoting(mark: str) -> Any:
    return csv.QUOTE_NONE if mark == "\t" else csv.QUOTE_MINIMAL


def table(path: Path | str, content: str, mark: str, texts: Sequence[str] | None, beside: str = "") -> pd.DataFrame:
    """Reads a table whose columns are separated by `mark`.

    Args:
        path: the file, for messages.
        content: its text.
        mark: the separator. Several spaces in a row are one separator.
        texts: columns to be read as texts; None for all.
        beside: a column; if the table has it, all columns are read as texts.

    Raises:
        DataError: for quotes that are not closed, lines with more fields than names, and names that occur twice.
    """
    is_spaced = mark not in ("\t", " ") and bool(re.match(rf"[^\n]*{re.escape(mark)} ", content))
    if mark != "\t":
        _require_whole_quotes(content, path, mark, is_spaced)
    how: dict[str, Any] = {"sep": r"\s+" if mark == " " else mark, "quoting": _quoting(mark)}
    how |= {"skipinitialspace": is_spaced}
    try:
        names = pd.read_csv(io.StringIO(content), header=None, nrows=1, dtype=str, **how).iloc[0]
        all_texts = texts is None or beside in [*names.dropna().str.strip()]
        kinds = str if all_texts else {name: str for name in names.dropna() if name.strip() in (texts or ())}
        how |= {"keep_default_na": False, "na_values": [""], "index_col": False, "skip_blank_lines": False}
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # for lines with more fields than the header
            found = pd.read_csv(io.StringIO(content), dtype=kinds, **how)
    except (pd.errors.ParserWarning, pd.errors.ParserError) as error:
        raise _not_a_table(path, content, mark, error) from error
    _require_names(path, names, mark)
    return found.set_axis([str(name).strip() for name in found.columns], axis=1)


def _not_a_table(path: Path | str, content: str, mark: str, error: Exception) -> DataError:
    rows = _rows(content, mark)
    first = next(rows)
    for row in rows:
        if len(row) > len(first) and first[0].startswith("#"):
            return DataError(f"{path}, line 1 is a comment: {first[0][:60]!r}. Remove what comes before the names.")
        if len(row) > len(first) and mark != " ":
            return DataError(
                f"{path}, line {rows.line_num} has {len(row)} fields, more than the first line has names "
                f"({len(first)}). Check separators: {named_as(mark)} was used; in CSV put fields that contain it into "
                f"quotes, or give another separator with {name_of_option('separator')}."
            )
    return DataError(f"{path} is not a table: {str(error).strip()}. Check quotes and separators.")


def named_as(mark: str) -> str:
    r"""A separator in words.

    Example:
        >>> from fastgru_recipes.separated import named_as
        >>> named_as("\t"), named_as(";")
        ('a tab', "';'")
    """
    return {"\t": "a tab", " ": "a space"}.get(mark, repr(mark))


def _require_names(path: Path | str, names: pd.Series, mark: str) -> None:
    stripped = names.dropna().str.strip()
    if (twice := stripped[stripped.duplicated()]).size:
        raise DataError(f"{path} has two columns {twice.iloc[0]!r}. Rename or remove one.")
    if mark == "\t" and stripped.size and stripped.str.fullmatch(r'".*"').all():
        raise DataError(
            f"{path} has column names in quotes, {', '.join(stripped)}; in TSV quotes are part of the text. Write it "
            "without quotes, or as CSV."
        )


def _require_whole_quotes(content: str, path: Path | str, mark: str, is_spaced: bool) -> None:
    """Raises if a field of CSV begins with a quote and does not end with one: parsers would drop it or join lines."""
    mark, space = re.escape(mark), " ?" if is_spaced else ""
    # A quoted field, and the characters after it.
    quoted = re.compile(rf'(?:^|(?<=[{mark}\n])){space}"((?:[^"]+|"")*)("?)([^{mark}\n]?)')
    for field in quoted.finditer(content):
        _, closing, rest = field.groups()
        if rest or not closing:
            wrong = "goes on after the closing one" if closing else "is never closed"
            shown = content[field.start() :].split("\n", 1)[0][:60]
            raise DataError(
                f"{path}, line {content.count(chr(10), 0, field.start()) + 1}: a field begins with a quote that "
                f'{wrong}: {shown!r}. Put the whole field into quotes, with "" for each quote in it, or write TSV.'
            )
