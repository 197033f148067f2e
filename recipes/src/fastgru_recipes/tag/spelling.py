"""What `tag` knows of a word besides itself: its characters, its first and last ones, and its shape."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from fastgru_recipes.text.vocabulary import UNKNOWN_ID

LONGEST = 32  # characters of a word that are read at most
FIRST_ID = UNKNOWN_ID + 1  # of the words, characters and affixes that were learned
SHAPES = ("lower case", "Capital", "UPPER CASE", "miXed", "digits", "letters and digits", "neither")


class Spelling(NamedTuple):
    """The numbers of a word and of its parts.

    Attributes:
        word: its own.
        characters: (L,), of its characters.
        marks: (5,), of its first two and three characters, its last two and three, and of its shape.
    """

    word: int
    characters: Tensor
    marks: Tensor


def affixes(word: str) -> tuple[str, str, str, str]:
    """The first two and three characters of a word in lower case, and the last two and three.

    Example:
        >>> from fastgru_recipes.tag.spelling import affixes
        >>> affixes("Talking")
        ('ta', 'tal', 'ng', 'ing')
    """
    lower = word.lower()
    return lower[:2], lower[:3], lower[-2:], lower[-3:]


def shape(word: str) -> int:
    """The number of the word's shape in `SHAPES`."""
    has_letters, has_digits = any(c.isalpha() for c in word), any(c.isdigit() for c in word)
    if has_digits:
        return 5 if has_letters else 4
    if not has_letters:
        return 6
    if word == word.lower():
        return 0
    if len(word) > 1 and word == word.upper():
        return 2
    return 1 if word[1:] == word[1:].lower() else 3


def learned_affixes(words: Mapping[str, int], least: int) -> list[list[str]]:
    """The affixes of each kind that at least `least` of the counted words have, for a recipe's state."""
    counts: tuple[Counter[str], ...] = tuple(Counter() for _ in affixes(""))
    for word in words:
        for count, affix in zip(counts, affixes(word), strict=True):
            count[affix] += 1
    return [sorted(affix for affix, found in count.items() if found >= least) for count in counts]


def spellings(
    words: Iterable[str], learned: Sequence[str], letters: Sequence[str], known: Sequence[Sequence[str]]
) -> dict[str, Spelling]:
    """The spelling of each word, by the learned words, characters and affixes."""
    of_word, of_letter = _numbered(learned), _numbered(letters)
    of_affix = [_numbered(each) for each in known]
    found = {}
    for word in words:
        characters = [of_letter.get(c, UNKNOWN_ID) for c in word[:LONGEST]] or [UNKNOWN_ID]
        marks = [numbers.get(affix, UNKNOWN_ID) for numbers, affix in zip(of_affix, affixes(word), strict=True)]
        found[word] = Spelling(
            of_word.get(word, UNKNOWN_ID), torch.tensor(characters), torch.tensor([*marks, shape(word)])
        )
    return found


def _numbered(names: Sequence[str]) -> dict[str, int]:
    return {name: number for number, name in enumerate(names, start=FIRST_ID)}
