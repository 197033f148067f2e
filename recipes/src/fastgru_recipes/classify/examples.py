"""Examples for `classify`: speakers from vowels, and languages from names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fastgru_recipes.classify import baselines
from fastgru_recipes.classify.read_labelled import Labelled
from fastgru_recipes.example_sets import ExampleSet, Parts, packaged
from fastgru_recipes.recipe import Recipe

# Languages in Latin script with many names of their own in CLDR.
LANGUAGES = (
    *("cs", "da", "de", "en", "es", "et", "fi", "fr", "hr", "hu", "id", "is", "it"),
    *("lt", "lv", "nl", "pl", "pt", "ro", "sk", "sl", "sq", "sv", "sw", "tr", "vi"),
)


def vowels(recipe: Recipe[Any], full: bool) -> Parts:
    """Japanese vowels with the standard split: 270 utterances for training, 370 for the test."""
    return Parts(recipe.read(packaged("vowels_train.csv.xz")), None, recipe.read(packaged("vowels_test.csv.xz")))


def vowel_baselines(recipe: Recipe[Any], parts: Parts) -> Mapping[str, Mapping[str, float]]:
    """The most frequent speaker, the nearest utterance, and a linear model on statistics."""
    return {
        "majority": {"accuracy": baselines.majority(parts.training, parts.test)},
        "1-NN, DTW": {"accuracy": baselines.nearest(parts.training, parts.test)},
        "linear, on statistics": {"accuracy": baselines.linear(parts.training, parts.test)},
    }


def languages(recipe: Recipe[Any], full: bool) -> Parts:
    """Names of countries, languages, currencies, scripts and cities. Names that two languages share are left out."""
    from babel import Locale

    owners: dict[str, set[str]] = {}
    for language in LANGUAGES:
        locale = Locale(language)
        tables: list[Mapping[Any, Any]] = [locale.territories, locale.languages, locale.currencies, locale.scripts]
        names = {str(name) for table in tables for name in table.values()}
        names |= {str(name["city"]) for name in locale.time_zones.values() if "city" in name}
        for name in names:
            owners.setdefault(name, set()).add(language)
    pairs = sorted((name, next(iter(found))) for name, found in owners.items() if len(found) == 1)
    order = np.random.default_rng(0).permutation(len(pairs))
    everything = Labelled([pairs[i][0] for i in order], [pairs[i][1] for i in order])
    held_out = len(pairs) // 5
    return Parts(everything.part(list(range(held_out, len(pairs)))), None, everything.part(list(range(held_out))))


def language_baselines(recipe: Recipe[Any], parts: Parts) -> Mapping[str, Mapping[str, float]]:
    """The most frequent language, and two models of n-grams."""
    return {
        "majority": {"accuracy": baselines.majority(parts.training, parts.test)},
        "naive Bayes": {"accuracy": baselines.naive_bayes(parts.training, parts.test)},
        "linear, on n-grams": {"accuracy": baselines.linear_by_ngrams(parts.training, parts.test)},
    }


SETS = (
    ExampleSet(
        "vowels",
        "which of nine speakers said it, from 12 coefficients for each frame of speech (Japanese vowels)",
        vowels,
        vowel_baselines,
        {"validation": 0.0},
        {"hidden": 128, "epochs": 200},
    ),
    ExampleSet(
        "languages",
        f"which of {len(LANGUAGES)} languages has this name for a country, a language, a currency or a city",
        languages,
        language_baselines,
        {"hidden": 128, "embedding": 48, "batch": 64, "dropout": 0.2, "rate": 4e-3},
        {"hidden": 256},
    ),
)
