"""Reading of users' files as bytes, texts, lines and JSON. Errors name the file and the line, and what to do.

The path "-" is the standard input. It is read once, so that several readers get the same bytes. Tables are in
`read_table.py`.
"""

from __future__ import annotations

import bz2
import codecs
import gzip
import hashlib
import json
import lzma
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pandas as pd

from fastgru_recipes.errors import DataError
from fastgru_recipes.option_names import given, named

STDIN = "-"
SEPARATORS = {".csv": ",", ".tsv": "\t"}
TABLES = (*SEPARATORS, ".parquet")
JSON_LINES = (".jsonl", ".ndjson")
EXCEL = (".xlsx", ".xlsm")
COMPRESSED: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.decompress,
    ".xz": lzma.decompress,
    ".bz2": bz2.decompress,
}
MAGIC = {b"\x1f\x8b": ".gz", b"\xfd7zXZ\0": ".xz", b"BZh": ".bz2"}  # the first bytes of compressed data


@contextmanager
def about(place: object) -> Iterator[None]:
    """Adds `place` to the message of a `DataError` raised inside the block, unless the message begins with it."""
    try:
        yield
    except DataError as error:
        said = str(error) if str(error).startswith(str(place)) else f"{place}: {error}"
        if str(place) == STDIN:
            said = f"standard input{said.removeprefix(STDIN)}"
        if said == str(error):
            raise
        raise DataError(said) from error


def is_stdin(path: Path | str) -> bool:
    """Whether a path means the standard input."""
    return str(path) == STDIN


def kind(path: Path | str) -> str:
    """The file extension that gives the format, in lower case: `.csv` for DATA.CSV.gz.

    Of the standard input, Parquet, Excel files and JSON lines are known by their first bytes; other formats are "".
    """
    if is_stdin(path):
        start = raw(path)[:64].removeprefix(codecs.BOM_UTF8).lstrip()
        binary = {b"PAR1": ".parquet", b"PK\3\4": EXCEL[0]}
        return binary.get(start[:4]) or (JSON_LINES[0] if start[:1] == b"{" else "")
    endings = [ending.lower() for ending in Path(path).suffixes if ending.lower() not in COMPRESSED]
    return endings[-1] if endings else ""


def raw(path: Path | str) -> bytes:
    """The bytes of a file, decompressed if its extension says that it is compressed; of "-", the standard input."""
    if is_stdin(path):
        if sys.stdin is None:
            raise DataError("- is closed. Give a file, or connect the standard input to one.")
        packed = _read_once(sys.stdin.buffer)
        return _unpacked(path, packed, next((MAGIC[start] for start in MAGIC if packed.startswith(start)), ""))
    path = Path(path)
    require_file(path)
    return _unpacked(path, path.read_bytes(), path.suffix)


def require_file(path: Path | str) -> None:
    """Raises if there is no file, or a directory in its place."""
    if not Path(path).exists():
        raise DataError(f"{path} does not exist. Check the spelling; the current directory is {Path.cwd()}.")
    if Path(path).is_dir():
        raise DataError(f"{path} is a directory. Give one file.")


@lru_cache(maxsize=1)
def _read_once(stream: BinaryIO) -> bytes:
    return stream.read()


def _unpacked(path: Path | str, packed: bytes, ending: str) -> bytes:
    try:
        return COMPRESSED.get(ending.lower(), bytes)(packed)
    except (OSError, EOFError, ValueError, lzma.LZMAError, zlib.error) as error:
        raise DataError(f"{path} is damaged, or is not a {ending} file: {error}. Get it again.") from error


def text(path: Path | str, encoding: str = "utf-8") -> str:
    """The text of a file, without a byte order mark, with newlines as line endings.

    Raises:
        DataError: for a file that is missing or empty, an encoding that Python does not know, and bytes that are not
            of that encoding, with their line.
    """
    try:
        name = codecs.lookup(encoding).name
        codec = "utf-8-sig" if name == "utf-8" else name
        found = raw(path)
        content = found.decode(codec)
    except LookupError as error:
        raise DataError(
            f"{given('encoding', encoding)} is unknown. Give one such as utf-8, cp1252, latin-1 or utf-16."
        ) from error
    except UnicodeDecodeError as error:
        raise _of_another_encoding(path, found, error, encoding) from error
    if "\0" in content:
        line = content.count("\n", 0, content.index("\0")) + 1
        raise DataError(
            f"{path}, line {line} has a zero byte: it is not a text, or has another encoding ({named('encoding')})."
        )
    content = content.replace("\r\n", "\n").replace("\r", "\n")
    if not content.strip():
        raise DataError(f"{path} is empty. Give a file with text.")
    return content


def _of_another_encoding(path: Path | str, found: bytes, error: UnicodeDecodeError, encoding: str) -> DataError:
    if found[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        return DataError(f"{path} is UTF-16. Give that encoding: {given('encoding', 'utf-16')}.")
    line = found.count(b"\n", 0, error.start) + 1
    if b"\0" in found:
        return DataError(f"{path}, line {line} has bytes that are not text: it is a file of another kind. Give a text.")
    what = f"{path}, line {line}: byte {found[error.start]:#04x} is not {encoding.upper()}."
    if error.encoding not in ("utf-8", "utf-8-sig", "utf_8"):
        return DataError(f"{what} Give the encoding of the file, such as utf-8.")
    # Letters of Western Europe; Windows has more characters than Latin-1, and the same ones where both have one.
    remedy = given("encoding", "cp1252")
    return DataError(f"{what} The file is probably Latin-1 or Windows-1252. Give that encoding: {remedy}.")


def lines(path: Path | str, encoding: str = "utf-8") -> Iterator[tuple[int, str]]:
    """The lines of a text file with their numbers, from 1. An empty line is an error, except at the end."""
    content = text(path, encoding).rstrip("\n").split("\n")
    for number, line in enumerate(content, start=1):
        if not line.strip():
            raise DataError(f"{path}, line {number} is empty. Remove it.")
        yield number, line


def json_lines(path: Path | str, encoding: str = "utf-8") -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a file with one JSON object on each line, with their line numbers."""
    for number, line in lines(path, encoding):
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
    """SHA-256 of a file, of the standard input, or of all files in a directory and their names."""
    digest = hashlib.sha256()
    if is_stdin(path):
        return hashlib.sha256(_read_once(sys.stdin.buffer)).hexdigest()
    for file in [path] if path.is_file() else sorted(path.rglob("*")):
        if file.is_file():
            digest.update(file.relative_to(path).as_posix().encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()
