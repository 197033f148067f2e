"""Baselines for series: the same value again, the value of one season ago, exponential smoothing."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from statsmodels.tsa.exponential_smoothing.ets import ETSModel

from fastgru_recipes.forecast.features import seasonal_error
from fastgru_recipes.forecast.read_series import Panel

Values = NDArray[np.float64]
# From the training values, a longer series and an origin in it, to the values that follow; it may look at nothing from
# the origin on.
Method = Callable[[Values, Values, int], Values]


def rolling_mase(training: Panel, test: Panel, horizon: int, season: int, method: Method) -> float:
    """MASE of a rolling back-test with the origins that the recipe's own `score` has; nan where all series repeat.

    Args:
        training: what may be learned from; also gives the errors that scale others.
        test: the same series, longer; each one's `start` is its first origin.
        horizon: steps that are forecast.
        season: steps of the naive forecast that errors are divided by.
        method: to judge.
    """
    scores = []
    for known, each in zip(training.series, test.series, strict=True):
        origins = range(each.start or len(known.values), len(each.values) - horizon + 1)
        errors = [
            np.abs(method(known.values, each.values, origin)[:horizon] - each.values[origin : origin + horizon])
            for origin in origins
        ]
        unit = seasonal_error(known.values, season)
        scores.append(float(np.mean(errors)) / unit if unit else float("nan"))
    defined = [score for score in scores if not np.isnan(score)]
    return float(np.mean(defined)) if defined else float("nan")


def naive(season: int, horizon: int) -> Method:
    """What was a whole number of seasons before; with a season of 1 the last value."""
    return lambda _, values, origin: np.resize(values[origin - season : origin], horizon)


class ExponentialSmoothing:
    """Level, additive season, and a damped trend if asked (Hyndman et al. 2008), by statsmodels.

    How much to smooth is learned from the training values; level, trend and season then go on over the longer series,
    and those before an origin give the forecast from there. A test compares it with statsmodels' own forecasts.
    """

    def __init__(self, season: int, horizon: int, trend: bool) -> None:
        self.season, self.horizon = season, horizon
        self.kind: dict[str, Any] = {"error": "add", "initialization_method": "heuristic"}
        if trend:
            self.kind |= {"trend": "add", "damped_trend": True}
        if season > 1:
            self.kind |= {"seasonal": "add", "seasonal_periods": season}
        self.values, self.ahead = np.empty(0), np.empty(0)  # of the last series

    def __call__(self, training: Values, values: Values, origin: int) -> Values:
        if self.values is not values:
            self.values, self.ahead = values, self._all_forecasts(training, values)
        ahead: Values = self.ahead[origin - 1]
        return ahead

    def _all_forecasts(self, training: Values, values: Values) -> Values:
        """(T, horizon): after each value, the next ones."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of optimizers that stop early; what they found is judged like all else
            learned = ETSModel(training, **self.kind).fit(disp=False)
            smoothed = ETSModel(values, **self.kind).smooth(learned.params)
        steps = np.arange(1, self.horizon + 1)
        ahead: Values = np.repeat(smoothed.level[:, None], self.horizon, 1)
        if "trend" in self.kind:
            ahead += smoothed.slope[:, None] * np.cumsum(smoothed.phi**steps)
        if self.season > 1:
            last = np.arange(len(values))[:, None] - self.season + 1 + (steps - 1) % self.season
            ahead += smoothed.season[np.maximum(last, 0)]
        return ahead
