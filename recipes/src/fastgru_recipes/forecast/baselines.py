"""Baselines for forecasts: the last value, the line through the ends, the last season, ridge regression, ETS."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import RidgeCV

from fastgru_recipes.forecast.features import seasonal_error
from fastgru_recipes.forecast.read_series import Panel

if TYPE_CHECKING:
    from fastgru_recipes.forecast.recipe import Forecast

LONGEST_SEASON, MOST_SERIES = 60, 20  # with more, exponential smoothing would take longer than training
Values = NDArray[np.float64]
# Maps the training values, a longer series and an origin in it to a forecast. It must not use values from the origin
# on.
Method = Callable[[Values, Values, int], Values]


def compared(recipe: Forecast, training: Panel, test: Panel) -> dict[str, dict[str, float]]:
    """MASE of each baseline, from the origins that the recipe's `score` uses. ETS needs statsmodels."""
    season, horizon, context = recipe.season or training.season, recipe.horizon, recipe.context
    methods: dict[str, Method] = {"last value": naive(1, horizon), "drift": drift(horizon)}
    if season > 1:
        methods = {"seasonal naive": naive(season, horizon)} | methods
    methods["ridge"] = Ridge(context, horizon)
    if find_spec("statsmodels") and season <= LONGEST_SEASON and len(test.series) <= MOST_SERIES:
        methods["ETS"] = ExponentialSmoothing(season, horizon, trend=False)
        methods["ETS, damped trend"] = ExponentialSmoothing(season, horizon, trend=True)
    known = _history(training, test)
    return {name: {"MASE": rolling_mase(known, test, horizon, season, method)} for name, method in methods.items()}


def _history(training: Panel, test: Panel) -> Panel:
    """The training part of each test series: that of its name, or what comes before its first origin."""
    named = {each.name: each for each in training.series}
    found = [named.get(each.name) or each.until(each.start or len(each.values)) for each in test.series]
    return replace(training, series=tuple(found))


def rolling_mase(training: Panel, test: Panel, horizon: int, season: int, method: Method) -> float:
    """MASE of a rolling backtest over the origins that the recipe's `score` uses; NaN if all series repeat.

    Args:
        training: the training series, which also give the seasonal naive errors.
        test: the same series, longer; the `start` of each one is its first origin.
        horizon: the number of steps to forecast.
        season: the season of the naive forecast by whose error others are divided.
        method: the method to score.
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
    """The seasonal naive forecast: the last season repeated. With a season of 1, the last value."""
    return lambda _, values, origin: np.resize(values[origin - season : origin], horizon)


def drift(horizon: int) -> Method:
    """The line through the first and the last value."""

    def forecast(_: Values, values: Values, origin: int) -> Values:
        slope = (values[origin - 1] - values[0]) / max(1, origin - 1)
        ahead: Values = values[origin - 1] + slope * np.arange(1, horizon + 1)
        return ahead

    return forecast


class Ridge:
    """Ridge regression of the horizon on the last values; the penalty is chosen by leaving out one window at a time."""

    def __init__(self, context: int, horizon: int) -> None:
        self.context, self.horizon = context, horizon
        self.learned_from, self.model = np.empty(0), RidgeCV(alphas=np.logspace(-3, 5, 17))

    def __call__(self, training: Values, values: Values, origin: int) -> Values:
        if self.learned_from is not training:
            windows = np.lib.stride_tricks.sliding_window_view(training, self.context + self.horizon)
            self.model.fit(windows[:, : self.context], windows[:, self.context :])
            self.learned_from = training
        ahead: Values = self.model.predict(values[None, origin - self.context : origin])[0]
        return ahead


class ExponentialSmoothing:
    """Exponential smoothing with level, additive season and an optional damped trend (Hyndman et al. 2008).

    statsmodels fits the parameters to the training values and smooths the longer series with them. Level, trend and
    season before an origin give the forecast from there. A test compares the forecasts with those of statsmodels.
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
        """The forecasts after each value, (T, horizon)."""
        from statsmodels.tsa.exponential_smoothing.ets import ETSModel

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # optimizers that stop early; the result is scored anyway
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
