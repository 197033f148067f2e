"""The command `evaluate`: the scores of a finished run on other data, beside those of simple methods."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from fastgru.cli.console import need
from fastgru_recipes.cli.console import PACKAGE, JsonOption, QuietOption, one_sentence, print_json
from fastgru_recipes.cli.use_commands import (
    DecimalOption,
    EncodingOption,
    RunDirectory,
    SeparatorOption,
    SheetOption,
    read_as,
)

if TYPE_CHECKING:
    from fastgru_recipes.training.run_directory import Trained


def evaluate(
    directory: RunDirectory,
    data: Annotated[Path, typer.Option(help="File in the format of the training data, with answers, or -.")],
    plots: Annotated[Path | None, typer.Option(file_okay=False, help="Directory for the recipe's plots.")] = None,
    baselines: Annotated[
        bool, typer.Option("--baselines/--no-baselines", help="Score simple methods too, which may take a minute.")
    ] = True,
    training_data: Annotated[
        Path | None, typer.Option(help="File that they learn from. Default: the one that the run was trained on.")
    ] = None,
    separator: SeparatorOption = None,
    decimal: DecimalOption = None,
    encoding: EncodingOption = None,
    sheet: SheetOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Score a trained recipe on other data, beside simple methods."""
    with one_sentence(quiet):
        need(PACKAGE, "fastgru evaluate")
        from fastgru_recipes import read_files
        from fastgru_recipes.judgement import verdict
        from fastgru_recipes.training.run_directory import Trained

        trained = Trained.load(directory)
        formats = {"separator": separator, "decimal": decimal, "encoding": encoding, "sheet": sheet}
        reading = read_as(trained, formats).recipe
        with read_files.about(data):
            found = reading.read(data)
            scores = trained.recipe.score(trained.model, trained.state, found)
        others, notes = _others(trained, directory, found, training_data) if baselines else ({}, [])
        if plots is not None:
            from fastgru_recipes.training.train import save_plots

            save_plots(trained, found, plots, f"file {data.name}")
        said = verdict(trained.recipe, scores, others)
        _print(trained, data, scores, others, [said, *notes, *_of_training(directory, data)], as_json)


def _others(
    trained: Trained, directory: Path, found: Any, training_data: Path | None
) -> tuple[dict[str, dict[str, float]], list[str]]:
    """The scores of the baselines, and a sentence if they learned from nothing."""
    from fastgru_recipes import read_files
    from fastgru_recipes.judgement import baseline_scores
    from fastgru_recipes.training import known_data

    known, missing = None, ""
    if training_data is None:
        known, missing = known_data.reread(directory, trained.recipe)
    else:
        with read_files.about(training_data):
            known = trained.recipe.read(training_data)
    others = baseline_scores(trained.recipe, known, found, trained.state)
    if not missing:
        return others, []
    few = "so only baselines that learn nothing are scored" if others else "so no baselines are scored"
    return others, [f"{missing[0].upper()}{missing[1:]}, {few}. Give it with --training-data."]


def _of_training(directory: Path, data: Path) -> list[str]:
    """A sentence if the file is the one that the run was trained on."""
    from fastgru_recipes.training import known_data

    if not known_data.is_same_file(directory, data):
        return []
    return ["The run was trained on this file: the score says little about other data."]


def _print(
    trained: Trained,
    data: Path,
    scores: dict[str, float],
    others: dict[str, dict[str, float]],
    sentences: list[str],
    as_json: bool,
) -> None:
    from fastgru_recipes.cli import tables

    said = [each for each in sentences if each]
    if as_json:
        print_json({**scores, "baselines": others, "notes": said})
        return
    table = tables.scores_table(scores, str(data))
    tables.add_baselines(table, trained.recipe.metric, others)
    Console().print(table)
    for each in said:
        Console().print(each, markup=False, highlight=False)
