"""Reading of Excel files by openpyxl, an optional package. Texts stay texts; what a cell shows as a number is one."""

from __future__ import annotations

import io
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import pandas as pd

from fastgru.errors import not_installed
from fastgru_recipes import read_files
from fastgru_recipes.errors import DataError
from fastgru_recipes.option_names import given

EXTRA = "fastgru-recipes[excel]"


def read(path: Path | str, sheet: str, texts: Sequence[str], beside: str) -> pd.DataFrame:
    """Reads a sheet whose first row has the names of columns.

    Args:
        path: the file.
        sheet: the name of the sheet, or its number from 1; "" for the only one.
        texts: columns to be read as texts.
        beside: a column; if the sheet has it, all others are read as texts too.

    Returns:
        The table. Its index has the numbers of the rows.

    Raises:
        DataError: for a file that is no spreadsheet, a sheet that is not there, and rows that are empty.
        MissingExtra: if openpyxl is not installed.
    """
    if not find_spec("openpyxl"):
        raise not_installed("openpyxl", EXTRA, f"Reading {path}")
    try:
        with pd.ExcelFile(io.BytesIO(read_files.raw(path)), engine="openpyxl") as file:
            found = file.parse(_chosen(path, file, sheet), dtype=object, keep_default_na=False, na_values=[""])
    except DataError:
        raise
    except (BadZipFile, OSError, ValueError, KeyError, TypeError, AttributeError) as error:  # of openpyxl
        raise DataError(
            f"{path} cannot be read as an Excel file: {error}. Save it again, or save it as CSV."
        ) from error
    return _typed(path, _cut(path, found), [*found.columns] if beside in found else texts)


def _chosen(path: Path | str, file: Any, sheet: str) -> str:
    names = [str(name) for name in file.sheet_names]
    if sheet in names:
        return sheet
    if sheet.isdecimal() and 1 <= int(sheet) <= len(names):
        return names[int(sheet) - 1]
    shown = ", ".join(map(repr, names))
    if sheet:
        raise DataError(f"{path} has no sheet {sheet!r}. Its sheets are {shown}.")
    if len(names) > 1:
        raise DataError(f"{path} has {len(names)} sheets: {shown}. Choose one: {given('sheet', names[0])}.")
    return names[0]


def _cut(path: Path | str, found: pd.DataFrame) -> pd.DataFrame:
    """The rows and columns up to the last cell that is not empty."""
    found = found.set_axis([str(name).strip() for name in found.columns], axis=1)
    found = found.set_axis(range(2, len(found) + 2))
    is_filled = found.notna()
    named = [not name.startswith("Unnamed: ") or is_filled.iloc[:, place].any() for place, name in enumerate(found)]
    filled = found.index[is_filled.any(axis=1)]
    if not len(filled):
        raise DataError(f"{path} is empty. Give a sheet with names of columns in its first row, and rows below.")
    found = found.loc[: filled[-1], named]
    if (empty := found.index[found.isna().all(axis=1)]).size:
        raise DataError(f"{path}, line {empty[0]} is empty. Remove it.")
    return found


def _typed(path: Path | str, found: pd.DataFrame, texts: Sequence[str]) -> pd.DataFrame:
    """The table with texts, and with numbers and times where a column has nothing else."""
    columns = [
        found.iloc[:, place].map(_told, na_action="ignore") if name in texts else found.iloc[:, place].infer_objects()
        for place, name in enumerate(found)
    ]
    return pd.concat(columns, axis=1)


def _told(value: Any) -> str:
    """A cell as text: whole numbers without .0, and days without a time of the day."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).removesuffix(" 00:00:00")
