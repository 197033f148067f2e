"""Reading of tokens with tags: from columns, or from running text, whose capitals and punctuation are the tags."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from fastgru_recipes import read_files
from fastgru_recipes.errors import DataError
from fastgru_recipes.option_names import given
from fastgru_recipes.tag import read_conll

PLAIN_TAG = "lower"  # the tag of a word in lower case without punctuation
MARKS = ".,;:?!"
TEXT_TAGS = tuple(sorted(shape + mark for shape in (PLAIN_TAG, "Capital", "UPPER") for mark in ("", *MARKS)))
# Apostrophes and hyphens between letters belong to a word, as do points, commas and colons between digits.
WORD = re.compile(r"[^\W_]+(?:(?:['\u2019\-](?=[^\W_])|(?<=\d)[.,:](?=\d))[^\W_]+)*")


@dataclass(frozen=True)
class Tagged:
    """Sentences, or other sequences of tokens.

    Attributes:
        tokens: the tokens of each sentence.
        tags: one for each token; None for prediction.
        is_text: whether the tokens are words of running text, and the tags their capitals and punctuation.
        keys: (N, K), what tells the sentences apart in their file: other keys of JSON lines, or sent_id of CoNLL-U.
    """

    tokens: Sequence[Sequence[str]]
    tags: Sequence[Sequence[str]] | None
    is_text: bool = False
    keys: pd.DataFrame | None = field(default=None, compare=False)

    def part(self, indices: Sequence[int]) -> Tagged:
        """The sentences at `indices`."""
        tags = None if self.tags is None else [self.tags[index] for index in indices]
        keys = None if self.keys is None else self.keys.iloc[list(indices)].reset_index(drop=True)
        return Tagged([self.tokens[index] for index in indices], tags, self.is_text, keys)

    def cut(self, end: int) -> tuple[Tagged, Tagged]:
        """Splits after the first `end` tokens. A sentence that contains the split becomes two."""
        cuts = []
        for sentence in self.tokens:
            cuts.append(max(0, min(end, len(sentence))))
            end -= len(sentence)
        before, after = [slice(0, cut) for cut in cuts], [slice(cut, None) for cut in cuts]
        return self._slices(before), self._slices(after)

    def _slices(self, slices: Sequence[slice]) -> Tagged:
        tokens = [sentence[each] for sentence, each in zip(self.tokens, slices, strict=True)]
        tags = None if self.tags is None else [tags[each] for tags, each in zip(self.tags, slices, strict=True)]
        return Tagged(tokens, tags, self.is_text, self.keys).filled()

    def filled(self) -> Tagged:
        """The sentences that have tokens."""
        return self.part([index for index, sentence in enumerate(self.tokens) if sentence])


def split(data: Tagged, share: float) -> tuple[Tagged, Tagged]:
    """Holds out the end of the data, because neighbouring sentences are too similar for a random split.

    Of running text the last tokens are held out; of columns the last sentences, except those with a tag that no other
    sentence has.

    Raises:
        DataError: if no sentence can be held out.
    """
    assert data.tags is not None
    if data.is_text:
        size = sum(map(len, data.tokens))
        return data.cut(size - max(1, int(size * share)))
    left = Counter(tag for tags in data.tags for tag in set(tags))  # sentences of the training part with the tag
    wanted = max(1, int(len(data.tokens) * share))
    held_out: list[int] = []
    for index in range(len(data.tokens) - 1, -1, -1):
        here = set(data.tags[index])
        if len(held_out) < wanted and all(left[tag] > 1 for tag in here):
            held_out.insert(0, index)
            left.subtract(here)
    if not held_out:
        raise DataError(
            f"none of the {len(data.tokens)} sentences can be held out: too few, or each has a tag of its own. "
            "Give more, or set validation to 0."
        )
    chosen = set(held_out)
    return data.part([i for i in range(len(data.tokens)) if i not in chosen]), data.part(held_out)


def read(path: Path | str, with_tags: bool, columns: Sequence[str] = (), encoding: str = "utf-8") -> Tagged:
    """Reads a `.txt` file as running text with paragraphs, JSON lines, or any other file as columns.

    Args:
        path: the file.
        with_tags: whether tags are needed.
        columns: the columns of tokens and tags, as in `read_conll.read`; of JSON lines their keys, which hold lists of
            texts, by default "tokens" and "tags".
        encoding: of the file.

    Raises:
        DataError: for a file that cannot be used, with the line.
    """
    if read_files.kind(path) in read_files.JSON_LINES:
        return _read_lists(path, with_tags, columns or ("tokens", "tags"), encoding)
    if read_files.kind(path) == ".txt" and not columns:
        return _read_text(path, with_tags, encoding)
    tokens, tags, names = read_conll.read(path, with_tags, columns, encoding)
    keys = pd.DataFrame({"sent_id": names}) if names and any(names) else None
    return Tagged(tokens, tags, keys=keys)


def _read_lists(path: Path | str, with_tags: bool, columns: Sequence[str], encoding: str) -> Tagged:
    found: list[list[list[str]]] = [[], []] if with_tags else [[]]
    keys = []
    for line, row in read_files.json_lines(path, encoding):
        sides = []
        for name in columns[: len(found)]:
            if not isinstance(row.get(name), list):
                what = f"{name!r} is {type(row[name]).__name__}" if name in row else f"there is no {name!r}"
                raise DataError(
                    f'{path}, line {line}: {what}; a list of texts was expected, such as {{"{name}": [...]}}. Name '
                    f"the keys with {given('columns', 'tokens,tags')}."
                )
            with read_files.about(f"{path}, line {line}"):
                sides.append(read_files.require_texts(row[name], name.removesuffix("s")))
        if len({*map(len, sides)}) > 1:
            raise DataError(f"{path}, line {line} has {len(sides[0])} tokens and {len(sides[1])} tags. Give as many.")
        for side, texts in zip(found, sides, strict=True):
            side.append(texts)
        keys.append({name: value for name, value in row.items() if name not in columns})
    if not any(found[0]):
        raise DataError(f"{path} has no tokens. Give a list of tokens on each line.")
    return Tagged(found[0], found[1] if with_tags else None, keys=pd.DataFrame(keys, range(len(keys)))).filled()


def _read_text(path: Path | str, with_tags: bool, encoding: str) -> Tagged:
    data = from_text(re.split(r"\n\s*\n", read_files.text(path, encoding)), with_tags).filled()
    if not data.tokens:
        raise DataError(f"{path} has no words. Give a file with text.")
    if data.tags is not None and all(tag == PLAIN_TAG for tags in data.tags for tag in tags):
        raise DataError(f"{path} has neither capitals nor any of {MARKS}: there is nothing to learn from it.")
    return data


def from_text(texts: Sequence[str], with_tags: bool) -> Tagged:
    """Splits texts into words in lower case. The tag has the case of a word and the mark after it, as in "Capital,".

    Example:
        >>> from fastgru_recipes.tag.read_tagged import from_text
        >>> data = from_text(["No, NASA didn't pay 1,000!"], with_tags=True)
        >>> data.tokens
        [['no', 'nasa', "didn't", 'pay', '1,000']]
        >>> data.tags
        [['Capital,', 'UPPER', 'lower', 'lower', 'lower!']]
    """
    pairs = [_words(text) for text in texts]
    tokens = [[word.lower() for word, _ in sentence] for sentence in pairs]
    tags = [[_shape(word) + mark for word, mark in sentence] for sentence in pairs]
    return Tagged(tokens, tags if with_tags else None, is_text=True)


def _words(text: str) -> list[tuple[str, str]]:
    """The words, each with the first mark between it and the next word."""
    found = list(WORD.finditer(text))
    ends = [each.start() for each in found[1:]] + [len(text)] * bool(found)
    between = (text[each.end() : end] for each, end in zip(found, ends, strict=True))
    return [(each[0], next((c for c in gap if c in MARKS), "")) for each, gap in zip(found, between, strict=True)]


def _shape(word: str) -> str:
    if word == word.lower():
        return PLAIN_TAG
    return "UPPER" if len(word) > 1 and word == word.upper() else "Capital"


def restored_text(tokens: Sequence[str], tags: Sequence[str]) -> str:
    """The text of words with the tags of `from_text`.

    Raises:
        DataError: for a tag of another kind.
    """
    written = []
    for token, tag in zip(tokens, tags, strict=True):
        if tag not in TEXT_TAGS:
            raise DataError(
                f"tag {tag!r} does not describe capitals and punctuation. Only a run trained on text can restore it."
            )
        shape = tag.rstrip(MARKS)
        word = token.upper() if shape == "UPPER" else token[:1].upper() + token[1:] if shape == "Capital" else token
        written.append(word + tag[len(shape) :])
    return " ".join(written)
