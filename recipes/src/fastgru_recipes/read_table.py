"""Reading of tables: CSV, TSV and others with a separator, JSON lines and Parquet. No other module knows how.

`separated.py` has the rules of separators and quotes, `numerals.py` those of numbers.
"""

from __future__ import annotations

import difflib
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from fastgru_recipes import numerals, read_files, separated, spreadsheets
from fastgru_recipes.errors import DataError
from fastgru_recipes.option_names import given, named

SPREADSHEETS = (".xls", ".ods", ".numbers")  # that are not read
WEB_PAGE = ("<!doctype html", "<html")


@dataclass(frozen=True)
class TableFormat:
    """How the numbers and columns of a text file are written.

    Attributes:
        separator: of the columns; "tab" and "space" are known by name, and "" is found from the file.
        decimal: the decimal separator of numbers; "auto" is a point, and an error where that is in doubt.
        encoding: of the characters.
        sheet: of an Excel file, by name or by number from 1; "" is the only one.
    """

    separator: str = ""
    decimal: numerals.Decimal = "auto"
    encoding: str = "utf-8"
    sheet: str = ""


USUAL = TableFormat()


def is_table(path: Path | str) -> bool:
    """Whether the extension is that of a table with names of columns in its first row, or of JSON lines."""
    return read_files.kind(path) in (".csv", ".parquet", *read_files.EXCEL, *read_files.JSON_LINES)


def table(
    path: Path | str,
    how: TableFormat = USUAL,
    texts: Sequence[str] = (),
    as_written: Sequence[str] = (),
    beside: str = "",
) -> pd.DataFrame:
    """Reads a CSV, TSV, JSON lines, Excel or Parquet file, possibly compressed (`.gz`, `.xz`, `.bz2`), or "-".

    In CSV a field may be in quotes, with "" for each quote inside; in TSV quotes are ordinary characters. Spaces around
    names of columns are not part of them.

    Args:
        path: the file.
        how: its separators and its encoding. A file with a separator given may have any extension.
        texts: columns to be read as text: 01 stays "01". In no column is "NA" a missing value.
        as_written: columns whose texts are not converted to numbers, such as times.
        beside: a column; if the table has it, no texts of the others are converted to numbers, either.

    Returns:
        The table. Its index has the line numbers of a text file or sheet, or is the index of a Parquet file.

    Raises:
        DataError: for a file that is no table, with the line.
    """
    ending = read_files.kind(path)
    if ending == ".parquet":
        return _parquet(path, texts)
    kept = [*texts, *as_written]
    if ending in read_files.JSON_LINES:
        numbers, rows = zip(*read_files.json_lines(path, how.encoding), strict=True)
        found = pd.DataFrame(rows, index=numbers)
        return _with_numbers(found, how, [*found.columns] if beside in found else kept)
    if ending in read_files.EXCEL:
        found = spreadsheets.read(path, how.sheet, kept, beside)
        return _with_numbers(found, how, [*found.columns] if beside in found else kept)
    if ending in SPREADSHEETS:
        raise DataError(f"{path} is a spreadsheet of another format than .xlsx. Save it as .xlsx or CSV.")
    if not (ending in read_files.SEPARATORS or how.separator or read_files.is_stdin(path)):
        read_files.require_file(path)
        raise DataError(
            f"{path} ends in {ending or 'nothing'}: cannot tell its format. Use .csv, .tsv, .jsonl (an object on each "
            f"line) or .parquet, or give the separator of its columns with {named('separator')}."
        )
    return _separated(path, how, kept, beside, read_files.SEPARATORS.get(ending, ","))


def _separated(path: Path | str, how: TableFormat, kept: Sequence[str], beside: str, usual: str) -> pd.DataFrame:
    content = read_files.text(path, how.encoding).rstrip("\n") + "\n"
    if content.lstrip()[:15].lower().startswith(WEB_PAGE):
        raise DataError(f"{path} is a web page, not a table. Download the file that it links to or tells of.")
    hint, content = separated.hinted(content)
    mark = separated.named(how.separator) or hint or separated.separator(content, usual)
    # pandas would read 1.234 as a number near one. Spreadsheets with decimal commas write semicolons, or copy tabs.
    is_point = how.decimal == "." or (how.decimal == "auto" and mark not in (";", "\t"))
    found = separated.table(path, content, mark, kept if is_point else None, beside)
    found = _numbered(found, path, first=3 if hint else 2)
    kept = [*found.columns] if beside in found else kept
    if how.decimal == "auto" and not is_point:
        _require_no_doubt(path, found, kept, may_be_fixed=mark == "\t")
    return _with_numbers(found, how, kept)


