#!/usr/bin/env python3
"""Scores the forecaster at its defaults on public series, beside its baselines and, if measured, other libraries.

    python benchmarks/scoreboard/forecasting.py                      all sets, about ten minutes
    python benchmarks/scoreboard/forecasting.py Nile AirPassengers   some of them
    python benchmarks/scoreboard/forecasting.py --rivals rivals.json with the scores that rivals.py wrote

The last fifth of each series is the test part. Each value in the table is the MASE of a rolling backtest there, with
one forecast from each origin; the horizon is the recipe's default.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from series import PublicSeries, load

from fastgru_recipes.forecast import Forecast
from fastgru_recipes.forecast.read_series import Panel, from_frame
from fastgru_recipes.training.train import train

OURS = "fastgru"
SHARE = 0.2  # of each series, at its end: the test part


def parts(each: PublicSeries) -> tuple[Panel, Panel]:
    """The training part, and the whole series with the test part's first step as first origin."""
    from fastgru_recipes.forecast.examples import held_out_end

    panel = from_frame(each.values.rename("value").rename_axis("time").reset_index(), Forecast().columns)
    found = held_out_end(panel, SHARE)
    return found.training, found.test


def score(each: PublicSeries) -> dict[str, float]:
    """MASE of the forecaster and its baselines, and the seconds that training took."""
    training, test = parts(each)
    begin = time.perf_counter()
    trained = train(Forecast(season=each.season), training, test=test, baselines=True)
    seconds = time.perf_counter() - begin - trained.metrics["scoring_seconds"]
    baselines = {name: scores["MASE"] for name, scores in trained.metrics["baselines"].items()}
    return {OURS: trained.metrics["scores"]["MASE"], **baselines, "seconds": seconds}


def rows(results: dict[str, dict[str, float]], names: list[str]) -> Iterator[list[str]]:
    """A row for each set: scores, and ours relative to the best baseline."""
    for data, found in results.items():
        best = min(found[name] for name in names[1:] if name in found)
        shown = [f"{found[name]:.3f}" if name in found else "" for name in names]
        yield [data, *shown, f"{found[OURS] / best:.2f}", f"{found['seconds']:.0f}"]


def means(results: dict[str, dict[str, float]], names: list[str]) -> list[str]:
    """Geometric means of each method's score relative to the best baseline of the set."""
    cells = []
    for name in names:
        ratios = [
            found[name] / min(found[other] for other in names[1:] if other in found)
            for found in results.values()
            if name in found
        ]
        cells.append(f"{np.exp(np.mean(np.log(ratios))):.3f}")
    return cells


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="*", help="names of sets; default: all")
    parser.add_argument("--rivals", type=Path, help="scores of other libraries, by set and name")
    parser.add_argument("--out", type=Path, help="also write the scores to this file")
    options = parser.parse_args()
    torch.set_num_threads(1)
    others = json.loads(options.rivals.read_text()) if options.rivals else {}
    results = {}
    for each in load():
        if not options.sets or each.name in options.sets:
            results[each.name] = score(each) | others.get(each.name, {})
            if options.out:
                options.out.write_text(json.dumps(results, indent=2) + "\n")
    baselines = ["seasonal naive", "last value", "drift", "ridge", "ETS", "ETS, damped trend"]
    names = [OURS, *baselines]
    table = Table("MASE", *names, "ours / best", "seconds")
    for row in rows(results, names):
        table.add_row(*row)
    table.add_section()
    table.add_row("geometric mean of score / best baseline", *means(results, names), "", "")
    Console(width=160).print(table)
    rivals = sorted({name for found in others.values() for name in found})
    for name in rivals:
        ratios = [results[data][OURS] / found[name] for data, found in others.items() if data in results]
        print(f"ours / {name}: geometric mean {np.exp(np.mean(np.log(ratios))):.3f} over {len(ratios)} sets")


if __name__ == "__main__":
    main()
