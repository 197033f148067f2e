"""Training of a recipe, with or without a run directory. The command line and the estimators call it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pandas as pd
from torch import nn

from fastgru.cli.interruption import is_first_process
from fastgru.errors import WriteError
from fastgru_recipes import interruption, recurrent_layers
from fastgru_recipes.errors import RunError, TrainingInterrupted
from fastgru_recipes.judgement import baseline_scores
from fastgru_recipes.option_names import again, given, named
from fastgru_recipes.plots import figures
from fastgru_recipes.recipe import Data, Recipe, State
from fastgru_recipes.training import checkpoints, run_directory
from fastgru_recipes.training.continued import continued, load_weights
from fastgru_recipes.training.learner import History, fit, fresh, own_random_numbers
from fastgru_recipes.training.prepared import prepare
from fastgru_recipes.training.retraining import Retrained, on_all_of_few


@own_random_numbers()
def train(
    recipe: Recipe[Data],
    data: Data,
    *,
    validation: Data | None = None,
    test: Data | None = None,
    directory: Path | str | None = None,
    resume: bool = False,
    init: run_directory.Trained | None = None,
    facts: dict[str, Any] | None = None,
    baselines: bool = False,
    **options: Any,
) -> run_directory.Trained:
    """Trains a recipe.

    Args:
        recipe: the recipe with its options.
        data: the training data.
        validation: the data that choose the best epoch. Default: the fraction `recipe.validation` of `data`. If that is
            0, the last epoch is used.
        test: the data that are scored once, at the end. Default: the validation data, or else the training data.
        directory: the run directory to make. Default: nothing is kept.
        resume: continue the interrupted run in `directory`.
        init: an earlier run of the recipe. Training begins with its weights, vocabulary or scaler, and with its options
            in the place of those that have their defaults.
        facts: entries for config.json, compared when a run is resumed.
        baselines: score the recipe's baselines too, unless the training part is all that there is to score.
        **options: `devices`, `tensorboard`, `progress` and `say` of `fit`.

    Returns:
        The trained recipe.

    Raises:
        DataError: for data that the recipe cannot learn from; nothing has been written then.
        RunError: if the directory exists, if a run is resumed with other options, or if `init` has another network.
        TrainingInterrupted: on Ctrl-C or SIGTERM, at the next batch. A second signal has its usual effect.
    """
    if directory is not None:
        directory = Path(directory)
        check_directory(directory, resume)
    facts = facts or {}
    recipe = recipe if init is None else continued(recipe, init.recipe)
    ready = prepare(recipe, data, validation, test, facts, None if init is None else init.state)
    recipe, state, parts = ready.recipe, ready.state, ready.parts
    model = fresh(recipe, state)
    if init is not None:
        load_weights(model, init)
    recipe.start(model, state, parts["training"])
    known = (data if test is not None else parts["training"]) if baselines else None  # by the baselines
    with interruption.noted():
        if directory is not None and is_first_process():
            _claim(directory, recipe, state, facts)
        with _can_go_on(directory):
            both = ready.examples["training"], ready.examples["validation"]
            best, history = fit(recipe, model, *both, directory, resume=resume, **options)
            recipe.finish(best, state, parts.get("validation"))
            second = None
            if validation is None and init is None and options.get("devices", 1) == 1:
                shown = {name: options[name] for name in ("progress", "say") if name in options}
                second = on_all_of_few(ready, best, directory, **shown)
            trained = run_directory.Trained(recipe, state, best, pd.DataFrame(history.rows), _metrics(best, history))
            return _finished(trained, second, parts, directory, known)


@contextmanager
def _can_go_on(directory: Path | None) -> Iterator[None]:
    """Adds to the error of a failed write how to continue the run."""
    try:
        yield
    except WriteError as error:
        if directory is not None:
            error.args = (f"{error} {again('resume', True)} then, to continue in {directory}.",)
        raise


def _finished(
    trained: run_directory.Trained,
    second: Retrained | None,
    parts: dict[str, Any],
    directory: Path | None,
    known: Any,
) -> run_directory.Trained:
    """Scores the trained recipe, and writes plots and files. Raises if a signal was noted."""
    if not is_first_process():
        return trained
    try:
        trained = _score(trained, second, parts, directory, known)
    except KeyboardInterrupt as error:
        remedy = f" {again('resume', True)} to do so in {directory}." if directory else ""
        raise TrainingInterrupted(f"Training has ended, but its result was not scored.{remedy}") from error
    if interruption.is_asked():
        kept = f"The run is complete: {directory}." if directory else "Nothing was kept."
        raise TrainingInterrupted(f"Training was interrupted after its end. {kept}")
    return trained


def _score(
    trained: run_directory.Trained,
    second: Retrained | None,
    parts: dict[str, Any],
    directory: Path | None,
    known: Any,
) -> run_directory.Trained:
    """Scores the test part, or else the validation part, or else the training part.

    Baselines learn from what is known before it; None: they are not scored.
    """
    interruption.check()  # some recipes score in one step
    name, part = list(parts.items())[-1]
    if name == "test":
        trained = _learned_all(trained, second, parts)
    since = time.perf_counter()
    trained.metrics["scores"] = trained.recipe.score(trained.model, trained.state, part)
    trained.metrics["scored_on"] = name
    trained.metrics["scoring_seconds"] = time.perf_counter() - since
    if known is not None and name != "training":
        trained.metrics["baselines"] = baseline_scores(trained.recipe, known, part, trained.state)
    if directory is not None:
        save_plots(trained, part, directory, f"{name} part")
    if name == "validation":  # not before: the scores and plots must not know that part
        trained = _learned_all(trained, second, parts)
    if directory is not None:
        trained.save(directory)
        checkpoints.keep_final(directory, trained.model)
    return trained


def _learned_all(
    trained: run_directory.Trained, second: Retrained | None, parts: dict[str, Any]
) -> run_directory.Trained:
    """The trained recipe, which has also learned from the validation part, as far as recipes do."""
    if second is not None:
        trained.metrics["retrained_on"] = second.examples
        trained.metrics["training_seconds"] += second.seconds
        return replace(trained, model=second.model)
    if "validation" in parts:
        trained.recipe.refit(trained.model, trained.state, parts["training"], parts["validation"])
    return trained


def save_plots(trained: run_directory.Trained, data: Any, directory: Path, part: str) -> None:
    """Writes the recipe's plots of data with answers to `directory`. Their titles name the `part`."""
    for name, figure in trained.recipe.plots(trained.model, trained.state, data, part).items():
        figures.save(figure, directory / run_directory.PLOTS / f"{name}.png")


