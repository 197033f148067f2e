"""The search for options: trials on the validation part, of which the first has the defaults.

Trials are chosen by the tree-structured Parzen estimator (Bergstra et al. 2011) of Optuna. None of them ends early
because it lags behind: rates decay along a cosine, so losses in the middle of trials say little about their ends.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from fastgru.atomic_files import atomic_write
from fastgru.errors import ArgumentError
from fastgru_recipes import interruption
from fastgru_recipes.errors import TrainingDiverged, TrainingInterrupted
from fastgru_recipes.option_names import given as shown
from fastgru_recipes.option_names import named
from fastgru_recipes.recipe import Data, Recipe
from fastgru_recipes.training.learner import fit, fresh, own_random_numbers
from fastgru_recipes.training.prepared import prepare
from fastgru_recipes.training.progress import OutOfTime, Say
from fastgru_recipes.training.space import Options, Space, suggestions

MOST = 60  # trials: of more the best one would say more about the validation part than about the data
DONE, DIVERGED, LATE = "done", "diverged", "out of time"


@dataclass(frozen=True)
class Trial:
    """A training with some options.

    Attributes:
        options: their values, by name.
        outcome: "done", "diverged" or "out of time".
        score: of the validation part; NaN unless it is done.
        seconds: it took.
    """

    options: Options
    outcome: str
    score: float
    seconds: float


@dataclass(frozen=True)
class Found:
    """The result of a search.

    Attributes:
        recipe: the recipe with the best options.
        changed: the options that are not those of the first trial.
        trials: all trials; the first one has the defaults.
    """

    recipe: Recipe[Any]
    changed: Options
    trials: Sequence[Trial]

    @property
    def before(self) -> float:
        """The score with the defaults."""
        return self.trials[0].score

    @property
    def after(self) -> float:
        """The score with the best options."""
        return _best(self.recipe, self.trials).score

    def __str__(self) -> str:
        count = _counted(self.trials)
        place = f"{self.recipe.metric} {self.after:.4g} on the validation part"
        if not self.changed:
            return f"The defaults are the best of {count}: {place}."
        first = self.trials[0].options
        said = ", ".join(f"{shown(name, value)} instead of {first[name]}" for name, value in self.changed.items())
        return f"The best of {count}: {said}; {place}, {self.before:.4g} with the defaults."


@own_random_numbers()
def search(
    recipe: Recipe[Data],
    data: Data,
    *,
    validation: Data | None = None,
    given: Iterable[str] = (),
    minutes: float = 5.0,
    record: Path | None = None,
    say: Say | None = None,
    most: int | None = None,
) -> Found:
    """Searches options of a recipe: those that `Recipe.choices` names.

    Args:
        recipe: the recipe with its options. They are the first trial, which is always trained to its end.
        data: the training data.
        validation: the data that trials are scored on. Default: the fraction `recipe.validation` of `data`.
        given: names of options that keep their values.
        minutes: no trial begins after that time, and the last one is given up then.
        record: a CSV file, which gets a row for each trial. Default: none is written.
        say: takes lines that tell the progress.
        most: the largest number of trials. Default: 60.

    Returns:
        The recipe with the options of the best score. Of equal ones the first is taken, so the defaults stay unless
        something is better.

    Raises:
        ArgumentError: without data for validation, or with nothing to search.
        DataError: for data that the recipe cannot learn from.
        TrainingInterrupted: on Ctrl-C or SIGTERM. It names the best options so far.

    Example:
        >>> from fastgru_recipes.classify import Classify, Labelled
        >>> from fastgru_recipes.training.search import search
        >>> data = Labelled(["so good", "so bad"] * 12, ["+", "-"] * 12)
        >>> found = search(Classify(steps=2, validation=0.5), data, given=["hidden", "rate"], most=2)
        >>> sorted(found.trials[0].options)
        ['dropout', 'layers']
    """
    if validation is None and not recipe.validation:
        raise ArgumentError(
            f"a search needs validation data: set {named('validation')} to more than 0, or give validation data."
        )
    space = Space.of(recipe.resolved(data), data, given)
    until = time.monotonic() + 60 * minutes
    if say is not None:
        say(f"Searching {', '.join(space.choices)} on the validation part, for up to {minutes:g} minutes.")
    trials: list[Trial] = []
    with interruption.noted():
        try:
            for options, tell in suggestions(space, recipe.seed, recipe.higher_is_better):
                trial = _try(recipe, space.changed(options), options, data, validation, until if trials else None)
                tell(trial.score)
                trials.append(trial)
                _report(recipe, trials, record, say)
                interruption.check()
                if time.monotonic() >= until or len(trials) >= (most or MOST):
                    break
        except (KeyboardInterrupt, TrainingInterrupted) as error:
            raise TrainingInterrupted(_interrupted(recipe, space, trials, record)) from error
    changed = space.changed(_best(recipe, trials).options)
    return Found(replace(recipe, **changed), changed, trials)


def _try(
    recipe: Recipe[Any], changed: Options, options: Options, data: Any, validation: Any, until: float | None
) -> Trial:
    """Trains with these options, and scores the validation part."""
    since = time.monotonic()
    score, outcome = float("nan"), DONE
    try:
        score = _score(replace(recipe, **changed), data, validation, until)
    except OutOfTime:
        outcome = LATE
    except TrainingDiverged:
        if until is None:  # with the defaults: their user should know
            raise
        outcome = DIVERGED
    return Trial(options, outcome, score, time.monotonic() - since)


def _score(recipe: Recipe[Any], data: Any, validation: Any, until: float | None) -> float:
    ready = prepare(recipe, data, validation)
    model = fresh(ready.recipe, ready.state)
    ready.recipe.start(model, ready.state, ready.parts["training"])
    best, _ = fit(ready.recipe, model, ready.examples["training"], ready.examples["validation"], until=until)
    ready.recipe.finish(best, ready.state, ready.parts.get("validation"))
    score = ready.recipe.score(best, ready.state, ready.parts["validation"])[recipe.metric]
    if score != score:
        raise ArgumentError(
            f"the {recipe.metric} of the validation part is undefined (nan): a search has nothing to compare."
        )
    return score


def _counted(trials: Sequence[Trial]) -> str:
    return f"{len(trials)} trial{'' if len(trials) == 1 else 's'}"


def _best(recipe: Recipe[Any], trials: Sequence[Trial]) -> Trial:
    sign = 1 if recipe.higher_is_better else -1
    return max((each for each in trials if each.outcome == DONE), key=lambda each: sign * each.score)


def _report(
    recipe: Recipe[Any], trials: Sequence[Trial], record: Path | None, say: Callable[[str], None] | None
) -> None:
    """Writes the table of trials, and tells the last one if it is better than all before."""
    if record is not None:
        rows = [
            {
                "trial": number,
                **each.options,
                recipe.metric: each.score,
                "seconds": each.seconds,
                "outcome": each.outcome,
            }
            for number, each in enumerate(trials, 1)
        ]
        record.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(record) as partial:
            pd.DataFrame(rows).to_csv(partial, index=False)
    if say is not None and _best(recipe, trials) is trials[-1]:
        options = ", ".join(shown(*each) for each in trials[-1].options.items())
        say(f"Trial {len(trials)}: {recipe.metric} {trials[-1].score:.4g} with {options}")


def _interrupted(recipe: Recipe[Any], space: Space, trials: Sequence[Trial], record: Path | None) -> str:
    if not trials:
        return "The search was interrupted in its first trial. Nothing was trained."
    best = _best(recipe, trials)
    changed = space.changed(best.options)
    options = " ".join(shown(*each) for each in changed.items())
    found = f"The best options so far: {options}" if changed else "The defaults are the best so far"
    place = f" All trials are in {record}." if record is not None else ""
    return (
        f"The search was interrupted after {_counted(trials)}, and nothing was trained. {found}; {recipe.metric} "
        f"{best.score:.4g}. Train with them, without a search.{place}"
    )
