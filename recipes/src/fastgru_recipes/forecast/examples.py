"""Examples for `forecast`: hourly temperatures of one year, and monthly sunspot numbers of 235 years."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from importlib.resources import as_file, files
from typing import Any

from fastgru_recipes.example_sets import ExampleSet, Parts, packaged
from fastgru_recipes.forecast import baselines
from fastgru_recipes.forecast.read_series import Panel
from fastgru_recipes.recipe import Recipe


def held_out_end(panel: Panel, share: float) -> Parts:
    """The end of each series is the test part, the rest is the training part."""
    ends = [len(each.values) - int(len(each.values) * share) for each in panel.series]
    training = tuple(each.until(end) for each, end in zip(panel.series, ends, strict=True))
    test = tuple(replace(each, start=end) for each, end in zip(panel.series, ends, strict=True))
    return Parts(replace(panel, series=training), None, replace(panel, series=test))


def temperature(recipe: Recipe[Any], full: bool) -> Parts:
    """Hourly temperatures; the last fifth of the year is the test part."""
    with as_file(files("fastgru.data").joinpath("temperature.csv")) as path:
        return held_out_end(recipe.read(path), 0.2)


def sunspots(recipe: Recipe[Any], full: bool) -> Parts:
    """Monthly sunspot numbers; the last fifth, 47 years, is the test part."""
    return held_out_end(recipe.read(packaged("sunspots.csv")), 0.2)


def forecast_baselines(recipe: Recipe[Any], parts: Parts) -> Mapping[str, Mapping[str, float]]:
    """The baselines of the recipe, and exponential smoothing without a season."""
    season, horizon = recipe.season or parts.training.season, recipe.horizon  # type: ignore[attr-defined]
    plain = baselines.ExponentialSmoothing(1, horizon, trend=True)
    return {
        **baselines.compared(recipe, parts.training, parts.test),  # type: ignore[arg-type]
        "ETS, no season": {"MASE": baselines.rolling_mase(parts.training, parts.test, horizon, season, plain)},
    }


SETS = (
    ExampleSet(
        "temperature",
        "hourly air temperature at an airport in New York for one year: the next day from the last five days",
        temperature,
        forecast_baselines,
        {
            "time": "hour_utc",
            "target": ("celsius",),
            "context": 120,
            "dropout": 0.4,
            "rate": 1e-3,
        },
        {"hidden": 128},
    ),
    ExampleSet(
        "sunspots",
        "monthly sunspot numbers since 1749: the next year from the last 22 years",
        sunspots,
        forecast_baselines,
        {"time": "month", "target": ("sunspots",), "context": 264, "horizon": 12, "transform": "sqrt", "hidden": 48},
        {"hidden": 64},
    ),
)
