"""Real data for each recipe, with the settings that learn it and the baselines to beat.

Each module here has the name of a recipe and a tuple `SETS`, the one that `fastgru example RECIPE` takes first.
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
    """The data of an example, as its recipe takes them.

    Attributes:
        training: to learn from.
        validation: chooses the best epoch; None for a share of `training`.
        test: measured once.
    """

    training: Any
    validation: Any
    test: Any


@dataclass(frozen=True)
class ExampleSet:
    """One set of real data.

    Attributes:
        name: as `fastgru example RECIPE NAME` calls it.
        about: what the data are, in a few words.
        load: the parts; the whole of the data when its second argument is true, else what three minutes are enough for.
        baselines: of each, by name, its scores on the same test part: the metric, perhaps others.
        options: of the recipe, for the short run.
        full_options: of the recipe, for `--full`, on top of `options`.
        metric: judges this set in place of the recipe's own, a key of what `score` returns.
        is_packaged: whether the data come with this package and its extra; the others need a package of the system.
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
    """The sets of a recipe."""
    found: tuple[ExampleSet, ...] = import_module(f"fastgru_recipes.{recipe}.examples").SETS
    return found


def packaged(name: str) -> Path:
    """A file of `fastgru_recipes/data`; README.md there tells sources and licences."""
    with as_file(files("fastgru_recipes").joinpath("data", name)) as path:
        return path


def installed(path: str, package: str) -> Path:
    """A file of a Debian package."""
    if not Path(path).exists():
        raise DataError(f"{path} is missing. It comes with a package of Debian: apt-get install {package}")
    return Path(path)
