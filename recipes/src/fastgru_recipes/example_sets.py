"""Example data for each recipe, with the options that train on it and the baselines to beat.

The module `examples` of each recipe has a tuple `SETS`; `fastgru example RECIPE` uses the first one by default.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, NamedTuple

from fastgru_recipes.errors import DataError
from fastgru_recipes.recipe import Recipe


class Parts(NamedTuple):
    """The data of an example, in the form that its recipe takes.

    Attributes:
        training: the training data.
        validation: the data that choose the best epoch; None for a fraction of `training`.
        test: the data that are scored once, at the end.
    """

    training: Any
    validation: Any
    test: Any


@dataclass(frozen=True)
class ExampleSet:
    """One set of example data.

    Attributes:
        name: its name in `fastgru example RECIPE NAME`.
        about: a short description of the data.
        load: returns the parts: all of the data if its second argument is true, else as much as trains in three
            minutes.
        baselines: returns the scores of each baseline on the same test part, by its name: the metric, perhaps others.
        options: options of the recipe for the short run.
        full_options: options of the recipe for `--full`, in addition to `options`.
        metric: a score that replaces the recipe's metric for this set, a key of the result of `score`.
        is_packaged: whether the data come with this package and its extra. The others need a system package.
    """

    name: str
    about: str
    load: Callable[[Recipe[Any], bool], Parts]
    baselines: Callable[[Recipe[Any], Parts], Mapping[str, Mapping[str, float]]]
    options: Mapping[str, Any] = field(default_factory=dict)
    full_options: Mapping[str, Any] = field(default_factory=dict)
    metric: str | None = None
    is_packaged: bool = True


def sets(recipe: str) -> tuple[ExampleSet, ...]:
    """The example sets of a recipe."""
    found: tuple[ExampleSet, ...] = import_module(f"fastgru_recipes.{recipe}.examples").SETS
    return found


def packaged(name: str) -> Path:
    """The path of a file in `fastgru_recipes/data`. The README.md there gives sources and licences."""
    with as_file(files("fastgru_recipes").joinpath("data", name)) as path:
        return path


def installed(path: str, package: str) -> Path:
    """The path of a file that a Debian package installs."""
    if not Path(path).exists():
        raise DataError(f"{path} is missing. It comes with a Debian package: apt-get install {package}")
    return Path(path)
