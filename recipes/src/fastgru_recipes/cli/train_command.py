"""The command `train`: one command for each recipe, with an option for each field of its dataclass."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from typer.core import TyperGroup

from fastgru.cli import interruption
from fastgru.cli.console import need
from fastgru.errors import ArgumentError
from fastgru_recipes import RECIPES, recipe_class
from fastgru_recipes.cli import automatic
from fastgru_recipes.cli.automatic import RUN, AutoOption, MinutesOption
from fastgru_recipes.cli.console import (
    PACKAGE,
    JsonOption,
    QuietOption,
    examples_text,
    one_sentence,
    print_json,
    shows_progress,
    tells,
)
from fastgru_recipes.cli.recipe_options import add_options
from fastgru_recipes.errors import TrainingInterrupted

if TYPE_CHECKING:
    from fastgru_recipes.recipe import Recipe
    from fastgru_recipes.training.run_directory import Trained

EXAMPLES = {
    "forecast": (
        "--data sales.csv --context 56 --horizon 14 --out run",
        "--data umsatz.csv --separator ';' --decimal , --out run",
        "--data sales.csv --auto --minutes 10 --out run",
    ),
    "generate": ("--data shakespeare.txt --out run", "--data posts.jsonl --text-column body --unit bpe --out run"),
    "translate": ("--data pairs.tsv --out run", "--data table.csv --columns de,en --out run"),
    "classify": ("--data reviews.csv --out run", "--data - --out run < reviews.jsonl"),
    "tag": ("--data names.conll --out run", "--data corpus.conllu --columns form,xpos --out run"),
}


class _Recipes(TyperGroup):
    """One command for each recipe, made when it is needed."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(RECIPES)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in RECIPES:
            return None
        with one_sentence():
            need(PACKAGE, f"fastgru train {cmd_name}")
        single = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
        lines = [f"fastgru train {cmd_name} {each}" for each in EXAMPLES[cmd_name]]
        about = f"{RECIPES[cmd_name][1].capitalize()}."
        single.command(cmd_name, help=about, epilog=examples_text(lines))(_command(cmd_name))
        return typer.main.get_command(single)


app = typer.Typer(
    cls=_Recipes,
    no_args_is_help=True,
    help="Train a recipe on your data: train RECIPE --help.",
    rich_help_panel="Recipes",
    epilog=examples_text([f"fastgru train {name} {lines[0]}" for name, lines in EXAMPLES.items()]),
)


def _command(recipe: str) -> Callable[..., None]:
    """A function with one keyword for each field of the recipe. Typer makes the options from its signature."""

    def command(
        invocation: typer.Context,
        data: Annotated[
            Path, typer.Option(rich_help_panel=RUN, help="File with the training data, or - (docs/files.md).")
        ],
        out: Annotated[Path, typer.Option(rich_help_panel=RUN, file_okay=False, help="Run directory to create.")],
        validation_data: Annotated[
            Path | None,
            typer.Option(rich_help_panel=RUN, help="File that chooses the best epoch. Default: a fraction of --data."),
        ] = None,
        test_data: Annotated[
            Path | None, typer.Option(rich_help_panel=RUN, help="File that is scored once, at the end.")
        ] = None,
        resume: Annotated[
            bool, typer.Option("--resume", rich_help_panel=RUN, help="Continue the interrupted run in --out.")
        ] = False,
        init: Annotated[
            Path | None,
            typer.Option(rich_help_panel=RUN, file_okay=False, help="Run with whose weights training begins."),
        ] = None,
        devices: Annotated[int, typer.Option(min=1, rich_help_panel=RUN, help="Processes that share each batch.")] = 1,
        tensorboard: Annotated[
            bool, typer.Option("--tensorboard", rich_help_panel=RUN, help="Write logs for TensorBoard to --out.")
        ] = False,
        auto: AutoOption = False,
        minutes: MinutesOption = None,
        as_json: JsonOption = False,
        quiet: QuietOption = False,
        **options: Any,
    ) -> None:
        with one_sentence(quiet), _beside_the_first():
            files = {"data": data, "validation_data": validation_data, "test_data": test_data}
            _require_one_stdin(files, devices)
            shown = {"progress": shows_progress(quiet), "say": tells(quiet)}
            more = {"devices": devices, "tensorboard": tensorboard, **shown}
            given = [name for name in options if _is_given(invocation, name)]
            search = automatic.wanted(auto, minutes, devices, given)
            if init is not None and search is not None:
                raise ArgumentError("--auto searches with new weights. Leave out --init, or --auto.")
            _train(recipe_class(recipe)(**options), files, out, resume, as_json, search, init=init, **more)

    return add_options(command, recipe)


