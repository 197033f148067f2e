"""English prose of an old kind, and Chinese poems."""

from __future__ import annotations

import lzma
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from fastgru.tasks.baselines import generate as baselines
from fastgru.tasks.examples import ExampleSet, Parts, installed, packaged
from fastgru.tasks.recipe import Recipe

POEMS = "/usr/share/games/fortunes"
TITLED = re.compile(r"-- *[^\s《]+《[^\n]+》\s*$")  # proverbs and hints in the same file have no poet and title
VERSES = re.compile(r"^ *(--|《|作者).*$", re.MULTILINE)  # all but these lines are verses
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def english(recipe: Recipe[Any], full: bool) -> Parts:
    """Ten books of the World English Bible; the last tenth is the test."""
    return cut(lzma.decompress(packaged("english.txt.xz").read_bytes()).decode())


def chinese(recipe: Recipe[Any], full: bool) -> Parts:
    """Classical poems of Debian's fortunes-zh, in an order drawn once, without titles, poets and terminal colours."""
    poems = []
    for name in ("tang300", "song100", "chinese"):
        text = COLOURS.sub("", installed(f"{POEMS}/{name}", "fortunes-zh").read_text(encoding="utf-8"))
        poems += [VERSES.sub("", poem) for poem in text.split("\n%\n") if name != "chinese" or TITLED.search(poem)]
    order = np.random.default_rng(0).permutation(len(poems))
    lines = [line.strip() for index in order for line in (*poems[index].strip().splitlines(), "")]
    return cut("\n".join(lines))


def cut(text: str) -> Parts:
    """The last tenth is the test, from the beginning of a line."""
    end = text.index("\n", len(text) - len(text) // 10) + 1
    return Parts(text[:end], None, text[end:])


def beaten(recipe: Recipe[Any], parts: Parts) -> Mapping[str, float]:
    """A 5-gram model and two compressors; they have the validation part too, the network has not."""
    return {
        "5-gram": baselines.kneser_ney(parts.training, parts.test),
        "xz": baselines.xzipped(parts.training, parts.test),
        "gzip": baselines.gzipped(parts.training, parts.test),
    }


SETS = (
    ExampleSet(
        "english",
        "1.2 million characters of the World English Bible",
        english,
        beaten,
        {"hidden": 384, "epochs": 3, "batch": 32, "window": 128, "rate": 4e-3, "validation": 0.02},
        {"hidden": 768, "layers": 2, "dropout": 0.3, "epochs": 12, "rate": 2e-3, "window": 256},
    ),
    ExampleSet(
        "chinese",
        "poems of the Tang and Song dynasties",
        chinese,
        beaten,
        {"hidden": 256, "embedding": 192, "epochs": 20, "batch": 16, "window": 64, "dropout": 0.4, "rate": 3e-3},
        {"epochs": 30},
        is_packaged=False,
    ),
)
