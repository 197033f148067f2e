"""Baselines for forecasts: the last value, the line through the ends, the last season, ridge regression, ETS."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import RidgeCV

from fastgru_recipes.forecast.features import error_unit, known_scale, seasonal_error
from fastgru_recipes.forecast.read_series import Panel, Series, begun
from fastgru_recipes.recipe import State

if TYPE_CHECKING:
    from fastgru_recipes.forecast.recipe import Forecast

LONGEST_SEASON, MOST_SERIES = 60, 20  # with more, exponential smoothing would take longer than training
LEAST_SMOOTHED = 10  # values that statsmodels needs for the first level of exponential smoothing
Values = NDArray[np.float64]
# Maps the training values, a longer series and an origin in it to a forecast. It must not use values from the origin
# on.
Method = Callable[[Values, Values, int], Values]


def compared(
    recipe: Forecast, training: Panel | None, test: Panel, state: State | None = None
) -> dict[str, dict[str, float]]:
    """MASE of each baseline, from the origins that the recipe's `score` uses. ETS needs statsmodels.

    Args:
        recipe: the recipe with its options.
        training: the series to learn from. None: only methods that learn nothing are scored.
        test: the series to forecast.
        state: what the recipe has learned. With it the errors are in the units of the recipe's `score`.
    """
    test = begun(test, recipe.context, recipe.horizon)
    season = state["season"] if state else recipe.season or test.season
    known = _history(training or test, test)
    units = [_unit(old.values, new, season, recipe, state) for old, new in zip(known.series, test.series, strict=True)]
    found = simple(season, recipe.horizon, min(each.start or 0 for each in test.series))
    if training is not None:
        found |= learning(season, recipe.horizon, recipe.context, known)
    return {
        name: {"MASE": rolling_mase(known, test, recipe.horizon, season, method, units)}
        for name, method in found.items()
    }


def simple(season: int, horizon: int, history: int) -> dict[str, Method]:
    """The methods that learn nothing, for series with at least `history` values before their first origin."""
    found: dict[str, Method] = {"seasonal naive": naive(season, horizon)} if 1 < season <= history else {}
    return found | {"last value": naive(1, horizon), "drift": drift(horizon)}


def learning(season: int, horizon: int, context: int, known: Panel) -> dict[str, Method]:
    """The methods that learn from these series, without those for which a series is too short, or that take long."""
    least = min(len(each.values) for each in known.series)
    found: dict[str, Method] = {"ridge": Ridge(context, horizon)} if least > context + horizon else {}
    is_quick = season <= LONGEST_SEASON and len(known.series) <= MOST_SERIES
    if find_spec("statsmodels") and is_quick and least >= max(LEAST_SMOOTHED, 2 * season):
        found["ETS"] = ExponentialSmoothing(season, horizon, trend=False)
        found["ETS, damped trend"] = ExponentialSmoothing(season, horizon, trend=True)
    return found


def _history(training: Panel, test: Panel) -> Panel:
    """The training part of each test series: that of its name, or what comes before its first origin."""
    named = {each.name: each for each in training.series if training is not test}
    found = [named.get(each.name) or each.until(each.start or len(each.values)) for each in test.series]
    return replace(training, series=tuple(found))


def _unit(known: Values, each: Series, season: int, recipe: Forecast, state: State | None) -> float:
    """What the errors of a series are divided by; NaN if it repeats exactly."""
    history = each.values[: each.start]
    if state is not None:
        return error_unit(history, known_scale(each, state, recipe.transform), season)
    return seasonal_error(max(known, history, key=len), season) or float("nan")


def rolling_mase(
    training: Panel, test: Panel, horizon: int, season: int, method: Method, units: Sequence[float] | None = None
) -> float:
    """MASE of a rolling backtest over the origins that the recipe's `score` uses; NaN if all series repeat.

    Args:
        training: the training series.
        test: the same series, longer; the `start` of each one is its first origin.
        horizon: the number of steps to forecast.
        season: the season of the naive forecast by whose error others are divided.
        method: the method to score.
        units: the errors of the naive forecast. Default: those in the training series.
    """
    scores = []
    for number, (known, each) in enumerate(zip(training.series, test.series, strict=True)):
        origins = range(each.start or len(known.values), len(each.values) - horizon + 1)
        errors = [
            np.abs(method(known.values, each.values, origin)[:horizon] - each.values[origin : origin + horizon])
            for origin in origins
        ]
        unit = seasonal_error(known.values, season) if units is None else units[number]
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
