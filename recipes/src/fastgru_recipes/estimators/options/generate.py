"""The options of `Generator`, which editors and type checkers read in generate.pyi."""

from __future__ import annotations

from fastgru_recipes.estimators.base import Estimator


class GenerateOptions(Estimator, recipe="generate"):
    """The constructor of `Generator`."""
