"""Baselines for translation: copying, a dictionary learned from the pairs, and a date parser."""

from __future__ import annotations

import re
from collections import Counter

from dateutil import parser

from fastgru_recipes.recipe import State
from fastgru_recipes.translate.read_pairs import Pairs
from fastgru_recipes.translate.recipe import Translate, judged

TOKEN = re.compile(r"\w+|[^\w\s]")


def compared(
    recipe: Translate, training: Pairs | None, test: Pairs, state: State | None = None
) -> dict[str, dict[str, float]]:
    """The scores of each baseline; without training data of the one that learns nothing."""
    found = {"copy": copied(test)}
    if training is not None:
        found["word by word"] = word_by_word(training, test)
    return {name: judged(each, test.targets or ()) for name, each in found.items()}


def copied(test: Pairs) -> list[str]:
    """Each sentence unchanged."""
    return list(test.sources)


def word_by_word(training: Pairs, test: Pairs) -> list[str]:
    """Replaces each word by the one with the largest Dice coefficient, 2 n(a, b) / (n(a) + n(b))."""
    together: Counter[tuple[str, str]] = Counter()
    here: Counter[str] = Counter()
    there: Counter[str] = Counter()
    for source, target in zip(training.sources, training.targets or (), strict=True):
        sources, targets = set(TOKEN.findall(source)), set(TOKEN.findall(target))
        here.update(sources)
        there.update(targets)
        together.update((a, b) for a in sources for b in targets)
    best: dict[str, tuple[float, str]] = {}
    for (a, b), count in together.items():
        best[a] = max(best.get(a, (0.0, a)), (2 * count / (here[a] + there[b]), b))
    translated = (" ".join(best.get(word, (0.0, word))[1] for word in TOKEN.findall(text)) for text in test.sources)
    return [re.sub(r" ([.,;:?!])", r"\1", text) for text in translated]


def parsed(test: Pairs) -> list[str]:
    """The ISO date that dateutil parses from each text; the text itself if there is none."""
    return [_parsed(text) for text in test.sources]


def _parsed(text: str) -> str:
    try:
        return str(parser.parse(text).date())
    except (ValueError, OverflowError):
        return text
