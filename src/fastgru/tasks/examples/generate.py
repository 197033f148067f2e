"""English prose of an old kind, and Chinese poems."""

from __future__ import annotations

import lzma
import re
from collections.abc import Mapping
from typing import Any

from fastgru.tasks.baselines import generate as baselines
from fastgru.tasks.examples import ExampleSet, Parts, installed, packaged
from fastgru.tasks.recipe import Recipe

POEMS = "/usr/share/games/fortunes"
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def english(recipe: Recipe[Any], full: bool) -> Parts:
    """Ten books of the World English Bible; the last tenth is the test."""
    return cut(lzma.decompress(packaged("english.txt.xz").read_bytes()).decode())


def chinese(recipe: Recipe[Any], full: bool) -> Parts:
    """Poems of Tang and Song from Debian's fortunes-zh, without the colours of the terminal."""
    files = [installed(f"{POEMS}/{name}", "fortunes-zh") for name in ("tang300", "song100")]
    poems = [poem for file in files for poem in COLOURS.sub("", file.read_text(encoding="utf-8")).split("\n%\n")]
    lines = [line.strip() for poem in poems for line in (*poem.splitlines(), "")]
    return cut("\n".join(line for line in lines if line != "%"))


def cut(text: str) -> Parts:
    """The last tenth is the test, from the beginning of a line."""
    end = text.index("\n", len(text) - len(text) // 10) + 1
    return Parts(text[:end], None, text[end:])


def beaten(recipe: Recipe[Any], parts: Parts) -> Mapping[str, float]:
    """A 5-gram model and two compressors; they have the validation part too, the network has not."""
    return {
        "Kneser-Ney, 5 characters": baselines.kneser_ney(parts.training, parts.test),
        "xz -9e": baselines.xzipped(parts.training, parts.test),
        "gzip -9": baselines.gzipped(parts.training, parts.test),
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
