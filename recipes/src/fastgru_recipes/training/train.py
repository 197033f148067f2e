"""From data to a trained recipe, with or without a run directory: what the command line and the estimators call."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
from torch import nn

from fastgru.cli.interruption import is_first_process
from fastgru.errors import WriteError
from fastgru_recipes import interruption, plots, read_files, recurrent_layers
from fastgru_recipes.errors import DataError, RunError, TrainingInterrupted
from fastgru_recipes.recipe import Data, Example, Recipe, State
from fastgru_recipes.training import run_directory
from fastgru_recipes.training.learner import History, fit, fresh, own_random_numbers


@own_random_numbers()
def train(
    recipe: Recipe[Data],
    data: Data,
    *,
    validation: Data | None = None,
    test: Data | None = None,
    directory: Path | str | None = None,
    resume: bool = False,
    facts: dict[str, Any] | None = None,
    **options: Any,
) -> run_directory.Trained:
    """Trains a recipe.

    Args:
        recipe: its options.
        data: to learn from.
        validation: chooses the best epoch; a share of `data` when left out, and nothing where that share is 0: then the
            last epoch is taken.
        test: measured once at the end; the part for validation when left out, or else the training part.
        directory: becomes a run directory; nothing is kept when left out.
        resume: go on with the interrupted run in `directory`.
        facts: kept in config.json, and compared when a run is resumed.
        **options: devices, tensorboard and progress, as `fit` has them.

    Raises:
        DataError: for data that the recipe cannot learn from, before anything is written.
        RunError: for a directory that exists, or a run that is resumed with other options.
        TrainingInterrupted: on Ctrl-C or SIGTERM, at the next batch; a second one does what it does elsewhere.
    """
    if directory is not None:
        directory = Path(directory)
        check_directory(directory, resume)
    facts = facts or {}
    learned, held_out = data, validation
    with read_files.about(_place("training", facts)):
        if validation is None and recipe.validation:
            learned, held_out = recipe.split(data)
        state = recipe.learn_state(learned)
    parts = {"training": learned, "validation": held_out, "test": test}
    examples = {name: _examples(recipe, state, name, part, facts) for name, part in parts.items()}
    model = fresh(recipe, state)
    scored = {name: part for name, part in parts.items() if part is not None}
    with interruption.noted():
        if directory is not None and is_first_process():
            _claim(directory, recipe, state, facts)
        with _can_go_on(directory):
            both = examples["training"], examples["validation"]
            fitted = fit(recipe, model, *both, directory, resume=resume, **options)
            return _finished(recipe, state, *fitted, scored, directory)


@contextmanager
def _can_go_on(directory: Path | None) -> Iterator[None]:
    """What cannot be written ends a run, but the last whole epoch is there."""
    try:
        yield
    except WriteError as error:
        if directory is not None:
            error.args = (f"{error} Then run the same command with --resume to go on in {directory}.",)
        raise


def _finished(
    recipe: Recipe[Any],
    state: State,
    model: nn.Module,
    history: History,
    parts: dict[str, Any],
    directory: Path | None,
) -> run_directory.Trained:
    """What comes after training: scores, pictures, files. An end that was asked for is not passed over."""
    trained = run_directory.Trained(recipe, state, model, pd.DataFrame(history.rows), _metrics(model, history.seconds))
    if not is_first_process():
        return trained
    try:
        _score(trained, parts, directory)
    except KeyboardInterrupt as error:
        remedy = f" Run the same command with --resume to do so in {directory}." if directory else ""
        raise TrainingInterrupted(f"Training has ended, but its result was not scored.{remedy}") from error
    if interruption.is_asked():
        kept = f"The run is whole: {directory}." if directory else "Nothing was kept."
        raise TrainingInterrupted(f"Training was interrupted when all was done. {kept}")
    return trained


def _place(name: str, facts: dict[str, Any]) -> str:
    """What to call a part of the data: its file, where it is known and only this part's."""
    fact = {"training": "data", "validation": "validation_data", "test": "test_data"}[name]
    return str(facts[fact]["path"]) if isinstance(facts.get(fact), dict) else f"the {name} part"


