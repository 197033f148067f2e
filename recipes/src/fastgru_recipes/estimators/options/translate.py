"""The options of `Translator`, which editors and type checkers read in translate.pyi."""

from __future__ import annotations

from fastgru_recipes.estimators.base import Estimator


class TranslateOptions(Estimator, recipe="translate"):
    """The constructor of `Translator`."""