def _is_given(invocation: typer.Context, name: str) -> bool:
    source = invocation.get_parameter_source(name)
    return source is not None and source.name != "DEFAULT"


def _require_one_stdin(files: dict[str, Path | None], devices: int) -> None:
    """Raises if the standard input would be read for two files, or by a second process, which gets nothing of it."""
    from fastgru_recipes.read_files import is_stdin

    if files["data"] is not None and is_stdin(files["data"]) and devices > 1:
        raise ArgumentError("the standard input, -, can be read by one process only. Write it to a file first.")
    if sum(path is not None and is_stdin(path) for path in files.values()) > 1:
        raise ArgumentError("only one of --data, --validation-data and --test-data can be the standard input, -.")


@contextmanager
def _beside_the_first() -> Iterator[None]:
    """If the first of several processes ends, the others end with it, and only the first one prints the reason."""
    if interruption.is_first_process():
        yield
        return
    try:
        yield
    except TrainingInterrupted as error:
        raise typer.Exit from error  # without an error, because on an error Lightning kills the first process
    except RuntimeError:
        time.sleep(2)  # if the first process has ended, this one is ended before that
        raise


def _train(
    recipe: Recipe[Any],
    files: dict[str, Path | None],
    out: Path,
    resume: bool,
    as_json: bool,
    search: automatic.Wanted | None,
    init: Path | None,
    **options: Any,
) -> None:
    from fastgru_recipes.training.continued import continued
    from fastgru_recipes.training.run_directory import Trained
    from fastgru_recipes.training.train import check_directory, train

    check_directory(out, resume)
    earlier = None if init is None else Trained.load(init)
    recipe = recipe if earlier is None else continued(recipe, earlier.recipe)
    parts, facts = _read(recipe, files)
    if init is not None:
        facts["init"] = str(init)
    if search is not None:
        recipe, facts[automatic.FACT] = automatic.chosen(recipe, parts, out, resume, search, options["say"])
    trained = train(
        recipe,
        parts["data"],
        validation=parts["validation_data"],
        test=parts["test_data"],
        directory=out,
        resume=resume,
        init=earlier,
        facts=facts,
        baselines=True,
        **options,
    )
    if interruption.is_first_process():
        found = {name: facts[name] for name in (automatic.FACT,) if name in facts}
        _tell(trained, out, found, as_json)


def _read(recipe: Recipe[Any], files: dict[str, Path | None]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The data of each file, None where there is none, and what config.json says of the files."""
    from fastgru_recipes import read_files

    parts: dict[str, Any] = {}
    for name, path in files.items():
        with read_files.about(path):
            parts[name] = None if path is None else recipe.read(path)
    return parts, {
        name: {"path": str(path), "sha256": read_files.fingerprint(path)} for name, path in files.items() if path
    }


def _tell(trained: Trained, out: Path, found: dict[str, Any], as_json: bool) -> None:
    """Prints the result of a training; `found` is what a search has found."""
    from fastgru_recipes.cli import tables
    from fastgru_recipes.judgement import verdict

    said = verdict(trained.recipe, trained.metrics["scores"], trained.metrics.get("baselines", {}))
    if as_json:
        run = {
            "run": str(out),
            "recipe": trained.recipe.name,
            **found,
            "epochs": len(trained.history),
            **trained.metrics,
        }
        print_json({**run, "notes": [said] if said else []})
        return
    Console().print(tables.run_table(trained, str(out)))
    if said:
        Console().print(said, markup=False, highlight=False)
