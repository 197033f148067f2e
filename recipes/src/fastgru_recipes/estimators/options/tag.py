"""The options of `Tagger`, which editors and type checkers read in tag.pyi."""

from __future__ import annotations

from fastgru_recipes.estimators.base import Estimator


class TagOptions(Estimator, recipe="tag"):
    """The constructor of `Tagger`."""
