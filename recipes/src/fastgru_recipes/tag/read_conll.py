"""Reading of CoNLL files: one token on each line, with columns, and an empty line between sentences."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from fastgru_recipes import read_files
from fastgru_recipes.errors import DataError
from fastgru_recipes.option_names import given, named

DOCUMENT = "-DOCSTART-"  # in the place of a token, it marks the start of a document
FIELDS = ("id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc")  # the columns of CoNLL-U
UNIVERSAL = len(FIELDS)
NUMBER = re.compile(r"\d+([-.]\d+)?")  # IDs of CoNLL-U: 1 of a word, 1-2 of a multiword token, 1.1 of an empty node
NAME = re.compile(r"#\s*sent_id\s*=\s*(.*\S)")  # the comment that names a sentence of CoNLL-U
COMMENTS = ("# ", "#begin document", "#end document")  # starts of lines that may not be tokens


class Line(NamedTuple):
    """A line of a file: its number from 1, its text and its columns."""

    number: int
    text: str
    columns: list[str]


Sentences = list[list[Line]]


class Columns(NamedTuple):
    """What is read of a file.

    Attributes:
        tokens: those of each sentence.
        tags: one for each token; None if they are not needed.
        names: the sent_id of each sentence of CoNLL-U, None where it has none; None for other files.
    """

    tokens: list[list[str]]
    tags: list[list[str]] | None
    names: list[str | None] | None


def read(path: Path | str, with_tags: bool, columns: Sequence[str] = (), encoding: str = "utf-8") -> Columns:
    """Reads tokens and tags of sentences: the first and the last column, or FORM and UPOS of CoNLL-U.

    Lines that start a document are skipped. Of CoNLL-U, comments, multiword tokens (1-2) and empty nodes (1.1) are
    skipped too.

    Args:
        path: the file.
        with_tags: whether tags are needed.
        columns: the columns of tokens and of tags, by number from 1, from the end by -1 and so on, or by the names of
            CoNLL-U. Empty for the columns above.
        encoding: of the file.

    Raises:
        DataError: for columns that are missing, empty or not tokens, with the line.
    """
    sentences = _sentences(read_files.text(path, encoding))
    names: list[str | None] | None = None
    if _is_universal(sentences, path):
        token, tag = _places(columns or ("form", "upos"), is_universal=True)
        words = _words(sentences, path)
        names = [_name(lines) for lines, kept in zip(sentences, words, strict=True) if kept]
        sentences = words
    else:
        token, tag = _places(columns or ("1", "-1"), is_universal=False)
        _require_columns(sentences, path, with_tags)
        if columns:
            _require_places(sentences, path, (token, tag) if with_tags else (token,))
        else:
            _require_tokens(sentences, path)
    sentences = [sentence for sentence in sentences if sentence]
    if not sentences:
        raise DataError(f"{path} has no tokens. Write each token on its own line, followed by its tag.")
    tags = [[line.columns[tag] for line in sentence] for sentence in sentences] if with_tags else None
    if tags is not None and tag == FIELDS.index("upos") and {each for sentence in tags for each in sentence} == {"_"}:
        raise DataError(
            f"{path} has no part-of-speech tags in column 4. Name the columns of tokens and tags, for example with "
            f"{given('columns', 'form,xpos')} or {given('columns', '2,5')}."
        )
    return Columns([[line.columns[token] for line in sentence] for sentence in sentences], tags, names)


def _places(columns: Sequence[str], is_universal: bool) -> tuple[int, int]:
    """The indices of two columns from their numbers or names."""
    found = []
    for column in columns:
        if column.lower() in FIELDS and is_universal:
            found.append(FIELDS.index(column.lower()))
        elif re.fullmatch(r"-?[1-9]\d*", column):
            found.append(int(column) - (int(column) > 0))
        else:
            known = f"a name of CoNLL-U ({', '.join(FIELDS)}), or a number" if is_universal else "a number"
            raise DataError(f"column {column!r} is not {known} such as 1, or -1 for the last column.")
    return found[0], found[1]


def _require_places(sentences: Sentences, path: Path | str, places: Sequence[int]) -> None:
    line = next((line for sentence in sentences for line in sentence), None)
    if line is not None and not all(-len(line.columns) <= place < len(line.columns) for place in places):
        raise DataError(
            f"{path}, line {line.number} has {len(line.columns)} columns: {line.text[:60]!r}. Give columns that it "
            f"has with {named('columns')}."
        )


def _sentences(text: str) -> Sentences:
    """The lines of each sentence, without empty lines. The start of a document also starts a sentence."""
    sentences: Sentences = [[]]
    for number, line in enumerate(text.split("\n"), start=1):
        columns = line.split("\t") if "\t" in line else re.split(" +", line.strip(" "))
        if not line.strip() or columns[0].strip().upper() == DOCUMENT:
            sentences.append([])
        else:
            sentences[-1].append(Line(number, line, columns))
    return sentences


def _require_filled(line: Line, path: Path | str) -> None:
    if not all(column.strip() for column in line.columns):
        raise DataError(f"{path}, line {line.number} has an empty column: {line.text[:60]!r}. Fill it in.")


# ---- CoNLL-U


def _is_universal(sentences: Sentences, path: Path | str) -> bool:
    """Whether this is CoNLL-U: by the file extension, or because most lines have ten columns, the first a number."""
    lines = [line for sentence in sentences for line in sentence if not line.text.startswith("#")]
    numbered = [len(line.columns) == UNIVERSAL and bool(NUMBER.fullmatch(line.columns[0])) for line in lines]
    return read_files.kind(path) == ".conllu" or 2 * sum(numbered) > len(lines)


def _name(sentence: list[Line]) -> str | None:
    """The name that a comment gives a sentence."""
    return next((found[1] for line in sentence if (found := NAME.fullmatch(line.text.rstrip()))), None)


def _words(sentences: Sentences, path: Path | str) -> Sentences:
    """The lines of words. All other lines are checked too."""
    found = [[line for line in sentence if not line.text.startswith("#")] for sentence in sentences]
    for line in (line for sentence in found for line in sentence):
        if len(line.columns) != UNIVERSAL:
            raise DataError(
                f"{path}, line {line.number} has {len(line.columns)} columns; CoNLL-U has {UNIVERSAL}, separated by "
                "tabs. Write _ for unknown values."
            )
        if not NUMBER.fullmatch(line.columns[0]):
            raise DataError(
                f"{path}, line {line.number}: {line.columns[0]!r} is not the ID of a word. Each line of CoNLL-U begins "
                "with one, such as 1, 1-2 or 1.1."
            )
        _require_filled(line, path)
    return [[line for line in sentence if line.columns[0].isdigit()] for sentence in found]


# ---- other columns


def _require_columns(sentences: Sentences, path: Path | str, with_tags: bool) -> None:
    lines = [line for sentence in sentences for line in sentence]
    others = [line for line in lines if not line.text.startswith(COMMENTS)]
    width = len((others or lines)[0].columns) if lines else 0
    tags = {line.columns[-1] for line in others}
    for line in lines:
        if _is_comment(line, width, tags):
            raise DataError(
                f"{path}, line {line.number} looks like a comment: {line.text[:60]!r}. Remove such lines, for example "
                "with grep -v '^# '. If # is a token there, put tabs between all columns."
            )
        if with_tags and len(line.columns) < 2:
            raise DataError(
                f"{path}, line {line.number} has one column: {line.text[:60]!r}. Write the token, then its tag."
            )
        if len(line.columns) != width:
            raise DataError(
                f"{path}, line {line.number} has {len(line.columns)} columns; the lines before have {width}. "
                "Give each token the same columns, separated by one tab or by spaces."
            )
        _require_filled(line, path)


def _is_comment(line: Line, width: int, tags: set[str]) -> bool:
    """Whether a line that starts with # is a comment: by its number of columns, or because its last is no known tag."""
    if not line.text.startswith(COMMENTS):
        return False
    return len(line.columns) != width or (width > 1 and len(line.columns[-1]) > 1 and line.columns[-1] not in tags)