def _examples(
    recipe: Recipe[Data], state: State, name: str, part: Data | None, facts: dict[str, Any]
) -> Sequence[Example]:
    """Of each part before training, also of the test: what is wrong with it shows now, not after an hour."""
    if part is None:
        return []
    with read_files.about(_place(name, facts)):
        found = recipe.examples(part, state)
    if not len(found):
        raise DataError(
            f"the {name} part is empty: a share of {recipe.validation:g} of so few data is nothing. Give more data, or "
            "set validation to 0."
        )
    return found


def _score(trained: run_directory.Trained, parts: dict[str, Any], directory: Path | None) -> None:
    """On the test part, or else the one for validation, or else the one that was learned from."""
    interruption.check()  # also where a recipe scores in one go
    name, part = list(parts.items())[-1]
    since = time.perf_counter()
    trained.metrics["scores"] = trained.recipe.score(trained.model, trained.state, part)
    trained.metrics["scored_on"] = name
    trained.metrics["scoring_seconds"] = time.perf_counter() - since
    if directory is not None:
        save_plots(trained, part, directory)
        trained.save(directory)


def save_plots(trained: run_directory.Trained, data: Any, directory: Path) -> None:
    """The recipe's own pictures, of data with answers."""
    for name, figure in trained.recipe.plots(trained.model, trained.state, data).items():
        plots.save(figure, directory / run_directory.PLOTS / f"{name}.png")


def _metrics(model: nn.Module, seconds: float) -> dict[str, Any]:
    return {
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "recurrent_parameters": recurrent_layers.count(model),
        "training_seconds": seconds,
    }


def check_directory(directory: Path, resume: bool) -> None:
    """Raises where a run cannot go, before any work is done."""
    if not is_first_process():
        return  # the first one has made it
    if directory.exists() and not directory.is_dir():
        raise RunError(f"{directory} is a file. Choose another directory.")
    if directory.exists() and any(directory.iterdir()) and not resume:
        raise RunError(f"{directory} exists and is not empty. Choose another directory, or --resume the run in it.")
    if resume and not (directory / run_directory.CONFIG).exists():
        raise RunError(
            f"{directory} holds no run to resume: it has no {run_directory.CONFIG}. Leave out --resume to start one."
        )
    if resume and all((directory / name).exists() for name in (run_directory.METRICS, run_directory.WEIGHTS)):
        raise RunError(f"the run in {directory} is finished: there is nothing to resume. Choose another --out.")


def _claim(directory: Path, recipe: Recipe[Any], state: State, facts: dict[str, Any]) -> None:
    """Makes the directory, or finds in it the run that is to go on."""
    if (directory / run_directory.CONFIG).exists():
        _check_same(directory, recipe, state, facts)
        return
    directory.mkdir(parents=True, exist_ok=True)
    try:
        run_directory.write_config(directory, recipe, state, **facts)
    except BaseException:
        for name in (recipe.state_file, run_directory.CONFIG):  # neither a run that goes on, nor a directory in the way
            (directory / name).unlink(missing_ok=True)
        raise


def _check_same(directory: Path, recipe: Recipe[Any], state: State, facts: dict[str, Any]) -> None:
    config = run_directory.read_facts(directory)
    if config.get("recipe") != recipe.name:
        raise RunError(f"{directory} holds a run of {config.get('recipe')}, not of {recipe.name}.")
    earlier, earlier_state = run_directory.read_config(directory, type(recipe))
    then, now = asdict(earlier), asdict(recipe)
    changed = [f"{name} was {then[name]!r} and is {now[name]!r}" for name in now if then[name] != now[name]]
    if changed:
        raise RunError(f"the run in {directory} has other options: {'; '.join(changed)}. Give the same ones.")
    if state != earlier_state or any(config.get(name) != value for name, value in facts.items()):
        raise RunError(f"the run in {directory} began with other data. Give the same files, or choose another --out.")
