"""The features of time series: scaled values and calendar columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastgru_recipes.errors import DataError
from fastgru_recipes.forecast.read_series import Panel, Series
from fastgru_recipes.option_names import given
from fastgru_recipes.recipe import State
from fastgru_recipes.scaling import ROUNDING, deviation

Transform = Literal["auto", "none", "sqrt", "log"]
Columns = NDArray[np.float64]  # (T, C)

Counts = Literal["auto", "yes", "no"]
NOTHING = 1e-6  # relative to a series' standard deviation: smaller seasonal errors are rounding

DAY = pd.Timedelta(days=1)
# Calendar cycle -> its length, and the position of a time in it, from 0 to 1.
CYCLES = {
    "hour of day": (DAY, lambda t: (t.hour + t.minute / 60 + t.second / 3600) / 24),
    "day of week": (7 * DAY, lambda t: t.day_of_week / 7),
    "day of year": (365.25 * DAY, lambda t: (t.day_of_year - 1) / 365.25),
}


def are_counts(panel: Panel, asked: Counts) -> bool:
    """Whether the values of a panel are counts: whole numbers of at least zero, unless the user says no.

    Raises:
        DataError: if they are not, and the user says yes.
    """
    for each in panel.series:
        bad = np.flatnonzero((each.values < 0) | (each.values != np.round(each.values)))
        if bad.size and asked == "yes":
            raise DataError(
                f"series {each.name} has the value {each.values[bad[0]]:g}: counts are whole numbers of at least zero. "
                f"Give {given('counts', 'no')}."
            )
        if bad.size:
            return False
    return asked != "no"


def transformed(each: Series, transform: Transform, unit: float = 1.0) -> NDArray[np.float64]:
    """The values of a series, transformed; log is that of 1 + value / unit."""
    if transform == "none":
        return each.values
    if (least := each.values.min()) < 0:
        raise DataError(
            f"series {each.name} has the value {least:g}: {transform} is for values that are not negative. "
            "Choose transform none."
        )
    values: NDArray[np.float64] = np.sqrt(each.values) if transform == "sqrt" else np.log1p(each.values / unit)
    return values


def untransformed(scaled: Tensor, scale: dict[str, float], transform: Transform, are_counts: bool) -> Tensor:
    """The outputs of the network in the units of the series."""
    return torch.from_numpy(untransformed_values(scaled.double().numpy(), scale, transform, are_counts))


def untransformed_values(
    scaled: NDArray[np.float64], scale: dict[str, float], transform: Transform, are_counts: bool
) -> NDArray[np.float64]:
    """The inverse of `standardized`; counts are the nearest whole numbers from zero."""
    values = _untransformed(scaled, scale, transform)
    return np.maximum(np.round(values), 0) if are_counts else values


def _untransformed(scaled: NDArray[np.float64], scale: dict[str, float], transform: Transform) -> NDArray[np.float64]:
    values: NDArray[np.float64] = scaled * scale["deviation"] + scale["mean"]
    if transform == "none":
        return values
    if transform == "sqrt":
        return np.maximum(values, 0) ** 2
    with np.errstate(over="ignore"):  # infinity is what it is
        return np.maximum(np.expm1(values), 0) * scale["unit"]


def scale(each: Series, transform: Transform, season: int) -> dict[str, float]:
    """Of the history: mean and deviation of its transformed values, unit of the logarithm, seasonal naive error."""
    values = each.values[: each.start]
    unit = min(1.0, float(np.abs(values).mean()) / 10) or 1.0  # of the logarithm: small numbers have no log near 0
    history = transformed(each, transform, unit)[: each.start]
    return {
        "values": len(values),
        "seasonal_error": seasonal_error(values, season),
        "unit": unit,
        "mean": float(history.mean()),
        "deviation": float(deviation(history[:, None])[0]),
    }


def standardized(each: Series, scale: dict[str, float], transform: Transform) -> NDArray[np.float64]:
    """The transformed values of a series (T,), of mean 0 and deviation 1 in its history."""
    values: NDArray[np.float64] = transformed(each, transform, scale["unit"]) - scale["mean"]
    return values / scale["deviation"]


def seasonal_error(values: NDArray[np.float64], season: int) -> float:
    """The mean absolute error of the seasonal naive forecast; 0 if values repeat up to rounding, or are too few."""
    error = float(np.abs(values[season:] - values[:-season]).mean()) if len(values) > season else 0.0
    return error if error > max(NOTHING * values.std(), ROUNDING * np.abs(values).max()) else 0.0


def error_unit(history: NDArray[np.float64], scale: dict[str, float], season: int) -> float:
    """What errors are divided by: the seasonal naive error of the history, or the learned one if that knew more.

    NaN if values repeat exactly.
    """
    knows_more = len(history) > scale["values"]
    error = seasonal_error(history, season) if knows_more else scale["seasonal_error"]
    return error if error > NOTHING * history.std() else float("nan")


def known_scale(each: Series, state: State, transform: Transform) -> dict[str, float]:
    """The learned scale of a series; the scale of its own history if it is new."""
    learned: dict[str, float] | None = state["scales"].get(each.name)
    return learned or scale(each, transform, state["season"])


def calendar(times: pd.DatetimeIndex, names: Sequence[str]) -> NDArray[np.float64]:
    """Positions of times in cycles, as points on circles: (T, 2 * number of names)."""
    angles = [2 * np.pi * np.asarray(CYCLES[name][1](times), np.float64) for name in names]
    return (
        np.stack([f(angle) for angle in angles for f in (np.sin, np.cos)], 1) if angles else np.zeros((len(times), 0))
    )


def cycles(panel: Panel) -> list[str]:
    """The cycles for calendar columns: longer than a step, and contained at least twice in the longest series."""
    longest = max(panel.series, key=lambda each: len(each.values)).times
    step = longest[1] - longest[0]
    return [name for name, (length, _) in CYCLES.items() if step < length <= (longest[-1] - longest[0]) / 2]
