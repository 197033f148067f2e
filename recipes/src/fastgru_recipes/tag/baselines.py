"""Baselines for tags: the most frequent tag, the most frequent tag of each word, and that of each pair of words."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

from fastgru_recipes.recipe import State
from fastgru_recipes.tag.read_tagged import Tagged
from fastgru_recipes.tag.recipe import Tag, micro_f1

BEFORE_FIRST = ""  # the word before a sentence


def _steps(data: Tagged) -> Iterator[tuple[str, str, str]]:
    """Previous word, word and tag of each token."""
    for tokens, tags in zip(data.tokens, data.tags or (), strict=True):
        yield from zip([BEFORE_FIRST, *tokens[:-1]], tokens, tags, strict=True)


def compared(
    recipe: Tag, training: Tagged | None, test: Tagged, state: State | None = None
) -> dict[str, dict[str, float]]:
    """Micro-F1 of each baseline. All of them learn from the training data: without them there is none."""
    if training is None:
        return {}
    plain = state["plain"] if state else None
    return {name: {recipe.metric: score} for name, score in scores(training, test, plain).items()}


def predictions(training: Tagged, test: Tagged) -> dict[str, list[str]]:
    """The tags of all tokens by each baseline. A pair or word that was never seen falls back to the simpler one."""
    every: Counter[str] = Counter()
    words: defaultdict[str, Counter[str]] = defaultdict(Counter)
    pairs: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for before, word, tag in _steps(training):
        every[tag] += 1
        words[word][tag] += 1
        pairs[before, word][tag] += 1
    plain = every.most_common(1)[0][0]
    by_word = [_likeliest(words.get(word), plain) for _, word, _ in _steps(test)]
    by_pair = [
        _likeliest(pairs.get((before, word)), backed_off)
        for (before, word, _), backed_off in zip(_steps(test), by_word, strict=True)
    ]
    return {"majority": [plain] * len(by_word), "majority of the word": by_word, "bigram": by_pair}


def scores(training: Tagged, test: Tagged, plain: str | None = None) -> dict[str, float]:
    """Micro-F1 of each baseline, without the tag `plain`, by default the most frequent one."""
    right = [tag for *_, tag in _steps(test)]
    plain = plain or Counter(tag for *_, tag in _steps(training)).most_common(1)[0][0]
    return {name: micro_f1(found, right, plain) for name, found in predictions(training, test).items()}


def accuracies(training: Tagged, test: Tagged) -> dict[str, float]:
    """The share of right tags of each baseline."""
    right = [tag for *_, tag in _steps(test)]
    return {
        name: sum(a == b for a, b in zip(found, right, strict=True)) / max(1, len(right))
        for name, found in predictions(training, test).items()
    }


def _likeliest(counts: Counter[str] | None, otherwise: str) -> str:
    return counts.most_common(1)[0][0] if counts else otherwise
