"""Options of the forecaster that are left to the data: horizon, context, transform."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fastgru_recipes.forecast import features, linear_path
from fastgru_recipes.forecast.read_series import Series

# Season -> the horizon that is usual for it: six years, eight quarters, a year of months, 13 weeks, 14 days.
HORIZONS = {1: 6, 4: 8, 5: 10, 7: 14, 12: 12, 24: 24, 52: 13}
LONGEST_HORIZON = 48
SEASONS_READ = (2, 3, 4, 6, 8)
SHORT = 56  # values: of more than that no more than four seasons are read
STEPS_READ = (8, 16, 30)  # where there is no season
CLEARLY = 0.95  # of the error with the square root: what another transform of counts must reach
SHARE_READ = 0.45  # of the values before the first horizon: the rest is what training windows begin at


def horizon(season: int) -> int:
    """The number of steps to forecast."""
    return HORIZONS.get(season, min(season, LONGEST_HORIZON))


def context(season: int, horizon: int, values: int) -> int:
    """The number of past steps to read: several seasons, if there are so many values."""
    counts = [each for each in SEASONS_READ if each * season <= max(4 * season, SHORT)]
    counts = counts[:2] if season > linear_path.LONG_SEASON else counts
    named = [count * season for count in counts] if season > 1 else [*STEPS_READ]
    room = values - horizon
    fitting = [each for each in named if each <= SHARE_READ * room]
    if fitting:
        return max(fitting)
    if season > 1 and 2 * season <= room - 2:
        return 2 * season
    return max(2, min(season if season > 1 else 4, room // 3))


def contexts(season: int, horizon: int, values: int) -> list[int]:
    """The numbers of past steps that a search tries: as far as half of the values are left to begin windows at."""
    named = [each * season for each in SEASONS_READ] if season > 1 else [4, *STEPS_READ, 60]
    return [each for each in named if each <= SHARE_READ * (values - horizon)]


def transform(
    series: Sequence[Series], context: int, horizon: int, season: int, are_counts: bool
) -> features.Transform:
    """The transform with which exponential smoothing forecasts the values best: none or log.

    Of counts it is the square root unless another one is clearly better: the variance of counts grows with their mean,
    and so the root makes it about the same everywhere (Bartlett 1936).
    """
    names: tuple[features.Transform, ...] = ("sqrt", "none", "log") if are_counts else ("none", "log")
    errors = {name: _error(series, name, context, horizon, season, are_counts) for name in names}
    best = min(errors, key=lambda name: errors[name])
    return "sqrt" if are_counts and errors["sqrt"] * CLEARLY < errors[best] else best


def _error(
    series: Sequence[Series],
    transform: features.Transform,
    context: int,
    horizon: int,
    season: int,
    are_counts: bool,
) -> float:
    """The error of the best smoothing in the units of the series, relative to their deviations."""
    if transform == "log" and min(each.values.min() for each in series) < 0:
        return float("inf")
    scales = [features.scale(each, transform, season) for each in series]
    values = [features.standardized(each, scale, transform) for each, scale in zip(series, scales, strict=True)]
    found = linear_path.smoothed(values, context, horizon, season)
    total = 0.0
    for each, scaled, scale in zip(series, values, scales, strict=True):
        known = linear_path.windows([scaled], context, horizon, linear_path.ALL, 0, linear_path.JUDGED)
        forecast = features.untransformed_values(known.past @ found, scale, transform, are_counts)
        actual = features.untransformed_values(known.ahead, scale, transform, are_counts)
        total += float(np.abs(forecast - actual).mean()) / float(each.values.std() or 1.0) if len(actual) else 0.0
    return total
