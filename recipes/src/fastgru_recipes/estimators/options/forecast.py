"""The options of `Forecaster`, which editors and type checkers read in forecast.pyi."""

from __future__ import annotations

from fastgru_recipes.estimators.base import Estimator


class ForecastOptions(Estimator, recipe="forecast"):
    """The constructor of `Forecaster`."""
