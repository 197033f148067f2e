"""Example for `tag`: capital letters and punctuation for a text without them."""

from __future__ import annotations

import lzma
from collections.abc import Mapping
from typing import Any

from fastgru_recipes.example_sets import ExampleSet, Parts, packaged
from fastgru_recipes.recipe import Recipe
from fastgru_recipes.tag import baselines, read_tagged


def capitals(recipe: Recipe[Any], full: bool) -> Parts:
    """Ten books of the World English Bible; the last tenth is the test part."""
    lines = lzma.decompress(packaged("english.txt.xz").read_bytes()).decode().splitlines()
    cut = len(lines) * 9 // 10
    learned, test = (read_tagged.from_text([" ".join(part)], with_tags=True) for part in (lines[:cut], lines[cut:]))
    return Parts(learned, None, test)


def tag_baselines(recipe: Recipe[Any], parts: Parts) -> Mapping[str, Mapping[str, float]]:
    """The most frequent tag: of all tokens, of the word, of the word after the previous one."""
    return baselines.compared(recipe, parts.training, parts.test)  # type: ignore[arg-type]


SETS = (
    ExampleSet(
        "capitals",
        "capitals and punctuation of the World English Bible, from its words in lower case",
        capitals,
        tag_baselines,
        {
            "hidden": 128,
            "embedding": 128,
            "window": 128,
            "epochs": 8,
            "batch": 16,
            "rate": 4e-3,
            "dropout": 0.4,
            "validation": 0.05,
        },
        {"hidden": 256, "layers": 2, "epochs": 15, "rate": 2e-3, "batch": 32},
    ),
)
