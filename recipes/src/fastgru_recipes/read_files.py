"""Reading of users' files. Errors name the file, the line or column, and what to do."""

from __future__ import annotations

import bz2
import csv
import gzip
import hashlib
import io
import json
import lzma
import re
import warnings
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fastgru_recipes.errors import DataError

SEPARATORS = {".csv": ",", ".tsv": "\t"}
TABLES = (*SEPARATORS, ".parquet")
QUOTED = re.compile(r'(?:^|(?<=[,\n]))"((?:[^"]+|"")*)("?)([^,\n]?)')  # a quoted field, and the characters after it
JSON_LINES = (".jsonl", ".ndjson")
COMPRESSED: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.decompress,
    ".xz": lzma.decompress,
    ".bz2": bz2.decompress,
}


@contextmanager
def about(place: object) -> Iterator[None]:
    """Adds `place` to the message of a `DataError` raised inside the block, unless the message begins with it."""
    try:
        yield
    except DataError as error:
        if str(error).startswith(str(place)):
            raise
        raise DataError(f"{place}: {error}") from error


def kind(path: Path | str) -> str:
    """The file extension that gives the format, in lower case: `.csv` for DATA.CSV.gz."""
    endings = [ending.lower() for ending in Path(path).suffixes if ending.lower() not in COMPRESSED]
    return endings[-1] if endings else ""


def raw(path: Path | str) -> bytes:
    """The bytes of a file, decompressed if its extension says that it is compressed."""
    path = Path(path)
    if not path.exists():
        raise DataError(f"{path} does not exist. Check the spelling; the current directory is {Path.cwd()}.")
    if path.is_dir():
        raise DataError(f"{path} is a directory. Give one file.")
    packed = path.read_bytes()
    unpack = COMPRESSED.get(path.suffix.lower(), bytes)
    try:
        return unpack(packed)
    except (OSError, EOFError, ValueError, lzma.LZMAError, zlib.error) as error:
        raise DataError(f"{path} is damaged, or is not a {path.suffix} file: {error}. Get it again.") from error


def text(path: Path | str) -> str:
    """The text of a UTF-8 file, without a byte order mark, with newlines as line endings."""
    found = raw(path)
    try:
        content = found.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if found[:2] in (b"\xff\xfe", b"\xfe\xff"):
            raise DataError(f"{path} is UTF-16. Convert it, for example with iconv -f utf-16 -t utf-8.") from error
        line = found.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{path}, line {line}: byte {found[error.start]:#04x} is not UTF-8. Convert the file, for example with "
            f"iconv -f latin1 -t utf-8."
        ) from error
    content = content.replace("\r\n", "\n").replace("\r", "\n")
    if not content.strip():
        raise DataError(f"{path} is empty. Give a file with text.")
    return content


def lines(path: Path | str) -> Iterator[tuple[int, str]]:
    """The lines of a UTF-8 file with their numbers, from 1. An empty line is an error, except at the end."""
    content = text(path).rstrip("\n").split("\n")
    for number, line in enumerate(content, start=1):
        if not line.strip():
            raise DataError(f"{path}, line {number} is empty. Remove it.")
        yield number, line


