"""Baselines for text: a 5-gram model with modified Kneser-Ney smoothing, and two compressors."""

from __future__ import annotations

import gzip
import lzma
import math
from collections import Counter, defaultdict
from collections.abc import Callable

from fastgru_recipes.generate.recipe import CODE_POINTS, Generate
from fastgru_recipes.recipe import State

START_CHARACTER, UNKNOWN_CHARACTER = "\x02", "\x1a"
LONGEST = 10_000_000  # characters of a text: its 5-grams take a minute and a gigabyte


def compared(
    recipe: Generate, training: str | None, test: str, state: State | None = None
) -> dict[str, dict[str, float]]:
    """Bits per character of each baseline; that of 5-grams only for training texts that are not very long.

    Without a training text the compressors begin with nothing.
    """
    methods = {"5-gram": kneser_ney} if training and len(training) <= LONGEST else {}
    methods |= {"xz": xzipped, "gzip": gzipped}
    return {name: {recipe.metric: cost(training or "", test)} for name, cost in methods.items()}


class KneserNey:
    """A character n-gram model with interpolated modified Kneser-Ney smoothing (Chen and Goodman 1999).

    The highest order counts occurrences; each lower order counts the contexts in which a character was seen. Three
    discounts for each order are computed from the counts of counts. The lowest level is the uniform distribution over
    the characters of the training text and one unknown character.

    Args:
        text: the training text.
        order: the length of the n-grams, including the predicted character.
    """

    def __init__(self, text: str, order: int = 5) -> None:
        self.order = order
        self.known = frozenset(text)
        padded = START_CHARACTER * (order - 1) + text
        grams = Counter(padded[i : i + order] for i in range(len(text)))
        self.tables = []
        for length in range(order, 0, -1):
            self.tables.append(_Discounted(grams))
            shorter: Counter[str] = Counter(gram[1:] for gram in grams)
            grams = shorter if length > 1 else Counter()

    def probability(self, character: str, context: str) -> float:
        """The probability of a character after a context of order - 1 characters."""
        share, weight = 0.0, 1.0
        for dropped, table in enumerate(self.tables):
            part, rest = table.split(context[dropped:], character)
            share += weight * part
            weight *= rest
        return share + weight / (len(self.known) + 1)

    def bits(self, text: str) -> float:
        """The cost of a text in bits. An unknown character also costs the choice among all unknown ones."""
        padded = START_CHARACTER * (self.order - 1) + "".join(c if c in self.known else UNKNOWN_CHARACTER for c in text)
        total = 0.0
        for i in range(len(text)):
            total -= math.log2(self.probability(padded[i + self.order - 1], padded[i : i + self.order - 1]))
        unknown = sum(character not in self.known for character in text)
        return total + unknown * math.log2(CODE_POINTS - len(self.known))


class _Discounted:
    """The counts of one order, and their discounts."""

    def __init__(self, counts: Counter[str]) -> None:
        self.counts = counts
        found = Counter(counts.values())
        once, twice = found[1], found[2]
        rate = once / (once + 2 * twice) if once else 0.5
        self.discounts = [0.0]
        for number in (1, 2, 3):
            ratio = found[number + 1] / found[number] if found[number] else number / (number + 1)
            self.discounts.append(min(number - 1e-3, max(1e-3, number - (number + 1) * rate * ratio)))
        self.totals: defaultdict[str, int] = defaultdict(int)
        self.taken: defaultdict[str, float] = defaultdict(float)
        for gram, count in counts.items():
            self.totals[gram[:-1]] += count
            self.taken[gram[:-1]] += self.discounts[min(count, 3)]

    def split(self, context: str, character: str) -> tuple[float, float]:
        """The discounted probability of the character after the context, and the weight of the next lower order."""
        if not (total := self.totals.get(context, 0)):
            return 0.0, 1.0
        count = self.counts.get(context + character, 0)
        return (count - self.discounts[min(count, 3)]) / total, self.taken[context] / total


def kneser_ney(training: str, test: str) -> float:
    """Bits per character of the 5-gram model."""
    return KneserNey(training).bits(test) / len(test)


def compressed(training: str, test: str, compress: Callable[[bytes], bytes]) -> float:
    """Bits per character that the test text adds to the compressed training text."""
    first, second = training.encode(), test.encode()
    return 8 * (len(compress(first + second)) - len(compress(first))) / len(test)


def gzipped(training: str, test: str) -> float:
    """Bits per character of gzip -9."""
    return compressed(training, test, lambda raw: gzip.compress(raw, 9, mtime=0))


def xzipped(training: str, test: str) -> float:
    """Bits per character of xz -9e."""
    return compressed(training, test, lambda raw: lzma.compress(raw, preset=9 | lzma.PRESET_EXTREME))
