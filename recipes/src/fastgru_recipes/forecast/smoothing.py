"""Exponential smoothing as matrices: forecasts of Holt and Winters's methods from a window of past values.

With fixed parameters each of these forecasts is a weighted sum of the values in the window, so it is a matrix (T, H),
found by smoothing the T unit vectors. Level, damped trend and additive season follow Hyndman et al. 2008, chapter 2;
the first season of the window, or its first steps, give the initial level, trend and season.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]

LEVELS = (0.02, 0.1, 0.2, 0.35, 0.5, 0.7, 0.9, 1.0)  # alpha
TRENDS = ((0.0, 0.0), *((share, damping) for share in (0.0, 0.05, 0.2, 0.5) for damping in (0.8, 0.9, 0.97, 1.0)))
SEASONS = (0.0, 0.1, 0.3, 0.6)  # gamma, as a share of 1 - alpha


class Smoothing(NamedTuple):
    """Parameters of exponential smoothing.

    Attributes:
        level: alpha, the share of an error that goes into the level.
        trend: the share of that which goes into the trend.
        damping: phi, by which the trend shrinks each step; 0: there is no trend.
        season: the share of the rest of the error that goes into the season.
    """

    level: float
    trend: float
    damping: float
    season: float


def grid(has_season: bool) -> Iterator[list[Smoothing]]:
    """All parameters that are tried, in groups of one level."""
    seasons = SEASONS if has_season else (0.0,)
    for level in LEVELS:
        yield [Smoothing(level, *trend, season) for trend in TRENDS for season in seasons]


def matrices(group: list[Smoothing], steps: int, horizon: int, season: int) -> Matrix:
    """The matrices (K, T, H) of K methods: past values (T,) times a matrix are the forecasts (H,).

    Args:
        group: the K methods.
        steps: the number of past values, T: at least two seasons, or two.
        horizon: the number of steps to forecast, H.
        season: the season's length; 1 for none.
    """
    level, share, damping, seasonal = (np.array(column)[:, None] for column in zip(*group, strict=True))
    unit = np.eye(steps)
    begin = season if season > 1 else min(4, steps // 2)
    slope = (unit[begin : 2 * begin].mean(0) - unit[:begin].mean(0)) / begin
    line = unit[:begin].mean(0) + slope * (np.arange(begin)[:, None] - (begin - 1) / 2)
    now = np.repeat(line[-1:], len(group), 0)
    trend = slope * (damping > 0)
    cycle = np.repeat((unit[:begin] - line)[None], len(group), 0) if season > 1 else np.zeros((len(group), 1, steps))
    for step in range(begin, steps):
        place = step % season
        error = unit[step] - now - damping * trend - cycle[:, place]
        now = now + damping * trend + level * error
        trend = damping * trend + level * share * error
        cycle[:, place] += (1 - level) * seasonal * error
    damped = np.cumsum(damping ** np.arange(1, horizon + 1), 1)
    ahead = [now + damped[:, [step]] * trend + cycle[:, (steps + step) % season] for step in range(horizon)]
    return np.stack(ahead, 2)