def json_lines(path: Path | str) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a file with one JSON object on each line, with their line numbers."""
    for number, line in lines(path):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(
                f"{path}, line {number} is not valid JSON: {error}. Each line must be one object."
            ) from error
        if not isinstance(row, dict):
            raise DataError(f"{path}, line {number} is {type(row).__name__}, not an object such as {{...}}.")
        for key, value in row.items():
            if isinstance(value, str):
                require_letters(value, f"{path}, line {number}: {key!r}")
        yield number, row


def table(path: Path | str, texts: Sequence[str] = ()) -> pd.DataFrame:
    """Reads a CSV, TSV or Parquet file, possibly compressed (`.gz`, `.xz`, `.bz2`).

    In CSV a field may be in quotes, with "" for each quote inside; in TSV quotes are ordinary characters.

    Args:
        path: the file.
        texts: columns to be read as text: 01 stays "01". In no column is "NA" a missing value.

    Returns:
        The table. Its index has the line numbers of a text file, or is the index of a Parquet file.
    """
    if (ending := kind(path)) not in TABLES:
        raise DataError(f"{path} ends in {ending or 'nothing'}: cannot tell its format. Use .csv, .tsv or .parquet.")
    if ending in SEPARATORS:
        return _separated(path, SEPARATORS[ending], texts)
    try:
        found = pd.read_parquet(io.BytesIO(raw(path)))
    except (OSError, ValueError, KeyError) as error:  # pyarrow's errors derive from the first two
        reason = str(error).splitlines()[0].rstrip(".")
        raise DataError(f"{path} cannot be read as Parquet: {reason}. Get it again, or write it as CSV.") from error
    found = one_level(path, found)
    return found.astype({name: str for name in texts if name in found and found[name].notna().all()})


def _separated(path: Path | str, separator: str, texts: Sequence[str]) -> pd.DataFrame:
    content = text(path).rstrip("\n") + "\n"
    if separator == ",":
        _require_whole_quotes(content, path)
    how: dict[str, Any] = {"sep": separator, "quoting": csv.QUOTE_MINIMAL if separator == "," else csv.QUOTE_NONE}
    try:
        names = pd.read_csv(io.StringIO(content), header=None, nrows=1, dtype=str, **how).iloc[0]
        how |= {"keep_default_na": False, "na_values": [""], "index_col": False, "skip_blank_lines": False}
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # for lines with more fields than the header
            found = pd.read_csv(io.StringIO(content), dtype=dict.fromkeys(texts, str), **how)
    except pd.errors.ParserWarning as error:
        raise DataError(f"{path}: lines have more fields than the first line has names. Check separators.") from error
    except pd.errors.ParserError as error:
        raise DataError(f"{path} is not a table: {str(error).strip()}. Check quotes and separators.") from error
    if (twice := names[names.duplicated()]).size:
        raise DataError(f"{path} has two columns {twice.iloc[0]!r}. Rename or remove one.")
    if separator == "\t" and names.str.fullmatch(r'".*"').all():
        raise DataError(
            f"{path} has column names in quotes, {', '.join(names)}; in TSV quotes are part of the text. Write it "
            "without quotes, or as CSV."
        )
    return _numbered(found, path)


def _require_whole_quotes(content: str, path: Path | str) -> None:
    """Raises if a field of CSV begins with a quote and does not end with one: parsers would drop it or join lines."""
    for field in QUOTED.finditer(content):
        _, closing, rest = field.groups()
        if rest or not closing:
            wrong = "goes on after the closing one" if closing else "is never closed"
            shown = content[field.start() :].split("\n", 1)[0][:60]
            raise DataError(
                f"{path}, line {content.count(chr(10), 0, field.start()) + 1}: a field begins with a quote that "
                f'{wrong}: {shown!r}. Put the whole field into quotes, with "" for each quote in it, or write TSV.'
            )


def _numbered(found: pd.DataFrame, path: Path | str) -> pd.DataFrame:
    """The table with the line numbers of the file as index."""
    texts = [found[name].str for name in found if found[name].dtype in ("str", "object")]
    breaks = sum((each.count("\n").fillna(0).astype(int) for each in texts), start=pd.Series(0, found.index))
    found = found.set_axis([2 + row + before for row, before in enumerate((breaks.cumsum() - breaks).tolist())])
    if (empty := found.index[found.isna().all(axis=1)]).size:
        raise DataError(f"{path}, line {empty[0]} is empty. Remove it.")
    return found


def one_level(path: Path | str, found: pd.DataFrame) -> pd.DataFrame:
    """The table with a single level of column names. Raises if there are several levels."""
    if found.columns.nlevels > 1:
        raise DataError(
            f"{path} has columns of {found.columns.nlevels} levels, such as {found.columns[0]}. Give each column one "
            "name: table.columns = ['_'.join(map(str, names)) for names in table.columns]."
        )
    return found.set_axis(found.columns.get_level_values(0), axis=1)


def require_columns(path: Path | str, found: pd.DataFrame, needed: list[str]) -> None:
    """Raises if a column is missing or appears twice."""
    if not found.columns.is_unique:
        raise DataError(f"{path} has two columns {found.columns[found.columns.duplicated()][0]!r}. Rename one.")
    missing = [column for column in needed if column not in found.columns]
    if missing:
        raise DataError(
            f"{path} has no column {', '.join(map(repr, missing))}. Its columns are "
            f"{', '.join(map(repr, found.columns))}."
        )


def column(given: Any, what: str) -> Any:
    """The single column of a table or of a two-dimensional array. Other values are returned unchanged.

    Raises:
        DataError: for a table with several columns, which would be read as the list of their names.
    """
    if not isinstance(given, (pd.DataFrame, np.ndarray)) or given.ndim < 2:
        return given
    if given.shape[1:] != (1,):
        shown = list(given.columns) if isinstance(given, pd.DataFrame) else f"of the shape {given.shape}"
        kind = "a table with the columns" if isinstance(given, pd.DataFrame) else "an array"
        raise DataError(f"{what}s are {kind} {shown}. Give a single column.")
    return given.iloc[:, 0] if isinstance(given, pd.DataFrame) else given[:, 0]


def require_texts(texts: Iterable[Any], what: str, empty: bool = False) -> list[str]:
    """The texts as a list of str. Raises if one is not a string, is blank (unless `empty`), or has a lone surrogate."""
    texts = column(texts, what)
    if isinstance(texts, (str, bytes, Mapping, Set)) or not hasattr(texts, "__iter__"):
        raise DataError(f"{what}s are {type(texts).__name__}; give a list of them.")
    texts = list(texts)
    for number, found in enumerate(texts, start=1):
        if not isinstance(found, str):
            raise DataError(f"{what} {number} is {type(found).__name__}, not a text: {found!r}. Give texts.")
        if not (empty or found.strip()):
            raise DataError(f"{what} {number} is empty. Remove it.")
        require_letters(found, f"{what} {number}")
    return [str(text) for text in texts]  # without NumPy's string type


def require_letters(found: str, what: str) -> None:
    """Raises if a text cannot be encoded as UTF-8."""
    try:
        found.encode()
    except UnicodeEncodeError as error:
        raise DataError(f"{what} has {found[error.start]!r}, which is not a character. Remove it.") from error


def fingerprint(path: Path) -> str:
    """SHA-256 of a file, or of all files in a directory and their names."""
    digest = hashlib.sha256()
    for file in [path] if path.is_file() else sorted(path.rglob("*")):
        if file.is_file():
            digest.update(file.relative_to(path).as_posix().encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()
