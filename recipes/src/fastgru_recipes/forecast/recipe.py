"""The next values of time series, with quantiles: a GRU reads the past, a head writes the whole horizon at once.

    past (B, T, features) -> GRU -> h_n -> one vector per step ahead -> with that step's calendar -> quantiles

Every step ahead has its own outputs ("direct" forecasting), so errors do not feed on each other. What the head writes
are changes from the last value, in units of the series' own deviation, so that one network serves series of any size.
The loss is the pinball loss (Koenker and Bassett 1978): its minimum at share q is the q-quantile.
`quantiles.py` has it; `read_series.py` reads tables, `features.py` makes numbers of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from fastgru.errors import ArgumentError
from fastgru_recipes import plots, scaling
from fastgru_recipes.errors import DataError
from fastgru_recipes.forecast import features, read_series
from fastgru_recipes.forecast.network import ForecastNetwork
from fastgru_recipes.forecast.quantiles import pinball, recalibrated
from fastgru_recipes.forecast.read_series import Panel, Series
from fastgru_recipes.recipe import Batch, Loss, Recipe, State, option, several
from fastgru_recipes.training.batching import answers

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class ForecastWindow(NamedTuple):
    """One place in a series to forecast from.

    Attributes:
        past: (T, F), features of the whole series, its scaled value first.
        ahead: (T + horizon, K), those that are known ahead.
        number: of the series, from 1; 0 is one that training has not seen.
        origin: the first step to forecast.
    """

    past: Tensor
    ahead: Tensor
    number: int
    origin: int


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
    transform: features.Transform = option(
        "none", "Of the values: sqrt and log suit counts, whose spread grows with them."
    )
    recent: int = option(20, "Horizons whose errors shift the bands; 0 leaves them as learned.", least=0)
    width: int = option(32, "Size of the vector of each step ahead.", least=1)
    embedding: int = option(0, "Size of a vector that is learned for each series; 0 learns none.", least=0)
    time: str = option("time", "Column of the times.")
    target: tuple[str, ...] = option(
        (read_series.VALUE,), "Column of the values; several of a wide table, with commas."
    )
    series: str = option("series", "Column of the series' names in a long table; need not be there.")
    covariates: tuple[str, ...] = option((), "Columns known until the present, with commas.")
    known: tuple[str, ...] = option((), "Columns known ahead: rows without a value, at the end, tell the future.")
    dropout: float = option(0.1, "Probability of zeroing an element of the last state.", least=0, most=1)
    validation: float = option(0.15, "Share of each series, its end, that chooses the best epoch.", least=0, most=0.9)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, kind in (("quantiles", float), ("target", str), ("covariates", str), ("known", str)):
            object.__setattr__(self, name, several(getattr(self, name), name, kind))
        if [*self.quantiles] != (shares := sorted({*self.quantiles, 0.5})) or not 0 < shares[0] <= shares[-1] < 1:
            raise ArgumentError(f"quantiles={self.quantiles} must rise, lie between 0 and 1, and have 0.5 among them.")
        named = [self.time, self.columns.series, *self.target, *self.covariates, *self.known]
        if not self.target or len({*named}) < len(named):
            raise ArgumentError(
                f"time, series, target, covariates and known name {named}: a column twice, or no target."
            )

    @property
    def columns(self) -> read_series.SeriesColumns:
        """What the columns of a table mean."""
        others = (self.time, *self.target, *self.covariates, *self.known)
        series = "" if self.series == read_series.SERIES and self.series in others else self.series
        return read_series.SeriesColumns(self.time, series, self.target, self.covariates, self.known)

    def read(self, path: Path | str) -> Panel:
        return read_series.read(path, self.columns)

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
        return {
            "frequency": data.frequency,
            "season": season,
            "calendar": features.cycles(data),
            "scales": {each.name: features.scale(each, self.transform, season) for each in data.series},
            "covariates": scaling.moments([each.covariates for each in data.series]),
            "known": scaling.moments([each.known for each in data.series]),
        }

    def _series(self, each: Series, state: State) -> ForecastWindow:
        """The features of a series, at the end of it."""
        read_series.require_frequency(each, state["frequency"])
        scale, count = features.known_scale(each, state, self.transform), len(each.values)
        values = (features.transformed(each, self.transform) - scale["mean"]) / scale["deviation"]
        times = each.times[:count].append(each.ahead(self.horizon, state["frequency"]))
        known = scaling.standardized(each.known[: count + self.horizon], state["known"])
        known = np.pad(known, ((0, count + self.horizon - len(known)), (0, 0)), mode="edge")  # `predict` asks for all
        ahead = np.concatenate([features.calendar(times, state["calendar"]), known], 1)
        covariates = scaling.standardized(each.covariates, state["covariates"])
        past = np.concatenate([values[:, None], covariates, ahead[:count]], 1)
        number = [None, *state["scales"]].index(each.name) if each.name in state["scales"] else 0
        return ForecastWindow(
            torch.from_numpy(past).to(self.dtype), torch.from_numpy(ahead).to(self.dtype), number, count
        )

    def examples(self, data: Panel, state: State) -> list[ForecastWindow]:
        """One for each origin, every `stride` steps."""
        return [
            window._replace(origin=origin)
            for each in read_series.begun(data, self.context, self.horizon).series
            for window in [self._series(each, state)]
            for origin in range(each.start or 0, len(each.values) - self.horizon + 1, self.stride)
        ]

    def size(self, example: ForecastWindow) -> int:
        return 14 * self.layers * self.hidden * (self.context + self.horizon)

    def collate(self, examples: Sequence[ForecastWindow]) -> Batch:
        return {
            "past": torch.stack([past[at - self.context : at] for past, _, _, at in examples]),
            "future": torch.stack([ahead[at : at + self.horizon] for _, ahead, _, at in examples]),
            "numbers": torch.tensor([number for _, _, number, _ in examples]),
            "examples": examples,
        }

    def build(self, state: State) -> ForecastNetwork:
        future = 2 * len(state["calendar"]) + len(self.known)
        return ForecastNetwork(
            self.recurrent,
            past=1 + len(self.covariates) + future,
            future=future,
            series=len(state["scales"]),
            embedding=self.embedding,
            horizon=self.horizon,
            width=self.width,
            quantiles=len(self.quantiles),
        )

    def _call(self, model: nn.Module, batch: Batch) -> Tensor:
        quantiles: Tensor = model(batch["past"], batch["future"], batch["numbers"])
        return quantiles

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        losses = pinball(self._call(model, batch), self._values(batch["examples"]), self.quantiles)
        return Loss(losses.sum(), losses.numel())

    def _quantiles(self, model: nn.Module, each: Series, state: State, start: int, end: int) -> Tensor:
        """(N, horizon, Q) from each origin, in deviations; those before `start` only tell how far off they were."""
        first = max(self.context, start - (self.recent + 1) * self.horizon) if self.recent else start
        window = self._series(each, state)
        windows = [window._replace(origin=origin) for origin in range(first, end)]
        forecast = torch.stack(answers(self, windows, lambda batch: self._call(model, batch)))
        come = self._values([w for w in windows if w.origin + self.horizon <= len(each.values)])
        return recalibrated(forecast, come, self.quantiles, self.recent)[start - first :]

    def _values(self, windows: Sequence[ForecastWindow]) -> Tensor:
        """(N, horizon): what came, in deviations."""
        values = [window.past[window.origin : window.origin + self.horizon, 0] for window in windows]
        return torch.stack(values) if values else torch.zeros(0, self.horizon)

    def score(self, model: nn.Module, state: State, data: Panel) -> dict[str, float]:
        """A rolling back-test: a forecast from every origin, errors averaged over origins, steps and series.

        MASE and scaled_pinball are undefined for a series that repeats exactly: their means leave it out, and it is
        counted; they are nan where all series do.
        """
        errors, inside, losses = [], [], []
        for each in read_series.begun(data, self.context, self.horizon).series:
            scale = features.known_scale(each, state, self.transform)
            start, end = each.start or 0, len(each.values) - self.horizon + 1
            forecast = features.untransformed(self._quantiles(model, each, state, start, end), scale, self.transform)
            values = torch.tensor(each.values).unfold(0, self.horizon, 1)[start:]
            median = forecast[..., self.quantiles.index(0.5)]
            error, loss = (median - values).abs().mean(), pinball(forecast, values, self.quantiles).mean()
            errors.append(features.by_seasonal_error(float(error), scale, each.values[:start]))
            inside.append(float(((values >= forecast[..., 0]) & (values <= forecast[..., -1])).double().mean()))
            losses.append(features.by_seasonal_error(float(loss), scale, each.values[:start]))
        return {
            "MASE": _mean(errors),
            "coverage": float(np.mean(inside)),
            "nominal_coverage": self.quantiles[-1] - self.quantiles[0],
            "scaled_pinball": _mean(losses),
            **({"series_without_MASE": float(np.isnan(errors).sum())} if np.isnan(errors).any() else {}),
        }

    def predict(self, model: nn.Module, state: State, data: Panel, horizon: int | None = None) -> pd.DataFrame:
        """The next steps after the end of each series: the horizon that was learned, or a shorter one."""
        steps, tables = horizon or self.horizon, []
        for each in data.series:
            if len(each.values) < self.context:
                raise DataError(f"series {each.name} has {len(each.values)} values; the context needs {self.context}.")
            if self.known and len(each.known) < len(each.values) + steps:
                raise DataError(f"series {each.name}: {', '.join(self.known)} must be known {steps} steps ahead.")
            end = len(each.values)
            scaled = self._quantiles(model, each, state, end, end + 1)[0, :steps]
            forecast = features.untransformed(scaled, features.known_scale(each, state, self.transform), self.transform)
            table = pd.DataFrame(forecast.numpy(), columns=[f"q{share}" for share in self.quantiles])
            table.insert(0, "time", each.ahead(steps, state["frequency"]))
            table.insert(0, "series", each.name)
            tables.append(table)
        return pd.concat(tables, ignore_index=True)

    def plots(self, model: nn.Module, state: State, data: Panel) -> dict[str, Figure]:
        each = data.series[0]
        cut = replace(each.until(len(each.values) - self.horizon), known=each.known)
        table = self.predict(model, state, replace(data, series=(cut,)))
        shown, times = min(len(each.values), 2 * self.context + self.horizon), each.times[: len(each.values)]
        return {"forecast": plots.bands(times[-shown:], each.values[-shown:], table, each.name)}


def _mean(figures: Sequence[float]) -> float:
    """Of those that are defined; nan where none is."""
    defined = [each for each in figures if not np.isnan(each)]
    return float(np.mean(defined)) if defined else float("nan")
