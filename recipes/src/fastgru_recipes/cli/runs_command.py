"""The command `runs`: a table of the runs in a directory."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer
from rich.console import Console
from rich.table import Table

from fastgru_recipes import RECIPES
from fastgru_recipes.cli.console import JsonOption, QuietOption, one_sentence, print_json
from fastgru_recipes.cli.declared_options import constant
from fastgru_recipes.errors import RunError

CONFIG, METRICS, HISTORY = "config.json", "metrics.json", "metrics.csv"  # of a run directory


class RunFacts(NamedTuple):
    """What is shown of a run; None for what it does not have.

    Attributes:
        name: the path of its directory, within the one that is listed.
        recipe: the name of its recipe.
        metric: the name of the score.
        score: the score.
        baseline: the best score of the baselines.
        steps: the number of optimizer steps.
        epochs: the number of epochs.
        seconds: the time of the training.
        state: "finished", "unfinished", or "damaged" if its figures cannot be read.
    """

    name: str
    recipe: str
    metric: str
    score: float | None
    baseline: float | None
    steps: int | None
    epochs: int | None
    seconds: float | None
    state: str


def runs(
    directory: Annotated[Path, typer.Argument(help="A directory with run directories at any depth.")],
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Compare the runs in a directory: recipe, score, best baseline, steps, epochs, seconds."""
    with one_sentence(quiet):
        found = find_runs(directory)
        if as_json:
            print_json([each._asdict() for each in found])
        else:
            Console().print(_table(found, directory))


def find_runs(directory: Path) -> list[RunFacts]:
    """The facts of all runs in a directory, the best of each recipe first, and unfinished ones last.

    Raises:
        RunError: if there is no such directory, or no run in it.
    """
    if not directory.is_dir():
        raise RunError(f"{directory} is not a directory. Give one that holds run directories.")
    read = [_facts(path.parent, directory) for path in sorted(directory.rglob(CONFIG))]
    found = [each for each in read if each is not None]
    if not found:
        raise RunError(
            f"{directory} holds no run directories. Make one with fastgru train … --out {directory / 'run'}."
        )
    return sorted(found, key=_rank)


def _rank(each: RunFacts) -> tuple[str, str, bool, float]:
    score = each.score or 0.0
    return each.recipe, each.metric, each.score is None, -score if _is_higher_better(each.recipe) else score


def _is_higher_better(recipe: str) -> bool:
    return recipe in RECIPES and bool(constant(recipe, "higher_is_better"))


def _facts(run: Path, directory: Path) -> RunFacts | None:
    """The facts of a run; None for a directory of something else."""
    config = _read(run / CONFIG)
    if "recipe" not in config or "options" not in config:
        return None
    metrics = _read(run / METRICS)
    scores = metrics.get("scores") or {}
    recipe = str(config["recipe"])
    metric = constant(recipe, "metric") if recipe in RECIPES else next(iter(scores), "")
    others = [each.get(metric) for each in (metrics.get("baselines") or {}).values() if isinstance(each, dict)]
    known = [each for each in others if isinstance(each, (int, float))]
    best = (max if _is_higher_better(recipe) else min)(known, default=None)
    name = run.relative_to(directory).as_posix() if run != directory else run.name
    seconds = metrics.get("training_seconds")
    state = "finished" if metrics else "damaged" if (run / METRICS).exists() else "unfinished"
    return RunFacts(name, recipe, metric, scores.get(metric), best, metrics.get("steps"), _epochs(run), seconds, state)


def _read(path: Path) -> dict[str, Any]:
    """A JSON object; an empty one if the file is missing or damaged, as in a run that is not finished."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _epochs(run: Path) -> int | None:
    try:
        with open(run / HISTORY, encoding="utf-8", newline="") as file:
            return sum(1 for _ in csv.DictReader(file))
    except (OSError, ValueError, csv.Error):
        return None


def _told(score: float | None) -> str:
    """A score; that of a finished run is missing where it is undefined, such as MASE of series that repeat exactly."""
    return "undefined" if score is None else f"{score:.4g}"


def _table(found: list[RunFacts], directory: Path) -> Table:
    table = Table("run", "recipe", "score", "best baseline", "steps", "epochs", "seconds", title=str(directory))
    last = found[0].recipe
    for each in found:
        if each.recipe != last:
            table.add_section()
            last = each.recipe
        score = each.state if each.state != "finished" else f"{each.metric} {_told(each.score)}"
        best = "" if each.baseline is None else f"{each.baseline:.4g}"
        counts = ["" if value is None else f"{value:,}" for value in (each.steps, each.epochs)]
        seconds = "" if each.seconds is None else f"{each.seconds:.1f}"
        table.add_row(each.name, each.recipe, score, best, *counts, seconds)
    return table
