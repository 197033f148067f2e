"""The command `backtest`: forecasts from several origins in the past, scored beside those of simple methods."""

from __future__ import annotations

from collections.abc import Callable
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from typer.core import TyperGroup

from fastgru.cli.console import need
from fastgru.errors import ArgumentError
from fastgru_recipes import RECIPES
from fastgru_recipes.cli.console import (
    PACKAGE,
    JsonOption,
    QuietOption,
    examples_text,
    one_sentence,
    print_json,
    shows_progress,
)
from fastgru_recipes.cli.recipe_options import add_options

if TYPE_CHECKING:
    from fastgru_recipes.forecast.backtest import Backtest

RECIPE = "forecast"  # the only one whose data have a past
PANEL = "Backtest"
EXAMPLES = (
    "fastgru backtest forecast sales.csv --folds 5 --horizon 14",
    "fastgru backtest forecast sales.csv --refit --out forecasts.csv",
)
MOST_ROWS = 12  # rows of the printed tables; --json has all


class _Recipes(TyperGroup):
    """The command of the recipe that can be backtested, made when it is needed."""

    def list_commands(self, ctx: Any) -> list[str]:
        return [RECIPE]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name != RECIPE:
            if cmd_name not in RECIPES:
                return None
            with one_sentence():
                raise ArgumentError(
                    f"only {RECIPE} can be backtested: its data have an order in time. Hold out a file instead, "
                    f"fastgru train {cmd_name} --data FILE --test-data OTHERS."
                )
        single = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
        about = "Forecasts from several origins in the past, scored beside those of simple methods."
        single.command(cmd_name, help=about, epilog=examples_text(EXAMPLES))(_command())
        return typer.main.get_command(single)


app = typer.Typer(
    cls=_Recipes,
    no_args_is_help=True,
    help="Forecast a past that is known, and score it: backtest forecast FILE.",
    epilog=examples_text(EXAMPLES),
)


def _command() -> Callable[..., None]:
    """A function with one keyword for each field of the recipe."""

    def command(
        data: Annotated[Path, typer.Argument(metavar="FILE", help="File with the series, or - (docs/files.md).")],
        folds: Annotated[int, typer.Option(min=1, rich_help_panel=PANEL, help="Origins, a horizon apart.")] = 5,
        refit: Annotated[
            bool, typer.Option("--refit", rich_help_panel=PANEL, help="Train anew at each origin, on all before it.")
        ] = False,
        out: Annotated[
            Path | None, typer.Option(dir_okay=False, rich_help_panel=PANEL, help="CSV file of all forecasts.")
        ] = None,
        as_json: JsonOption = False,
        quiet: QuietOption = False,
        **options: Any,
    ) -> None:
        with one_sentence(quiet):
            need(PACKAGE, "fastgru backtest")
            from fastgru_recipes import read_files
            from fastgru_recipes.cli.answers import check_output, write_table
            from fastgru_recipes.forecast.backtest import backtest

            check_output(out)
            with read_files.about(data):
                found = backtest(data, folds=folds, refit=refit, progress=shows_progress(quiet), **options)
            if out is not None:
                write_table(found.forecasts, out, as_json=False)
            if as_json:
                print_json(_facts(found, str(data), folds, refit, out))
            else:
                _print(found, folds, out)

    return add_options(command, RECIPE)


def _facts(found: Backtest, data: str, folds: int, refit: bool, out: Path | None) -> dict[str, Any]:
    return {
        "data": data,
        "folds": folds,
        "refit": refit,
        "horizon": found.recipe.horizon,
        "context": found.recipe.context,
        **found.scores,
        "baselines": found.baselines,
        "per_series": found.per_series.to_dict("records"),
        "per_step": found.per_step.to_dict("records"),
        "forecasts": None if out is None else str(out),
        "notes": _notes(found),
    }


def _notes(found: Backtest) -> list[str]:
    from fastgru_recipes.judgement import verdict

    said = verdict(found.recipe, found.scores, found.baselines)
    return [said] if said else []


def _print(found: Backtest, folds: int, out: Path | None) -> None:
    from fastgru_recipes.cli import tables

    console, horizon = Console(), found.recipe.horizon
    table = tables.scores_table(found.scores, f"{folds} folds of {horizon} steps")
    tables.add_baselines(table, found.recipe.metric, found.baselines)
    console.print(table)
    best = min(found.baselines, key=lambda name: (isnan(found.baselines[name]["MASE"]), found.baselines[name]["MASE"]))
    shown = ["network", best, "coverage"]
    console.print(tables.figures_table(found.per_step[["step", *shown]], "MASE by step ahead", MOST_ROWS))
    if len(found.per_series) > 1:
        console.print(tables.figures_table(found.per_series[["series", *shown]], "MASE by series", MOST_ROWS))
    for said in [*_notes(found), *([f"All forecasts: {out}"] if out else [])]:
        console.print(said, markup=False, highlight=False)
