"""Tokens with a tag each: CoNLL columns, or running text whose capitals and punctuation are the tags."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from fastgru.errors import DataError
from fastgru.tasks import reading

PLAIN = "lower"  # the tag of a word in small letters that nothing follows
MARKS = ".,;:?!"
WORD = re.compile(r"[^\W_]+(?:['\u2019\-][^\W_]+)*")


class Tagged(NamedTuple):
    """Sentences, or any runs of tokens.

    Attributes:
        tokens: of each sentence.
        tags: one for each token; None where they are to be found.
    """

    tokens: Sequence[Sequence[str]]
    tags: Sequence[Sequence[str]] | None

    def part(self, indices: Sequence[int]) -> Tagged:
        """Some of the sentences."""
        tags = None if self.tags is None else [self.tags[index] for index in indices]
        return Tagged([self.tokens[index] for index in indices], tags)


def read(path: Path, with_tags: bool) -> Tagged:
    """A `.txt` file as running text, a sentence on each line; any other as columns, sentences between empty lines.

    Raises:
        DataError: naming file and line.
    """
    if path.suffix == ".txt":
        return from_text([line for _, line in reading.lines(path)], with_tags)
    sentences: list[list[list[str]]] = [[]]
    width = 0
    for number, line in enumerate(reading.text(path).split("\n"), start=1):
        columns = line.split("\t") if "\t" in line else line.split()
        if not line.strip():
            sentences.append([])
            continue
        width = width or len(columns)
        if with_tags and len(columns) < 2:
            raise DataError(f"{path}, line {number} has one column: {line[:60]!r}. Write the token, then its tag.")
        if len(columns) != width or not all(columns):
            raise DataError(f"{path}, line {number} has {len(columns)} columns; the lines before have {width}.")
        sentences[-1].append(columns)
    whole = [sentence for sentence in sentences if sentence]
    tokens = [[columns[0] for columns in sentence] for sentence in whole]
    return Tagged(tokens, [[columns[-1] for columns in sentence] for sentence in whole] if with_tags else None)


def from_text(lines: Sequence[str], with_tags: bool) -> Tagged:
    """Words in small letters; the tag tells how a word is written and which mark follows it, as in "Capital,"."""
    pairs = [_words(line) for line in lines]
    tokens = [[word.lower() for word, _ in sentence] for sentence in pairs if sentence]
    tags = [[_shape(word) + mark for word, mark in sentence] for sentence in pairs if sentence]
    return Tagged(tokens, tags if with_tags else None)


def _words(line: str) -> list[tuple[str, str]]:
    """Words, each with the first mark between it and the next."""
    found = list(WORD.finditer(line))
    ends = [each.start() for each in found[1:]] + [len(line)]
    between = (line[each.end() : end] for each, end in zip(found, ends, strict=True))
    return [(each[0], next((c for c in gap if c in MARKS), "")) for each, gap in zip(found, between, strict=True)]


def _shape(word: str) -> str:
    if word == word.lower():
        return PLAIN
    return "UPPER" if len(word) > 1 and word == word.upper() else "Capital"


def restored(tokens: Sequence[str], tags: Sequence[str]) -> str:
    """Text again, from words and the tags of `from_text`."""
    written = []
    for token, tag in zip(tokens, tags, strict=True):
        shape = tag.rstrip(MARKS)
        word = token.upper() if shape == "UPPER" else token[:1].upper() + token[1:] if shape == "Capital" else token
        written.append(word + tag[len(shape) :])
    return " ".join(written)
