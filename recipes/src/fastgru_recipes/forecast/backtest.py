"""Backtests of the forecaster: forecasts from several origins in the past, scored beside those of simple methods."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from fastgru.errors import ArgumentError
from fastgru_recipes.errors import DataError
from fastgru_recipes.forecast import baselines, counts, defaults, read_series
from fastgru_recipes.forecast.features import seasonal_error
from fastgru_recipes.forecast.quantiles import pinball
from fastgru_recipes.forecast.read_series import Panel, Series
from fastgru_recipes.forecast.recipe import Forecast
from fastgru_recipes.training.train import train

Values = NDArray[np.float64]
NETWORK = "network"  # beside the names of the baselines


@dataclass(frozen=True)
class Backtest:
    """The result of a backtest.

    Attributes:
        recipe: the recipe with the options that were left to the data.
        forecasts: a row for each series, origin and step: `series`, `origin` (the time of the last known value),
            `time`, `step`, `value`, `forecast`, and the quantiles `q0.1` and so on.
        per_series: a row for each series: MASE of the network and of each baseline, and the coverage.
        per_step: the same for each step ahead.
        scores: MASE, coverage, nominal_coverage and scaled_pinball, as of `fastgru evaluate`.
        baselines: MASE of each baseline.
    """

    recipe: Forecast
    forecasts: pd.DataFrame
    per_series: pd.DataFrame
    per_step: pd.DataFrame
    scores: dict[str, float]
    baselines: dict[str, dict[str, float]]


class Folds(NamedTuple):
    """What was forecast, of S series in F folds.

    Attributes:
        values: (S, F, H), the actual values.
        quantiles: (S, F, H, Q), the forecasts of the network.
        others: (S, F, H), the forecasts of each baseline.
        units: (S,), what errors are divided by.
    """

    values: Values
    quantiles: Values
    others: dict[str, Values]
    units: Values


def backtest(
    data: Path | str | pd.DataFrame | pd.Series | Panel,
    *,
    folds: int = 5,
    refit: bool = False,
    progress: bool = False,
    **options: Any,
) -> Backtest:
    """Forecasts the last `folds * horizon` values of each series from `folds` origins, a horizon apart.

    The network learns from the values before the first origin, and at each origin reads the values before it. With
    `refit` it is trained anew at each origin, on all values before that one. Baselines learn from the same values.
    Errors are in units of the seasonal naive error before the first origin.

    Args:
        data: a file, a table or a Series, as `Forecaster.fit` takes them.
        folds: the number of origins.
        refit: train anew at each origin, which takes one training for each of them.
        progress: show progress bars.
        **options: the options of the recipe, such as `context`, `horizon` and `steps`.

    Raises:
        DataError: a ValueError, for data that are too short or cannot be read.
        ArgumentError: a ValueError, for an option outside its bounds.
        TrainingInterrupted: on Ctrl-C or SIGTERM.

    Example:
        >>> import numpy as np, pandas as pd
        >>> from fastgru_recipes import backtest
        >>> hours = pd.date_range("2024-01-01", periods=240, freq="h")
        >>> noise = np.random.default_rng(0).normal(size=240)
        >>> wave = pd.Series(np.sin(np.arange(240) * np.pi / 12) + 0.1 * noise, hours, name="value")
        >>> found = backtest(wave, folds=2, horizon=6, context=24, hidden=4, steps=10)
        >>> found.forecasts.shape, found.per_step.columns[:3].tolist()
        ((12, 9), ['step', 'network', 'coverage'])
    """
    if isinstance(folds, bool) or not isinstance(folds, (int, np.integer)) or folds < 1:
        raise ArgumentError(f"folds={folds!r} is not a positive integer.")
    recipe = Forecast(**options)
    panel = _panel(data, recipe)
    horizon, season = recipe.horizon or defaults.horizon(recipe.season or panel.season), recipe.season or panel.season
    origins = _origins(panel, int(folds), horizon)
    before = _until(panel, origins[:, 0])
    recipe = recipe.resolved(before)
    tables = _tables(recipe, panel, origins, refit, progress)
    found = Folds(
        np.array([_ahead(each, row, horizon) for each, row in zip(panel.series, origins, strict=True)]),
        np.stack([_stacked(table, len(panel.series), recipe) for table in tables], 1),
        _others(panel, origins, recipe, refit),
        np.array([seasonal_error(each.values, season) or np.nan for each in before.series]),
    )
    return _judged(recipe, panel, origins, found, tables)


def _tables(
    recipe: Forecast, panel: Panel, origins: NDArray[np.int64], refit: bool, progress: bool
) -> list[pd.DataFrame]:
    """The forecasts of each fold, as `predict` gives them."""
    trained, found = None, []
    for ends in origins.T:
        known = _until(panel, ends)
        if trained is None or refit:
            trained = train(recipe, known, progress=progress)
        both = zip(known.series, panel.series, strict=True)
        # What is known in advance goes on after the origin.
        seen = [replace(each, known=whole.known, categories=whole.categories) for each, whole in both]
        found.append(trained.recipe.predict(trained.model, trained.state, replace(known, series=tuple(seen))))
    return found


def _ahead(each: Series, origins: NDArray[np.int64], horizon: int) -> Values:
    """The values (F, H) after each origin."""
    return np.array([each.values[at : at + horizon] for at in origins])


def _panel(data: Any, recipe: Forecast) -> Panel:
    if isinstance(data, Panel):
        return data
    if isinstance(data, (str, Path)):
        return recipe.read(data)
    if isinstance(data, pd.Series):
        data = data.to_frame(recipe.columns.targets[0])
    if not isinstance(data, pd.DataFrame):
        raise DataError(f"the data are {type(data).__name__}; give a file, a DataFrame, or a Series with times.")
    return read_series.from_frame(data, recipe.columns)


def _origins(panel: Panel, folds: int, horizon: int) -> NDArray[np.int64]:
    """The index (S, F) of the first value that each fold forecasts."""
    for each in panel.series:
        if len(each.values) - folds * horizon < 3:
            raise DataError(
                f"series {each.name} has {len(each.values)} values: {folds} folds of {horizon} steps leave "
                f"{max(0, len(each.values) - folds * horizon)} to learn from. Give fewer folds, or a smaller horizon."
            )
    return np.array([[len(each.values) - left * horizon for left in range(folds, 0, -1)] for each in panel.series])


def _until(panel: Panel, ends: Sequence[int] | NDArray[np.int64]) -> Panel:
    return replace(panel, series=tuple(each.until(int(end)) for each, end in zip(panel.series, ends, strict=True)))


def _stacked(table: pd.DataFrame, series: int, recipe: Forecast) -> Values:
    """The quantiles (S, H, Q) of a table of forecasts."""
    names = [f"q{share}" for share in recipe.quantiles]
    found: Values = table[names].to_numpy(np.float64).reshape(series, recipe.horizon, len(names))
    return found


def _others(panel: Panel, origins: NDArray[np.int64], recipe: Forecast, refit: bool) -> dict[str, Values]:
    """The forecasts (S, F, H) of each baseline."""
    season, horizon, context = recipe.season or panel.season, recipe.horizon, recipe.context
    before = _until(panel, origins[:, 0])
    found: dict[str, Values] = {}
    history = min(len(each.values) for each in before.series)
    for number, each in enumerate(panel.series):
        for fold, origin in enumerate(origins[number]):
            if fold == 0 or refit:
                known = each.values[:origin]
                methods = baselines.simple(season, horizon, history)
                methods |= baselines.learning(season, horizon, context, before)
            for name, method in methods.items():
                place = found.setdefault(name, np.empty((*origins.shape, horizon)))
                place[number, fold] = method(known, each.values, int(origin))[:horizon]
    return found


# ---- scores


def _judged(
    recipe: Forecast, panel: Panel, origins: NDArray[np.int64], found: Folds, tables: Sequence[pd.DataFrame]
) -> Backtest:
    median = found.quantiles[..., recipe.quantiles.index(0.5)]
    errors = {
        name: np.abs(forecast - found.values) / found.units[:, None, None]
        for name, forecast in {NETWORK: median, **found.others}.items()
    }
    inside = (found.values >= found.quantiles[..., 0]) & (found.values <= found.quantiles[..., -1])
    losses = pinball(torch.from_numpy(found.quantiles), torch.from_numpy(found.values), recipe.quantiles).numpy()
    scores = {
        "MASE": _mean(errors[NETWORK]),
        "coverage": float(inside.mean()),
        "nominal_coverage": recipe.quantiles[-1] - recipe.quantiles[0],
        "scaled_pinball": _mean(losses / found.units[:, None, None, None]),
    }
    names = [each.name for each in panel.series]
    per_series = _table("series", names, errors, inside, 0)
    per_step = _table("step", range(1, recipe.horizon + 1), errors, inside, 2)
    others = {name: {"MASE": _mean(errors[name])} for name in found.others}
    forecasts = _forecasts(panel, origins, found.values, median, tables)
    return Backtest(recipe, forecasts, per_series, per_step, scores, others)


def _mean(figures: Values) -> float:
    """The mean over all figures of series that have a unit; NaN if none has."""
    return float(np.nanmean(figures)) if not np.isnan(figures).all() else float("nan")


def _table(
    name: str, rows: Sequence[Any], errors: dict[str, Values], inside: NDArray[np.bool_], axis: int
) -> pd.DataFrame:
    """The mean errors and the coverage for each place along an axis of series or steps."""

    def means(figures: Values) -> list[float]:
        return [_mean(np.asarray(figures.take(place, axis))) for place in range(figures.shape[axis])]

    columns = {each: means(figures) for each, figures in errors.items()}
    first = {name: list(rows), NETWORK: columns.pop(NETWORK), "coverage": means(inside.astype(np.float64))}
    return pd.DataFrame({**first, **columns})


def _forecasts(
    panel: Panel, origins: NDArray[np.int64], values: Values, median: Values, tables: Sequence[pd.DataFrame]
) -> pd.DataFrame:
    """The forecasts of all folds, with the origin, the step and the value of each."""
    steps, found = values.shape[2], []
    for fold, table in enumerate(tables):
        ends = [each.times[[origin - 1]] for each, origin in zip(panel.series, origins[:, fold], strict=True)]
        table = table.copy()
        table.insert(1, "origin", [counts.shown(end)[0] for end in ends for _ in range(steps)])
        table.insert(3, "step", [*range(1, steps + 1)] * len(panel.series))
        table.insert(4, "value", values[:, fold].reshape(-1))
        table.insert(5, "forecast", median[:, fold].reshape(-1))
        found.append(table)
    every = pd.concat(found, ignore_index=True)
    order = {each.name: number for number, each in enumerate(panel.series)}
    return every.sort_values("series", key=lambda names: names.map(order), kind="stable", ignore_index=True)