def _require_tokens(sentences: Sentences, path: Path | str) -> None:
    """Raises if the first column numbers the tokens, or names their sentence or document."""
    lines = [line for sentence in sentences for line in sentence]
    width = max((len(line.columns) for line in lines), default=0)
    firsts = [[line.columns[0] for line in sentence] for sentence in sentences if len(sentence) > 1]
    what = ""
    if width > 1 and _counts([line.columns[0] for line in lines]):
        what = "numbers the tokens"
    elif width > 2 and len(firsts) > 1 and all(len({*first}) == 1 for first in firsts):
        what = "names sentences or documents"
    if what:
        raise DataError(
            f"{path}, line {lines[0].number}: the first column {what}, and would be learned in the place of words: "
            f"{lines[0].text[:60]!r}. Name the columns of tokens and tags, for example with "
            f"{given('columns', '2,4')}. CoNLL-U "
            "itself, ten columns separated by tabs, is read as it is."
        )


def _counts(values: list[str]) -> bool:
    """Whether these values are a counter that sometimes restarts at 0 or 1."""
    if not all(NUMBER.fullmatch(value) for value in values):
        return False
    numbers = [int(value) for value in values if value.isdigit()]
    steps = all(after in (before + 1, 0, 1) for before, after in pairwise(numbers))
    return steps and max(numbers, default=0) > 1