def _parquet(path: Path | str, texts: Sequence[str]) -> pd.DataFrame:
    try:
        found = pd.read_parquet(io.BytesIO(read_files.raw(path)))
    except (OSError, ValueError, KeyError) as error:  # pyarrow's errors derive from the first two
        reason = str(error).splitlines()[0].rstrip(".")
        raise DataError(f"{path} cannot be read as Parquet: {reason}. Get it again, or write it as CSV.") from error
    found = one_level(path, found)
    return found.astype({name: str for name in texts if name in found and found[name].notna().all()})


def _with_numbers(found: pd.DataFrame, how: TableFormat, kept: Sequence[str]) -> pd.DataFrame:
    """The table with texts that are numbers converted, in all columns except `kept`."""
    found = found.copy(deep=False)
    for name in [name for name in found if name not in kept and found[name].dtype in ("str", "object")]:
        found[name] = numerals.parsed(found[name], how.decimal)
    return found


def _require_no_doubt(path: Path | str, found: pd.DataFrame, kept: Sequence[str], may_be_fixed: bool) -> None:
    for name in [name for name in found if name not in kept]:
        if (place := numerals.in_doubt(found[name], may_be_fixed)) is not None:
            raise DataError(
                f"{path}, line {found.index[place]}, column {name!r}: {found[name].iloc[place]!r} may be a thousand or "
                f"a number near one. Give the decimal separator: {given('decimal', ',')} or {given('decimal', '.')}."
            )


def _numbered(found: pd.DataFrame, path: Path | str, first: int) -> pd.DataFrame:
    """The table with the line numbers of the file as index; `first` is that of the first row."""
    texts = [found[name].str for name in found if found[name].dtype in ("str", "object")]
    breaks = sum((each.count("\n").fillna(0).astype(int) for each in texts), start=pd.Series(0, found.index))
    found = found.set_axis([first + row + before for row, before in enumerate((breaks.cumsum() - breaks).tolist())])
    if (empty := found.index[found.isna().all(axis=1)]).size:
        raise DataError(f"{path}, line {empty[0]} is empty. Remove it.")
    return found


# ---- columns


def one_level(path: Path | str, found: pd.DataFrame) -> pd.DataFrame:
    """The table with a single level of column names. Raises if there are several levels."""
    if found.columns.nlevels > 1:
        raise DataError(
            f"{path} has columns of {found.columns.nlevels} levels, such as {found.columns[0]}. Give each column one "
            "name: table.columns = ['_'.join(map(str, names)) for names in table.columns]."
        )
    return found.set_axis(found.columns.get_level_values(0), axis=1)


def require_columns(path: Path | str, found: pd.DataFrame, needed: Sequence[str], hint: str = "") -> None:
    """Raises if a column is missing or appears twice. `hint` is a sentence for the first case."""
    if not found.columns.is_unique:
        raise DataError(f"{path} has two columns {found.columns[found.columns.duplicated()][0]!r}. Rename one.")
    missing = [column for column in needed if column not in found.columns]
    if missing:
        raise DataError(
            f"{path} has no column {', '.join(map(repr, missing))}.{did_you_mean(missing, found.columns)} Its columns "
            f"are {', '.join(map(repr, found.columns))}.{_no_names(found)}{hint and ' '}{hint}"
        )


def _no_names(found: pd.DataFrame) -> str:
    """A sentence if the first row has no names: numbers or dates, or a title beside which nothing is written."""
    names = [str(name) for name in found.columns]
    if all(name[:1].isdigit() for name in names) or any(name.startswith("Unnamed: ") for name in names):
        return " The first row must have the names of the columns: add them, or remove what is above them."
    return ""


def did_you_mean(missing: Iterable[str], known: Iterable[object]) -> str:
    """A question with the known names that resemble the missing ones, and a space before it; "" if none does.

    Example:
        >>> from fastgru_recipes.read_table import did_you_mean
        >>> did_you_mean(["valeu", "time"], ["Time", "value", "x"])
        " Did you mean 'value', 'Time'?"
    """
    folded = {str(name).casefold(): str(name) for name in known}
    close = [difflib.get_close_matches(name.casefold(), folded, n=1, cutoff=0.7) for name in missing]
    names = dict.fromkeys(folded[each] for found in close for each in found)
    return f" Did you mean {', '.join(map(repr, names))}?" if names else ""


def beside(keys: pd.DataFrame | None, answers: pd.DataFrame) -> pd.DataFrame:
    """The keys of rows, followed by their answers. A key with the name of an answer gets "input " before it.

    Example:
        >>> import pandas as pd
        >>> from fastgru_recipes.read_table import beside
        >>> beside(pd.DataFrame({"id": [7], "a": [1]}), pd.DataFrame({"label": ["a"], "a": [0.9]})).columns.tolist()
        ['id', 'input a', 'label', 'a']
    """
    if keys is None:
        return answers
    taken = {*map(str, answers.columns)}
    names = []
    for name in map(str, keys.columns):
        while name in taken:
            name = f"input {name}"
        taken.add(name)
        names.append(name)
    return pd.concat([keys.set_axis(names, axis=1).reset_index(drop=True), answers], axis=1)
