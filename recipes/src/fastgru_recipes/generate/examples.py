"""Examples for `generate`: an English Bible, and Chinese poems."""

from __future__ import annotations

import lzma
from collections.abc import Mapping
from typing import Any

from fastgru_recipes.example_sets import ExampleSet, Parts, packaged
from fastgru_recipes.generate import baselines
from fastgru_recipes.recipe import Recipe


def english(recipe: Recipe[Any], full: bool) -> Parts:
    """Ten books of the World English Bible; the last tenth is the test part."""
    return held_out_tenth("english.txt.xz")


def chinese(recipe: Recipe[Any], full: bool) -> Parts:
    """Poems by seven poets of the Tang dynasty, in random order; the last tenth is the test part."""
    return held_out_tenth("chinese.txt.xz")


def held_out_tenth(name: str) -> Parts:
    """A packaged text, whose last tenth is the test part, from the start of a line."""
    text = lzma.decompress(packaged(name).read_bytes()).decode()
    end = text.index("\n", len(text) - len(text) // 10) + 1
    return Parts(text[:end], None, text[end:])


def text_baselines(recipe: Recipe[Any], parts: Parts) -> Mapping[str, Mapping[str, float]]:
    """A 5-gram model and two compressors. They also learn from the validation part, unlike the network."""
    return baselines.compared(recipe, parts.training, parts.test)  # type: ignore[arg-type]


SETS = (
    ExampleSet(
        "english",
        "1.2 million characters of the World English Bible",
        english,
        text_baselines,
        {"hidden": 384, "epochs": 3, "batch": 32, "window": 128, "rate": 4e-3, "validation": 0.02},
        {"hidden": 768, "layers": 2, "dropout": 0.3, "epochs": 12, "rate": 2e-3, "window": 256},
    ),
    ExampleSet(
        "chinese",
        "4,084 poems by seven poets of the Tang dynasty",
        chinese,
        text_baselines,
        {"hidden": 256, "embedding": 128, "epochs": 4, "window": 64, "dropout": 0.2, "rate": 4e-3, "validation": 0.02,
         "tokens": 6000},
        {"hidden": 384, "embedding": 256, "epochs": 8, "dropout": 0.4, "rate": 3e-3},
    ),
)  # fmt: skip
