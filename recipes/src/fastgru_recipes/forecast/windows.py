"""Windows of series as tensors: the features of each step, and the place from which to forecast."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from fastgru_recipes import scaling
from fastgru_recipes.forecast import categories, features, read_series
from fastgru_recipes.forecast.read_series import Panel, Series
from fastgru_recipes.forecast.series_columns import Categorical
from fastgru_recipes.recipe import Batch, State


class ForecastWindow(NamedTuple):
    """A place in a series from which to forecast.

    Attributes:
        past: (T, F), features of the series: the scaled value, numbers, and codes of categories.
        ahead: (T + horizon, K), features that are known in advance: numbers, and codes of categories.
        number: the number of the series, from 1; 0 for a series that is new.
        origin: the index of the first step to forecast.
    """

    past: Tensor
    ahead: Tensor
    number: int
    origin: int


def learned(panel: Panel, transform: features.Transform, season: int, columns: Sequence[Categorical]) -> State:
    """What the features of a panel's series depend on."""
    return {
        "frequency": panel.frequency,
        "season": season,
        "calendar": features.cycles(panel),
        "scales": {each.name: features.scale(each, transform, season) for each in panel.series},
        "covariates": scaling.moments([each.covariates for each in panel.series]),
        "static": _static(panel),
        "known": scaling.moments([each.known for each in panel.series]),
        "categories": categories.learned(columns, [each.categories for each in panel.series]),
    }


def _static(panel: Panel) -> list[int]:
    """Which covariates are the same in all steps of each series; none if there is only one series."""
    same = [np.ptp(each.covariates, 0) == 0 for each in panel.series]
    return [int(place) for place in np.flatnonzero(np.all(same, 0))] if len(same) > 1 else []


def whole(
    each: Series,
    state: State,
    transform: features.Transform,
    horizon: int,
    columns: Sequence[Categorical],
    dtype: torch.dtype,
) -> ForecastWindow:
    """The features of a series, with its end as origin."""
    read_series.require_frequency(each, state["frequency"])
    scale, count = features.known_scale(each, state, transform), len(each.values)
    values = features.standardized(each, scale, transform)
    times = each.times[:count].append(each.ahead(horizon, state["frequency"]))
    known = _lengthened(scaling.standardized(each.known[: count + horizon], state["known"]), count + horizon)
    codes = _lengthened(categories.codes(each.categories[: count + horizon], state["categories"]), count + horizon)
    covariates = scaling.standardized(each.covariates, state["covariates"])
    numbers = np.concatenate([features.calendar(times, state["calendar"]), known], 1)
    past = np.concatenate([values[:, None], covariates, numbers[:count], codes[:count]], 1)
    ahead = np.concatenate([numbers, codes[:, [column.known == "ahead" for column in columns]]], 1)
    number = [None, *state["scales"]].index(each.name) if each.name in state["scales"] else 0
    return ForecastWindow(torch.from_numpy(past).to(dtype), torch.from_numpy(ahead).to(dtype), number, count)


def _lengthened(rows: features.Columns, count: int) -> features.Columns:
    """The rows, with the last one repeated where the future is not known. `predict` checks the steps that it needs."""
    return np.pad(rows, ((0, count - len(rows)), (0, 0)), mode="edge")


def collated(windows: Sequence[ForecastWindow], context: int, horizon: int) -> Batch:
    """A batch of windows: past (B, T, F), future (B, H, K), numbers of series (B,), and the windows themselves."""
    return {
        "past": torch.stack([past[at - context : at] for past, _, _, at in windows]),
        "future": torch.stack([ahead[at : at + horizon] for _, ahead, _, at in windows]),
        "numbers": torch.tensor([number for _, _, number, _ in windows]),
        "examples": windows,
    }
