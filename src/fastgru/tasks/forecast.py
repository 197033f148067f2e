"""The next values of time series, with quantiles: a GRU reads the past, a head writes the whole horizon at once.

    past (B, T, features) -> GRU -> h_n -> one vector per step ahead -> with that step's calendar -> quantiles

Every step ahead has its own outputs ("direct" forecasting), so errors do not feed on each other. What the head writes
are changes from the last value, in units of the series' own deviation, so that one network serves series of any size.
The loss is the pinball loss (Koenker and Bassett 1978): its minimum at share q is the q-quantile.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from fastgru.errors import ArgumentError, DataError
from fastgru.tasks import layers, plots
from fastgru.tasks import series as time_series
from fastgru.tasks.batching import answers
from fastgru.tasks.recipe import Batch, Example, Loss, Recipe, State, option
from fastgru.tasks.series import Panel, Series

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Forecaster(nn.Module):
    """Encoder of the past and head over the horizon."""

    def __init__(self, recipe: Forecast, past: int, future: int) -> None:
        super().__init__()
        self.horizon = recipe.horizon
        self.gru = layers.recurrent(recipe.layer, past, recipe.hidden, num_layers=recipe.layers, dropout=recipe.dropout)
        self.dropout = nn.Dropout(recipe.dropout)
        self.ahead = nn.Linear(recipe.hidden, recipe.horizon * recipe.width)
        self.head = nn.Sequential(
            nn.Linear(recipe.width + future, recipe.width), nn.ReLU(), nn.Linear(recipe.width, len(recipe.quantiles))
        )

    def forward(self, past: Tensor, future: Tensor) -> Tensor:
        """(B, T, F) whose first feature is the scaled value, and (B, horizon, K), to quantiles (B, horizon, Q)."""
        _, state = self.gru(past)
        vector = self.dropout(layers.summary(state))
        steps = self.ahead(vector).unflatten(1, (self.horizon, -1)).relu()
        changes: Tensor = self.head(torch.cat([steps, future], -1))
        # In order, so that quantiles never cross.
        return past[:, -1, :1, None] + changes.sort(-1).values


@dataclass(frozen=True, kw_only=True)
class Forecast(Recipe[Panel]):
    """The next values of one or many time series, with quantiles."""

    name: ClassVar[str] = "forecast"
    metric: ClassVar[str] = "MASE"
    higher_is_better: ClassVar[bool] = False
    state_file: ClassVar[str] = "scaler.json"

    context: int = option(96, "Steps that the network reads.", least=2)
    horizon: int = option(24, "Steps that it forecasts.", least=1)
    quantiles: tuple[float, ...] = option((0.1, 0.5, 0.9), "Shares below the forecasts; 0.5 must be one of them.")
    stride: int = option(1, "Steps between the starts of training windows.", least=1)
    season: int = option(0, "Steps after which the series repeat, for MASE; 0 takes it from the frequency.", least=0)
    transform: time_series.Transform = option(
        "none", "Of the values: sqrt and log suit counts, whose spread grows with them."
    )
    recent: int = option(20, "Horizons whose errors shift the bands; 0 leaves them as learned.", least=0)
    width: int = option(32, "Size of the vector of each step ahead.", least=1)
    time: str = option("time", "Column of the times.")
    target: tuple[str, ...] = option(("value",), "Column of the values; several of a wide table, with commas.")
    series: str = option("series", "Column of the series' names in a long table; need not be there.")
    covariates: tuple[str, ...] = option((), "Columns known until the present, with commas.")
    known: tuple[str, ...] = option((), "Columns known ahead: rows without a value, at the end, tell the future.")
    dropout: float = option(0.1, "Probability of zeroing an element of the last state.", least=0, most=1)
    validation: float = option(0.15, "Share of each series, its end, that chooses the best epoch.", least=0, most=0.9)

    def __post_init__(self) -> None:
        super().__post_init__()
        shares = list(self.quantiles)
        if shares != sorted(set(shares)) or 0.5 not in shares or not 0 < shares[0] <= shares[-1] < 1:
            raise ArgumentError(f"quantiles={self.quantiles} must rise, lie between 0 and 1, and have 0.5 among them.")

    @property
    def columns(self) -> time_series.Columns:
        """What the columns of a table mean."""
        return time_series.Columns(self.time, self.series, self.target, self.covariates, self.known)

    def read(self, path: Path) -> Panel:
        return time_series.read(path, self.columns)

    def split(self, data: Panel) -> tuple[Panel, Panel]:
        """The end of each series is held out; its history is the training part."""
        cuts = [len(each.values) - int(len(each.values) * self.validation) for each in data.series]
        training = [each.until(cut) for each, cut in zip(data.series, cuts, strict=True)]
        held_out = [replace(each, start=cut) for each, cut in zip(data.series, cuts, strict=True)]
        return replace(data, series=tuple(training)), replace(data, series=tuple(held_out))

    def learn_state(self, data: Panel) -> State:
        season = self.season or data.season
        for each in data.series:
            if len(each.values) < (least := max(self.context + self.horizon, season + 1)):
                raise DataError(
                    f"series {each.name} has {len(each.values)} values to learn from; a context of {self.context}, a "
                    f"horizon of {self.horizon} and a season of {season} need {least}. Give more, or smaller ones."
                )
        covariates = np.concatenate([each.covariates for each in data.series])
        known = np.concatenate([each.known for each in data.series])
        return {
            "frequency": data.frequency,
            "season": season,
            "calendar": time_series.cycles(data),
            "scales": {each.name: self._learn_scale(each, season) for each in data.series},
            "covariates": time_series.moments(covariates),
            "known": time_series.moments(known),
        }

    def _scale_of(self, each: Series, state: State) -> dict[str, float]:
        """What was learned; for a series that is new, of its own history."""
        return state["scales"].get(each.name) or self._learn_scale(each, state["season"])

    def _learn_scale(self, each: Series, season: int) -> dict[str, float]:
        """Mean and deviation of the transformed values; and the mean error of saying what was one season before."""
        values = time_series.transformed(each, self.transform)
        seasonal = np.abs(each.values[season:] - each.values[:-season]).mean() if len(values) > season else 0.0
        deviation = float(values.std()) or 1.0
        return {"mean": float(values.mean()), "deviation": deviation, "seasonal_error": float(seasonal) or 1.0}

    def _restored(self, scaled: Tensor, scale: dict[str, float]) -> Tensor:
        """What the network writes, in the series' own units."""
        return time_series.restored(scaled.double() * scale["deviation"] + scale["mean"], self.transform)

    def _features(self, each: Series, state: State) -> tuple[Tensor, Tensor]:
        """Of the past (T, F), the scaled value first; and what is known ahead (T + horizon, K)."""
        scale = self._scale_of(each, state)
        count = len(each.values)
        values = (time_series.transformed(each, self.transform) - scale["mean"]) / scale["deviation"]
        times = each.times[:count].append(each.ahead(self.horizon, state["frequency"]))
        known = time_series.standardized(each.known[: count + self.horizon], state["known"])
        known = np.pad(known, ((0, count + self.horizon - len(known)), (0, 0)), mode="edge")
        ahead = np.concatenate([time_series.calendar(times, state["calendar"]), known], 1)
        past = np.concatenate(
            [values[:, None], time_series.standardized(each.covariates, state["covariates"]), ahead[:count]], 1
        )
        return torch.tensor(past, dtype=torch.float32), torch.tensor(ahead, dtype=torch.float32)

    def examples(self, data: Panel, state: State) -> list[Example]:
        """One for each origin, the first step ahead: past, what is known, and the place in them."""
        return self._windows(data, state, self.stride)

    def _windows(self, data: Panel, state: State, stride: int) -> list[Example]:
        found = []
        for each in data.series:
            past, ahead = self._features(each, state)
            start = self.context if each.start is None else each.start
            if start < self.context or start + self.horizon > len(each.values):
                raise DataError(
                    f"series {each.name} has {start} values of history and {len(each.values) - start} to forecast; the "
                    f"context of {self.context} and the horizon of {self.horizon} need more."
                )
            found += [(past, ahead, origin) for origin in range(start, len(each.values) - self.horizon + 1, stride)]
        return found

    def collate(self, examples: Sequence[Example]) -> Batch:
        return {
            "past": torch.stack([past[at - self.context : at] for past, _, at in examples]),
            "future": torch.stack([ahead[at : at + self.horizon] for _, ahead, at in examples]),
            "examples": examples,
        }

    def build(self, state: State) -> Forecaster:
        future = 2 * len(state["calendar"]) + len(self.known)
        return Forecaster(self, 1 + len(self.covariates) + future, future)

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        forecast = model(batch["past"], batch["future"])
        losses = pinball(forecast, self._values(batch["examples"]), self.quantiles)
        return Loss(losses.sum(), losses.numel())

    def _quantiles(self, model: nn.Module, each: Series, state: State, origins: range) -> Tensor:
        """(N, horizon, Q) from each origin, in deviations.

        A network is too sure where the future differs from what it has learned from. So all quantiles but the median
        are shifted by the errors of the forecasts before, those whose whole horizon had come at the origin: conformal
        prediction (Romano et al. 2019) that moves along with the series.
        """
        first = max(self.context, origins[0] - (self.recent + 1) * self.horizon) if self.recent else origins[0]
        past, ahead = self._features(each, state)
        windows = [(past, ahead, origin) for origin in range(first, origins[-1] + 1)]
        forecast = torch.stack(answers(self, windows, lambda batch: model(batch["past"], batch["future"])))
        known = len(each.values) - self.horizon + 1 - first  # windows whose values have come
        errors = self._values(windows[:known])[..., None] - forecast[:known]
        shifted = forecast.clone()
        for row in range(origins[0] - first, len(windows)):
            seen = errors[max(0, row - (self.recent + 1) * self.horizon + 1) : max(0, row - self.horizon + 1)]
            for index, share in enumerate(self.quantiles):
                if len(seen) >= 2 * self.horizon and share != 0.5:
                    shifted[row, :, index] += seen[..., index].quantile(share, dim=0)
        return shifted[origins[0] - first :].sort(-1).values

    def _values(self, examples: Sequence[Example]) -> Tensor:
        """(N, horizon): what came, in deviations."""
        return torch.stack([past[at : at + self.horizon, 0] for past, _, at in examples])

    def score(self, model: nn.Module, state: State, data: Panel) -> dict[str, float]:
        """A rolling back-test: a forecast from every origin, errors averaged over origins, steps and series."""
        errors, inside, losses = [], [], []
        for each in data.series:
            scale = self._scale_of(each, state)
            windows = self._windows(replace(data, series=(each,)), state, 1)
            origins = range(windows[0][-1], windows[-1][-1] + 1)
            forecast = self._restored(self._quantiles(model, each, state, origins), scale)
            values = self._restored(self._values(windows), scale)
            median = forecast[..., self.quantiles.index(0.5)]
            errors.append(float((median - values).abs().mean()) / scale["seasonal_error"])
            inside.append(float(((values >= forecast[..., 0]) & (values <= forecast[..., -1])).double().mean()))
            losses.append(float(pinball(forecast, values, self.quantiles).mean()) / scale["seasonal_error"])
        return {
            "MASE": float(np.mean(errors)),
            "coverage": float(np.mean(inside)),
            "nominal_coverage": self.quantiles[-1] - self.quantiles[0],
            "scaled_pinball": float(np.mean(losses)),
        }

    def predict(self, model: nn.Module, state: State, data: Panel) -> pd.DataFrame:
        """The next steps after the end of each series."""
        tables = []
        for each in data.series:
            if len(each.values) < self.context:
                raise DataError(f"series {each.name} has {len(each.values)} values; the context needs {self.context}.")
            if self.known and len(each.known) < len(each.values) + self.horizon:
                raise DataError(
                    f"series {each.name}: {', '.join(self.known)} must be known {self.horizon} steps ahead."
                )
            end = len(each.values)
            forecast = self._quantiles(model, each, state, range(end, end + 1))[0]
            forecast = self._restored(forecast, self._scale_of(each, state))
            table = pd.DataFrame(forecast.numpy(), columns=[f"q{share:g}" for share in self.quantiles])
            table.insert(0, "time", each.ahead(self.horizon, state["frequency"]))
            table.insert(0, "series", each.name)
            tables.append(table)
        return pd.concat(tables, ignore_index=True)

    def plots(self, model: nn.Module, state: State, data: Panel) -> dict[str, Figure]:
        each = data.series[0]
        cut = each.until(len(each.values) - self.horizon)
        table = self.predict(
            model, state, replace(data, series=(cut,) if not self.known else (replace(cut, known=each.known),))
        )
        shown = min(len(each.values), 2 * self.context + self.horizon)
        return {
            "forecast": plots.bands(each.times[: len(each.values)][-shown:], each.values[-shown:], table, each.name)
        }


def pinball(forecast: Tensor, values: Tensor, quantiles: Sequence[float]) -> Tensor:
    """(..., Q) and (...), to the loss of each quantile: q above it, 1 - q below."""
    shares = torch.tensor(quantiles, dtype=forecast.dtype)
    error = values[..., None] - forecast
    return torch.maximum(shares * error, (shares - 1) * error)
