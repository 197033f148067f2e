"""Reading users' files: every mistake becomes one sentence that names file, line or column, and what to do."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from fastgru.errors import DataError

TABLES = {".csv": ",", ".tsv": "\t"}


def existing(path: Path) -> Path:
    """The path itself, if something is there."""
    if not path.exists():
        raise DataError(f"{path} does not exist. Check the spelling; the current directory is {Path.cwd()}.")
    return path


def text(path: Path) -> str:
    """A whole UTF-8 file, without a mark of byte order, its lines ended by newlines alone."""
    raw = existing(path).read_bytes()
    try:
        content = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{path}, line {line}: byte {raw[error.start]:#04x} is not UTF-8. Convert the file, for example with "
            f"iconv -f latin1 -t utf-8."
        ) from error
    content = content.replace("\r\n", "\n").replace("\r", "\n")
    if not content.strip():
        raise DataError(f"{path} is empty. Give a file with text.")
    return content


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """Numbered lines of a UTF-8 file, from 1; an empty one that is not at the end is an error."""
    content = text(path).rstrip("\n").split("\n")
    for number, line in enumerate(content, start=1):
        if not line.strip():
            raise DataError(f"{path}, line {number} is empty. Remove it.")
        yield number, line


def json_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Numbered objects of a file with one JSON object on each line."""
    for number, line in lines(path):
        try:
            row = json.loads(line)
        except ValueError as error:
            raise DataError(f"{path}, line {number} is no JSON: {error}. Each line must be one object.") from error
        if not isinstance(row, dict):
            raise DataError(f"{path}, line {number} is {type(row).__name__}, not an object such as {{...}}.")
        yield number, row


def table(path: Path, texts: Sequence[str] = ()) -> pd.DataFrame:
    """A CSV, TSV or Parquet file; `.gz` and `.xz` may follow the ending. Its index tells the lines of the file.

    Args:
        path: of the file.
        texts: columns that are texts whatever they look like: 01 is no 1 in them. "NA" is no gap in any column.
    """
    found = _table(existing(path), dict.fromkeys(texts, str))
    return found.set_axis(range(2, len(found) + 2))  # after the line with the names of the columns


def _table(path: Path, types: dict[str, type]) -> pd.DataFrame:
    endings = [ending for ending in path.suffixes if ending not in (".gz", ".xz", ".bz2", ".zip")]
    ending = endings[-1] if endings else ""
    try:
        if ending == ".parquet":
            found = pd.read_parquet(path)
            return found.astype({name: kind for name, kind in types.items() if name in found})
        if ending in TABLES:
            how = {"encoding": "utf-8-sig", "keep_default_na": False, "na_values": [""], "dtype": types}
            return pd.read_csv(path, sep=TABLES[ending], **how)
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8: {error}. Convert it, for example with iconv -f latin1.") from error
    except pd.errors.EmptyDataError as error:
        raise DataError(f"{path} is empty. Give a table with a line of column names.") from error
    except pd.errors.ParserError as error:
        raise DataError(f"{path} is no table: {str(error).strip()}. Check quotes and separators.") from error
    raise DataError(f"{path} ends in {ending or 'nothing'}: cannot tell its format. Use .csv, .tsv or .parquet.")


def require_columns(path: Path | str, found: pd.DataFrame, needed: list[str]) -> None:
    """Raises when a column is missing."""
    missing = [column for column in needed if column not in found.columns]
    if missing:
        raise DataError(
            f"{path} has no column {', '.join(map(repr, missing))}. Its columns are "
            f"{', '.join(map(repr, found.columns))}."
        )


def fingerprint(path: Path) -> str:
    """SHA-256 of a file, or of all files of a directory with their names."""
    digest = hashlib.sha256()
    for file in [path] if path.is_file() else sorted(path.rglob("*")):
        if file.is_file():
            digest.update(file.relative_to(path).as_posix().encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()
