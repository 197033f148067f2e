"""The options of `SequenceClassifier`, which editors and type checkers read in classify.pyi."""

from __future__ import annotations

from fastgru_recipes.estimators.base import Estimator


class ClassifyOptions(Estimator, recipe="classify"):
    """The constructor of `SequenceClassifier`."""
