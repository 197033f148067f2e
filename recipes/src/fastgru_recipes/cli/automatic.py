"""The option `--auto` of `train`: a search for the options that are not given, before the training with them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from fastgru.cli.console import need
from fastgru.errors import ArgumentError
from fastgru_recipes.cli.console import AUTO
from fastgru_recipes.errors import RunError

if TYPE_CHECKING:
    from fastgru_recipes.recipe import Recipe

RUN = "Data and run"  # the panel of the options of `train` that are about files and the run
AutoOption = Annotated[
    bool, typer.Option("--auto", rich_help_panel=RUN, help="First search options that are not given here.")
]
MinutesOption = Annotated[
    float | None, typer.Option(min=0, rich_help_panel=RUN, help="Minutes of that search. Default: 5.")
]
MINUTES = 5.0
FACT = "auto"  # the entry of config.json


class Wanted(NamedTuple):
    """A search that was asked for.

    Attributes:
        minutes: its longest time.
        given: the options that it leaves alone.
    """

    minutes: float
    given: list[str]


def wanted(auto: bool, minutes: float | None, devices: int, given: list[str]) -> Wanted | None:
    """The search that the options ask for; None without one.

    Raises:
        ArgumentError: for options that do not go together.
        MissingExtra: if the library is not installed.
    """
    if not auto:
        if minutes is not None:
            raise ArgumentError("--minutes is the time of --auto: give both, or neither.")
        return None
    need(AUTO, "--auto")
    if devices > 1 or "TORCHELASTIC_RUN_ID" in os.environ:
        raise ArgumentError("--auto searches in one process. Leave out --devices, or train with the options it found.")
    return Wanted(MINUTES if minutes is None else minutes, given)


def chosen(
    recipe: Recipe[Any],
    parts: Mapping[str, Any],
    out: Path,
    resume: bool,
    asked: Wanted,
    say: Callable[[str], None] | None,
) -> tuple[Recipe[Any], dict[str, Any]]:
    """The recipe with the options that a search finds, or has found for the run that is resumed; and what it found.

    Args:
        recipe: the recipe with its options.
        parts: the data by the names of their options.
        out: the run directory, which gets a table of the trials.
        resume: continue the run that is there.
        asked: the search.
        say: takes lines that tell the progress.
    """
    from fastgru_recipes.training import run_directory
    from fastgru_recipes.training.search import search

    if resume:
        fact = run_directory.read_facts(out).get(FACT)
        if fact is None:
            raise RunError(f"the run in {out} began without --auto. Leave it out.")
        options = {name: value for name, value in fact["options"].items() if name not in asked.given}
        return replace(recipe, **options), fact
    if parts["validation_data"] is None and not recipe.validation:
        raise ArgumentError(
            "--auto chooses by the validation part: leave out --validation 0, or give --validation-data."
        )
    more: dict[str, Any] = {"given": asked.given, "minutes": asked.minutes, "say": say}
    record = out / run_directory.TRIALS
    found = search(recipe, parts["data"], validation=parts["validation_data"], record=record, **more)
    if say is not None:
        say(str(found))
    figures = {"trials": len(found.trials), "metric": recipe.metric, "defaults": found.before, "score": found.after}
    return found.recipe, {"minutes": asked.minutes, "options": found.changed, **figures}
