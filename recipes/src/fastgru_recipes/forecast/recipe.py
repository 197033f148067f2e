"""Time-series forecasting with quantiles: a linear path of the past values, and a GRU that writes changes of it.

    past (B, T, features) -> weights of past values, from ridge regression and exponential smoothing -> forecast
                          -> GRU -> h_n -> one vector per future step -> with that step's calendar -> changes

Each future step has its own outputs ("direct" forecasting), so errors do not accumulate. The loss is the pinball loss
(Koenker and Bassett 1978), whose minimum at level q is the q-quantile. The validation part decides how much of the
GRU's changes counts: where they do not help, the forecast is that of the linear path.

`network.py` has both paths, `linear_path.py` finds the weights, `fitted.py` sets them, `defaults.py` has what is left
to the data, `quantiles.py` has the loss, `read_series.py` reads tables, and `features.py` computes what the network
reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fastgru.errors import ArgumentError
from fastgru_recipes.errors import DataError
from fastgru_recipes.file_options import TableOptions
from fastgru_recipes.forecast import defaults, features, fitted, read_series
from fastgru_recipes.forecast.counts import shown
from fastgru_recipes.forecast.inputs import Category, Inputs
from fastgru_recipes.forecast.network import ForecastNetwork
from fastgru_recipes.forecast.quantiles import pinball, recalibrated
from fastgru_recipes.forecast.read_series import Panel, Series
from fastgru_recipes.forecast.regular_times import Fill
from fastgru_recipes.forecast.series_columns import SeriesColumns, categorical
from fastgru_recipes.forecast.time_zones import require_zone
from fastgru_recipes.forecast.windows import ForecastWindow, collated, learned, whole
from fastgru_recipes.option_names import given, named
from fastgru_recipes.plots import forecasts as plots
from fastgru_recipes.recipe import Batch, Loss, Recipe, State, option, several
from fastgru_recipes.training.batching import answers

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LARGEST_COUNT = 2.0**53  # whole numbers beyond stay floating-point numbers, which they were


@dataclass(frozen=True, kw_only=True)
class Forecast(TableOptions, Recipe[Panel]):
    """Forecasts of one or many time series, with quantiles."""

    name: ClassVar[str] = "forecast"
    metric: ClassVar[str] = "MASE"
    higher_is_better: ClassVar[bool] = False
    state_file: ClassVar[str] = "scaler.json"
    loss_name: ClassVar[str] = "pinball loss (standard deviations)"
    of_network: ClassVar[tuple[str, ...]] = (
        *Recipe.of_network, "context", "horizon", "quantiles", "season", "transform", "counts", "width", "embedding",
        "categorical",
    )  # fmt: skip
    advice: ClassVar[str] = (
        "Try another context, the columns that are known in advance, or more history; or use the baseline."
    )

    context: int = option(
        0,
        "Number of past steps that the network reads, at least 2; 0: two to eight seasons, or 8 to 30 steps.",
        least=0,
    )
    horizon: int = option(
        0, "Number of steps to forecast; 0: by the frequency, such as 24 hours, 14 days, 12 months.", least=0
    )
    quantiles: tuple[float, ...] = option((0.1, 0.5, 0.9), "Quantile levels between 0 and 1; 0.5 must be one of them.")
    stride: int = option(1, "Steps between the starts of training windows.", least=1)
    season: int = option(
        0, "Season length in steps; 0: by the frequency, such as 24 hours, 7 days, 12 months.", least=0
    )
    transform: features.Transform = option(
        "auto", "Transform of the values: none, log or sqrt, for variance that grows with the mean; auto: by the data."
    )
    counts: features.Counts = option(
        "auto", "Whether values are counts, whose forecasts are whole numbers from zero; auto: if all values are."
    )
    recent: int = option(20, "Number of past horizons whose errors recalibrate the quantiles; 0 disables it.", least=0)
    width: int = option(32, "Size of the vector of each future step.", least=1)
    embedding: int = option(0, "Size of the learned embedding of each series; 0 for none.", least=0)
    time: str = option("time", "Column of times; an empty name numbers the rows.")
    zone: str = option("", "Time zone of times that have none, such as Europe/Berlin, whose clocks change.")
    fill: Fill = option(
        "none",
        "What fills missing rows and values: the previous value, a line, or zero. Default: an error.",
    )
    target: tuple[str, ...] = option(
        (read_series.VALUE,), "Column of values; several columns of a wide table, separated by commas."
    )
    series: str = option("series", "Column of series names in a long table; optional.")
    covariates: tuple[str, ...] = option((), "Columns known up to the present, separated by commas.")
    known: tuple[str, ...] = option(
        (), "Columns known in advance, separated by commas; rows without a value at the end give the future."
    )
    categorical: tuple[str, ...] = option(
        (),
        "Columns of categories, separated by commas; those that change within a series must be among the covariates or "
        "the known ones too.",
    )
    patience: int = option(
        5, "Epochs without a better validation loss after which training stops; 0 disables early stopping.", least=0
    )
    dropout: float = option(0.1, "Probability of zeroing an element of the final state.", least=0, most=1)
    validation: float = option(
        0.15, "Fraction of each series, at its end, that chooses the best epoch.", least=0, most=0.9
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, kind in (
            ("quantiles", float),
            ("target", str),
            ("covariates", str),
            ("known", str),
            ("categorical", str),
        ):
            object.__setattr__(self, name, several(getattr(self, name), name, kind))
        if [*self.quantiles] != (shares := sorted({*self.quantiles, 0.5})) or not 0 < shares[0] <= shares[-1] < 1:
            raise ArgumentError(
                f"{given('quantiles', self.quantiles)} must increase, lie between 0 and 1, and include 0.5."
            )
        if self.context == 1:
            raise ArgumentError(
                f"{given('context', 1)} is too small: the smallest allowed value is 2, or 0 for the default."
            )
        columns = [each for each in (self.time, self.columns.series) if each] + self.columns.values
        if self.zone:
            require_zone(self.zone)
        if not self.target or len({*columns}) < len(columns):
            raise ArgumentError(
                f"time, series, target, covariates, known and categorical name {columns}: a column twice, or no target."
            )

    @property
    def columns(self) -> SeriesColumns:
        """The meaning of the columns of a table."""
        others = (self.time, *self.target, *self.covariates, *self.known, *self.categorical)
        series = "" if self.series == read_series.SERIES and self.series in others else self.series
        covariates, known = (
            tuple(each for each in names if each not in self.categorical) for names in (self.covariates, self.known)
        )
        kinds = categorical(self.categorical, self.covariates, self.known)
        return SeriesColumns(self.time, series, self.target, covariates, known, self.zone, self.fill, kinds)

    def read(self, path: Path | str) -> Panel:
        return read_series.read(path, self.columns, self.table_format)

    def resolved(self, data: Panel) -> Forecast:
        """Fills in horizon, context, counts and transform from the data, of which the end may be held out."""
        season = self.season or data.season
        horizon = self.horizon or defaults.horizon(season)
        context = self.context or defaults.context(season, horizon, self._kept(data, horizon))
        are_counts = features.are_counts(data, self.counts)
        transform = self.transform
        if transform == "auto":
            known = [each.until(len(each.values) - self._held_out(len(each.values), horizon)) for each in data.series]
            fits = min(len(each.values) for each in known) >= context + horizon
            transform = defaults.transform(known, context, horizon, season, are_counts) if fits else "none"
        counts: features.Counts = "yes" if are_counts else "no"
        return replace(self, horizon=horizon, context=context, transform=transform, counts=counts)

    def choices(self, data: Panel) -> dict[str, Sequence[Any]]:
        season = self.season or data.season
        contexts = defaults.contexts(season, self.horizon, self._kept(data, self.horizon))
        return {"context": contexts, **super().choices(data)}

    def _kept(self, data: Panel, horizon: int) -> int:
        """The number of values of the shortest series that are left to learn from."""
        return min(len(each.values) - self._held_out(len(each.values), horizon) for each in data.series)

    def _held_out(self, count: int, horizon: int) -> int:
        """How many of `count` values choose the best epoch: enough for a forecast."""
        return min(count, max(int(count * self.validation), horizon + horizon // 2)) if self.validation else 0

    def split(self, data: Panel) -> tuple[Panel, Panel]:
        """Holds out the end of each series; the rest is the training part."""
        cuts = [len(each.values) - self._held_out(len(each.values), self.horizon) for each in data.series]
        training = [each.until(cut) for each, cut in zip(data.series, cuts, strict=True)]
        held_out = [replace(each, start=cut) for each, cut in zip(data.series, cuts, strict=True)]
        return replace(data, series=tuple(training)), replace(data, series=tuple(held_out))

    def learn_state(self, data: Panel) -> State:
        season = self.season or data.season
        for each in data.series:
            if len(each.values) < (least := max(self.context + self.horizon, season + 1)):
                raise DataError(
                    f"series {each.name} has {len(each.values)} values to learn from; a context of {self.context}, a "
                    f"horizon of {self.horizon} and a season of {season} need {least}. Give more data, or smaller "
                    f"values of {named('context')} and {named('horizon')}."
                )
        return learned(data, self.transform, season, self.columns.categorical)

    def _series(self, each: Series, state: State) -> ForecastWindow:
        """The features of a series, with its end as origin."""
        return whole(each, state, self.transform, self.horizon, self.columns.categorical, self.dtype)

    def examples(self, data: Panel, state: State) -> list[ForecastWindow]:
        """One window for each origin, every `stride` steps."""
        return [
            window._replace(origin=origin)
            for each in read_series.begun(data, self.context, self.horizon).series
            for window in [self._series(each, state)]
            for origin in range(each.start or 0, len(each.values) - self.horizon + 1, self.stride)
        ]

    def size(self, example: ForecastWindow) -> int:
        return 14 * self.layers * self.hidden * (self.context + self.horizon)

    def collate(self, examples: Sequence[ForecastWindow]) -> Batch:
        return collated(examples, self.context, self.horizon)

    def build(self, state: State) -> ForecastNetwork:
        columns = self.columns
        future = 2 * len(state["calendar"]) + len(columns.known)
        static = [1 + place for place in state["static"]]  # after the value
        kinds = [Category(len(state["categories"][each.name]), each.known) for each in columns.categorical]
        return ForecastNetwork(
            self.recurrent,
            context=self.context,
            inputs=Inputs(1 + len(columns.covariates) + future, future, static, kinds),
            series=len(state["scales"]),
            embedding=self.embedding,
            horizon=self.horizon,
            width=self.width,
            quantiles=len(self.quantiles),
        )

    def start(self, model: nn.Module, state: State, data: Panel) -> None:
        """Sets the linear path, and the quantiles of its errors."""
        fitted.start(model, self._standardized(state, data), state["season"], self.quantiles)

    def finish(self, model: nn.Module, state: State, validation: Panel | None) -> None:
        """Keeps as much of the GRU's changes as helps on validation data; without them all of it."""
        if validation is None:
            return
        windows = self.examples(validation, state)
        values = self._values(windows)
        middle = self.quantiles.index(0.5)

        def error(share: float) -> float:
            fitted.set_share(model, share)
            forecast = torch.stack(answers(self, windows, lambda batch: self._call(model, batch)))
            return float((forecast[..., middle] - values).abs().mean())

        fitted.choose_share(model, error, len(windows) * self.stride / self.horizon / len(validation.series))

    def refit(self, model: nn.Module, state: State, data: Panel, validation: Panel) -> None:
        """Fits the linear path to all values."""
        longest = {each.name: each for each in data.series}
        for each in validation.series:
            if each.name not in longest or len(each.values) > len(longest[each.name].values):
                longest[each.name] = each
        everything = replace(data, series=tuple(longest.values()))
        fitted.set_linear_path(model, self._standardized(state, everything), state["season"])

    def _standardized(self, state: State, data: Panel) -> list[NDArray[np.float64]]:
        return [
            features.standardized(each, features.known_scale(each, state, self.transform), self.transform)
            for each in data.series
        ]

    def _call(self, model: nn.Module, batch: Batch) -> Tensor:
        quantiles: Tensor = model(batch["past"], batch["future"], batch["numbers"])
        return quantiles

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        losses = pinball(self._call(model, batch), self._values(batch["examples"]), self.quantiles)
        return Loss(losses.sum(), losses.numel())

    def _quantiles(self, model: nn.Module, each: Series, state: State, start: int, end: int) -> Tensor:
        """Quantiles (N, horizon, Q) from N origins, in standard deviations. Earlier origins only recalibrate them."""
        first = max(self.context, start - (self.recent + 1) * self.horizon) if self.recent else start
        window = self._series(each, state)
        windows = [window._replace(origin=origin) for origin in range(first, end)]
        forecast = torch.stack(answers(self, windows, lambda batch: self._call(model, batch)))
        come = self._values([w for w in windows if w.origin + self.horizon <= len(each.values)])
        return recalibrated(forecast, come, self.quantiles, self.recent)[start - first :]

    def _untransformed(self, scaled: Tensor, scale: dict[str, float]) -> Tensor:
        """Quantiles in the units of the series."""
        return features.untransformed(scaled, scale, self.transform, self.counts == "yes")

    def _values(self, windows: Sequence[ForecastWindow]) -> Tensor:
        """The actual values (N, horizon) after each origin, in standard deviations."""
        values = [window.past[window.origin : window.origin + self.horizon, 0] for window in windows]
        return torch.stack(values) if values else torch.zeros(0, self.horizon)

    def score(self, model: nn.Module, state: State, data: Panel) -> dict[str, float]:
        """A rolling backtest: one forecast from each origin, with errors averaged over origins, steps and series.

        MASE and scaled_pinball are in units of the error of the seasonal naive forecast in all values before the first
        origin (Hyndman and Koehler 2006), or in the training part if that is longer.

        MASE and scaled_pinball are undefined for a series that repeats exactly. Their means exclude these series, which
        are counted, and are NaN if all series repeat.
        """
        errors, inside, losses = [], [], []
        for each in read_series.begun(data, self.context, self.horizon).series:
            scale = features.known_scale(each, state, self.transform)
            start, end = each.start or 0, len(each.values) - self.horizon + 1
            forecast = self._untransformed(self._quantiles(model, each, state, start, end), scale)
            values = torch.tensor(each.values).unfold(0, self.horizon, 1)[start:]
            median = forecast[..., self.quantiles.index(0.5)]
            error, loss = (median - values).abs().mean(), pinball(forecast, values, self.quantiles).mean()
            unit = features.error_unit(each.values[:start], scale, state["season"])
            errors.append(float(error) / unit)
            inside.append(float(((values >= forecast[..., 0]) & (values <= forecast[..., -1])).double().mean()))
            losses.append(float(loss) / unit)
        return {
            "MASE": _mean(errors),
            "coverage": float(np.mean(inside)),
            "nominal_coverage": self.quantiles[-1] - self.quantiles[0],
            "scaled_pinball": _mean(losses),
            **({"series_without_MASE": float(np.isnan(errors).sum())} if np.isnan(errors).any() else {}),
        }

    def predict(self, model: nn.Module, state: State, data: Panel, horizon: int | None = None) -> pd.DataFrame:
        """Forecasts after the end of each series, for the learned horizon or a shorter one."""
        steps, tables = horizon or self.horizon, []
        if steps > self.horizon:
            raise ArgumentError(f"{given('horizon', steps)} is more than {self.horizon}, the learned horizon.")
        for each in data.series:
            if len(each.values) < self.context:
                raise DataError(f"series {each.name} has {len(each.values)} values; the context needs {self.context}.")
            if self.known and len(each.known) < len(each.values) + steps:
                raise DataError(f"series {each.name}: {', '.join(self.known)} must be known {steps} steps ahead.")
            end = len(each.values)
            scaled = self._quantiles(model, each, state, end, end + 1)[0, :steps]
            forecast = self._untransformed(scaled, features.known_scale(each, state, self.transform))
            if self.counts == "yes" and float(forecast.max()) < LARGEST_COUNT:
                forecast = forecast.long()
            table = pd.DataFrame(forecast.numpy(), columns=[f"q{share}" for share in self.quantiles])
            table.insert(0, "time", shown(each.ahead(steps, state["frequency"])))
            table.insert(0, "series", each.name)
            tables.append(table)
        return pd.concat(tables, ignore_index=True)

    def plots(self, model: nn.Module, state: State, data: Panel, part: str) -> dict[str, Figure]:
        drawn = []
        for each in (data.series[number] for number in plots.chosen(len(data.series))):
            cut = replace(each.until(len(each.values) - self.horizon), known=each.known, categories=each.categories)
            table = self.predict(model, state, replace(data, series=(cut,)))
            last, times = 2 * self.context + self.horizon, shown(each.times[: len(each.values)])
            drawn.append(plots.SeriesForecast(each.name, times[-last:], each.values[-last:], table))
        value = self.target[0] if len(self.target) == 1 else read_series.VALUE
        return {"forecast": plots.forecasts(drawn, len(data.series), value, self.time or "number of the row", part)}


def _mean(figures: Sequence[float]) -> float:
    """The mean of the figures that are not NaN; NaN if there is none."""
    defined = [each for each in figures if not np.isnan(each)]
    return float(np.mean(defined)) if defined else float("nan")
