"""What a network reads of time series: scaled values, calendar columns, covariates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import Tensor

from fastgru_recipes.errors import DataError
from fastgru_recipes.forecast.read_series import Panel, Series
from fastgru_recipes.recipe import State
from fastgru_recipes.scaling import ROUNDING, deviation

Transform = Literal["none", "sqrt", "log"]

NOTHING = 1e-6  # of a series' deviation: an error of one season before that is smaller is one of rounding

DAY = pd.Timedelta(days=1)
# What a calendar column counts: the cycle's length, and where in it a time stands, from 0 to 1.
CYCLES = {
    "hour of day": (DAY, lambda t: (t.hour + t.minute / 60 + t.second / 3600) / 24),
    "day of week": (7 * DAY, lambda t: t.day_of_week / 7),
    "day of year": (365.25 * DAY, lambda t: (t.day_of_year - 1) / 365.25),
}


def transformed(each: Series, transform: Transform) -> NDArray[np.float64]:
    """Values of a series whose spread grows with them, made even."""
    if transform == "none":
        return each.values
    if (least := each.values.min()) < 0:
        raise DataError(
            f"series {each.name} has the value {least:g}: {transform} is for values that are not negative. "
            "Choose transform none."
        )
    values: NDArray[np.float64] = np.sqrt(each.values) if transform == "sqrt" else np.log1p(each.values)
    return values


def untransformed(scaled: Tensor, scale: dict[str, float], transform: Transform) -> Tensor:
    """What the network writes, in the series' own units."""
    values = scaled.double() * scale["deviation"] + scale["mean"]
    if transform == "none":
        return values
    return values.clamp(min=0) ** 2 if transform == "sqrt" else values.expm1().clamp(min=0)


def scale(each: Series, transform: Transform, season: int) -> dict[str, float]:
    """Of the history: mean and deviation, transformed; and the mean error of saying what was one season before."""
    history, values = transformed(each, transform)[: each.start], each.values[: each.start]
    return {
        "mean": float(history.mean()),
        "deviation": float(deviation(history[:, None])[0]),
        "seasonal_error": seasonal_error(values, season),
    }


def seasonal_error(values: NDArray[np.float64], season: int) -> float:
    """The mean error of saying what was one season before; 0 where values repeat but for rounding, or are too few."""
    error = float(np.abs(values[season:] - values[:-season]).mean()) if len(values) > season else 0.0
    return error if error > max(NOTHING * values.std(), ROUNDING * np.abs(values).max()) else 0.0


def by_seasonal_error(error: float, scale: dict[str, float], history: NDArray[np.float64]) -> float:
    """An error in units of the seasonal one; nan where the history repeats, as there is no such unit then."""
    unit = scale["seasonal_error"]  # a run of an earlier version may have kept one of rounding
    return error / unit if unit > NOTHING * history.std() else float("nan")


def known_scale(each: Series, state: State, transform: Transform) -> dict[str, float]:
    """What was learned; for a series that is new, of its own history."""
    learned: dict[str, float] | None = state["scales"].get(each.name)
    return learned or scale(each, transform, state["season"])


def calendar(times: pd.DatetimeIndex, names: Sequence[str]) -> NDArray[np.float64]:
    """Where times stand in cycles, as points on circles: (T, 2 * names)."""
    angles = [2 * np.pi * np.asarray(CYCLES[name][1](times), np.float64) for name in names]
    return (
        np.stack([f(angle) for angle in angles for f in (np.sin, np.cos)], 1) if angles else np.zeros((len(times), 0))
    )


def cycles(panel: Panel) -> list[str]:
    """The cycles that calendar columns are made of: longer than a step, and seen at least twice."""
    longest = max(panel.series, key=lambda each: len(each.values)).times
    step = longest[1] - longest[0]
    return [name for name, (length, _) in CYCLES.items() if step < length <= (longest[-1] - longest[0]) / 2]