def _metrics(model: nn.Module, history: History) -> dict[str, Any]:
    return {
        "steps": history.rows[-1]["steps"] if history.rows else 0,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "recurrent_parameters": recurrent_layers.count(model),
        "training_seconds": history.seconds,
    }


def check_directory(directory: Path, resume: bool) -> None:
    """Raises if a run cannot be written to `directory`. Called before any work is done."""
    if not is_first_process():
        return  # the first process has made it
    if directory.exists() and not directory.is_dir():
        raise RunError(f"{directory} is a file. Choose another directory.")
    # The trials of a search that was interrupted are not in the way of the training that they lead to.
    if directory.exists() and {each.name for each in directory.iterdir()} - {run_directory.TRIALS} and not resume:
        raise RunError(
            f"{directory} exists and is not empty. Choose another directory, or continue the run in it: "
            f"{given('resume', True)}."
        )
    if resume and not (directory / run_directory.CONFIG).exists():
        raise RunError(
            f"{directory} holds no run to resume: it has no {run_directory.CONFIG}. Leave out {named('resume')} to "
            "start one."
        )
    if resume and all((directory / name).exists() for name in (run_directory.METRICS, run_directory.WEIGHTS)):
        raise RunError(f"the run in {directory} is finished: there is nothing to resume. Choose another directory.")


def _claim(directory: Path, recipe: Recipe[Any], state: State, facts: dict[str, Any]) -> None:
    """Makes the run directory, or checks the run in it that is resumed."""
    if (directory / run_directory.CONFIG).exists():
        _check_same(directory, recipe, state, facts)
        return
    directory.mkdir(parents=True, exist_ok=True)
    try:
        run_directory.write_config(directory, recipe, state, **facts)
    except BaseException:
        for name in (recipe.state_file, run_directory.CONFIG):  # so that the directory is not in the way
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
        raise RunError(f"the run in {directory} has other options: {'; '.join(changed)}. Give the same options.")
    if state != earlier_state or any(config.get(name) != value for name, value in facts.items()):
        raise RunError(
            f"the run in {directory} began with other data. Give the same data, or choose another directory."
        )
