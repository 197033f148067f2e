"""Classification of series at the defaults, beside simple rivals, on public sets that packages ship.

    python benchmarks/scoreboard/series_classification.py [--sets GunPoint,OSULeaf] [--seeds 3] [--json FILE]

Prints the accuracy of each method on the authors' test part, the mean ranks (1 is best; equal accuracies share a rank),
and the seconds of training. Sets whose package is not installed are left out, with the command that installs it.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from statistics import fmean

import accuracies
from series_sets import FOLDERS, MissingPackageError, load

from fastgru_recipes.classify import Classify, Labelled, baselines
from fastgru_recipes.training.train import train

DTW_STEPS = 128  # to which longer series are averaged for dynamic time warping, whose time grows with their square
RIVALS: dict[str, Callable[[Labelled, Labelled], float]] = {
    "1-NN": baselines.nearest_by_steps,
    "1-NN, DTW": lambda training, test: baselines.nearest(training, test, steps=DTW_STEPS),
    "linear": baselines.linear,
    "forest": baselines.forest,
}
OURS = "fastgru"


def compared(name: str, seeds: int) -> dict[str, float]:
    """The accuracy of each method on a set, ours as the mean over seeds, and our seconds."""
    training, test = load(name)
    found = {rival: accuracy(training, test) for rival, accuracy in RIVALS.items()}
    runs = [train(Classify(seed=seed), training, test=test).metrics for seed in range(seeds)]
    found[OURS] = fmean(run["scores"]["accuracy"] for run in runs)
    return {**found, "seconds": fmean(run["training_seconds"] for run in runs)}


def main() -> None:
    """Reads the arguments and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", default=",".join(FOLDERS), help="comma-separated names")
    parser.add_argument("--seeds", type=int, default=1, help="how many runs of ours are averaged")
    parser.add_argument("--json", type=Path, help="file for the figures; sets of an earlier run stay in it")
    given = parser.parse_args()
    if unknown := [name for name in given.sets.split(",") if name not in FOLDERS]:
        parser.error(f"there is no set {unknown[0]!r}. Known: {', '.join(FOLDERS)}")
    rows = json.loads(given.json.read_text()) if given.json and given.json.exists() else {}
    methods = [*RIVALS, OURS]
    print(accuracies.line("accuracy", [*methods, "seconds"]))
    for name in given.sets.split(","):
        try:
            rows[name] = compared(name, given.seeds)
        except MissingPackageError as missing:
            print(f"left out: {missing}")
            continue
        print(accuracies.shown(name, rows[name], methods), flush=True)
        if given.json:
            given.json.write_text(json.dumps(rows, indent=2) + "\n")
    if rows:
        print(accuracies.means(rows, methods))


if __name__ == "__main__":
    main()
