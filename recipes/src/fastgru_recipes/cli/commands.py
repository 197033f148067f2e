"""The commands of `fastgru` that train and use recipes. Their options are the fields of the recipes' dataclasses.

Recipes import torch and Lightning, so they are imported only when a command runs or prints its help.
"""

from __future__ import annotations

import inspect
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import Field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_origin, get_type_hints

import typer
from rich.console import Console
from typer.core import TyperGroup

from fastgru.cli import interruption
from fastgru.cli.console import EXTRAS as KNOWN_EXTRAS
from fastgru.cli.console import need
from fastgru.errors import ArgumentError
from fastgru_recipes import RECIPES, recipe_class
from fastgru_recipes.cli.console import EXAMPLES, EXTRAS, PACKAGE, one_sentence, write
from fastgru_recipes.errors import TrainingInterrupted

if TYPE_CHECKING:
    from fastgru_recipes.cli.run_examples import Outcome
    from fastgru_recipes.recipe import Recipe

DataFile = Annotated[Path, typer.Option(help="File with the training data; docs/tutorials describes the formats.")]
RunDirectory = Annotated[Path, typer.Argument(help="A run directory made by fastgru train.")]

app = typer.Typer()


def add_commands(to: typer.Typer) -> None:
    """Adds the commands to those of `fastgru`, and their requirements to `fastgru info`."""
    KNOWN_EXTRAS.update(EXTRAS)
    to.add_typer(app)


# ---- train


class _Recipes(TyperGroup):
    """One command for each recipe, created when it is needed."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(RECIPES)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in RECIPES:
            return None
        with one_sentence():
            need(PACKAGE, f"fastgru train {cmd_name}")
            single = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
            single.command(cmd_name, help=f"{RECIPES[cmd_name][1].capitalize()}.")(
                _train_command(recipe_class(cmd_name))
            )
        return typer.main.get_command(single)


app.add_typer(
    typer.Typer(cls=_Recipes, no_args_is_help=True),
    name="train",
    help="Train a recipe on your data: train RECIPE --help.",
)


def _train_command(kind: type[Recipe[Any]]) -> Callable[..., None]:
    """A function with one keyword for each field of the recipe. Typer makes the options from its signature."""

    def command(
        data: DataFile,
        out: Annotated[Path, typer.Option(file_okay=False, help="Run directory to create.")],
        validation_data: Annotated[
            Path | None, typer.Option(help="File that chooses the best epoch. Default: a fraction of --data.")
        ] = None,
        test_data: Annotated[Path | None, typer.Option(help="File that is scored once, at the end.")] = None,
        resume: Annotated[bool, typer.Option("--resume", help="Continue the interrupted run in --out.")] = False,
        devices: Annotated[int, typer.Option(min=1, help="Processes that share each batch.")] = 1,
        tensorboard: Annotated[
            bool, typer.Option("--tensorboard", help="Write logs for TensorBoard to --out.")
        ] = False,
        **options: Any,
    ) -> None:
        with one_sentence(), _beside_the_first():
            files = {"data": data, "validation_data": validation_data, "test_data": test_data}
            _train(kind(**options), files, out, resume, devices=devices, tensorboard=tensorboard)

    own = [each for each in inspect.signature(command).parameters.values() if each.kind is not each.VAR_KEYWORD]
    hints = get_type_hints(command, include_extras=True)
    flags = [_flag(each, get_type_hints(kind)[each.name]) for each in fields(kind)]
    parameters = [each.replace(annotation=hints[each.name], kind=each.KEYWORD_ONLY) for each in own] + flags
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {each.name: each.annotation for each in parameters}
    return command


def _flag(each: Field[Any], hint: Any) -> inspect.Parameter:
    default: Any = each.default
    if get_origin(hint) is tuple:  # as one comma-separated string
        hint, default = str, ",".join(map(str, default))
    bounds = {"min": each.metadata["least"], "max": each.metadata["most"]} if hint in (int, float) else {}
    described = Annotated[hint, typer.Option(help=each.metadata["help"], **bounds)]
    return inspect.Parameter(each.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=described)


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


def _train(recipe: Recipe[Any], files: dict[str, Path | None], out: Path, resume: bool, **options: Any) -> None:
    from fastgru_recipes import read_files
    from fastgru_recipes.cli import tables
    from fastgru_recipes.training.train import check_directory, train

    check_directory(out, resume)
    parts = {name: None if path is None else recipe.read(path) for name, path in files.items()}
    facts = {name: {"path": str(path), "sha256": read_files.fingerprint(path)} for name, path in files.items() if path}
    trained = train(
        recipe,
        parts["data"],
        validation=parts["validation_data"],
        test=parts["test_data"],
        directory=out,
        resume=resume,
        facts=facts,
        progress=interruption.is_first_process(),
        **options,
    )
    if interruption.is_first_process():
        Console().print(tables.run_table(trained, str(out)))


# ---- predict, generate, evaluate


@app.command()
def predict(
    directory: RunDirectory,
    data: Annotated[Path, typer.Option(help="File in the format of the training data; answers may be missing.")],
    out: Annotated[Path | None, typer.Option(dir_okay=False, help="CSV file. Default: standard output.")] = None,
) -> None:
    """Predict with a trained recipe, and write CSV."""
    with one_sentence():
        need(PACKAGE, "fastgru predict")
        from fastgru.atomic_files import atomic_write
        from fastgru_recipes import read_files
        from fastgru_recipes.training.run_directory import Trained

        trained = Trained.load(directory)
        with read_files.about(data):
            table = trained.recipe.predict(trained.model, trained.state, trained.recipe.read_inputs(data))
        if out is None:
            write(table.to_csv(index=False))
            return
        with atomic_write(out) as partial:
            table.to_csv(partial, index=False)


@app.command()
def generate(
    directory: RunDirectory,
    prompt: Annotated[str, typer.Option(help="Text to continue.")] = "",
    length: Annotated[int, typer.Option(min=1, help="Number of tokens to generate.")] = 500,
    temperature: Annotated[
        float, typer.Option(min=0, help="0 takes the most probable token; 1 draws from the learned distribution.")
    ] = 0.8,
    top_k: Annotated[int, typer.Option(min=0, help="Draw from this many of the most probable tokens; 0 for all.")] = 0,
    top_p: Annotated[
        float, typer.Option(min=0, max=1, help="Draw from the fewest tokens with this total probability.")
    ] = 1.0,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the draws.")] = 0,
) -> None:
    """Generate text with a trained recipe `generate`, and print it piece by piece."""
    with one_sentence():
        need(PACKAGE, "fastgru generate")
        from fastgru_recipes.generate.recipe import Generate
        from fastgru_recipes.training.run_directory import Trained

        trained = Trained.load(directory)
        if not isinstance(trained.recipe, Generate):
            raise ArgumentError(
                f"{directory} is a run of {trained.recipe.name}; only a run of generate can generate text."
            )
        drawn: dict[str, Any] = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "seed": seed}
        pieces = trained.recipe.sample(trained.model, trained.state, prompt, length, **drawn)
        write(prompt)
        for piece in pieces:
            write(piece)
        write("\n")


@app.command()
def evaluate(
    directory: RunDirectory,
    data: Annotated[Path, typer.Option(help="File in the format of the training data, with answers.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    plots: Annotated[Path | None, typer.Option(file_okay=False, help="Directory for the recipe's plots.")] = None,
) -> None:
    """Score a trained recipe on other data."""
    with one_sentence():
        need(PACKAGE, "fastgru evaluate")
        from fastgru_recipes import read_files
        from fastgru_recipes.cli import tables
        from fastgru_recipes.training.run_directory import Trained, defined

        trained = Trained.load(directory)
        found = trained.recipe.read(data)
        with read_files.about(data):
            scores = trained.recipe.score(trained.model, trained.state, found)
        if plots is not None:
            from fastgru_recipes.training.train import save_plots

            save_plots(trained, found, plots)
    if as_json:
        typer.echo(json.dumps(defined(scores), indent=2))
        return
    Console().print(tables.scores_table(scores, str(data)))


# ---- example, examples, compare


@app.command()
def example(
    recipe: Annotated[str, typer.Argument(help=f"One of {', '.join(RECIPES)}.")],
    name: Annotated[str | None, typer.Argument(help="Name of the example data. Default: the recipe's first.")] = None,
    out: Annotated[
        Path | None, typer.Option(file_okay=False, help="Run directory. Default: example-RECIPE-NAME.")
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Use all of the data and a larger network.")] = False,
    layer: Annotated[Literal["fastgru", "torch", "lstm"], typer.Option(help="The recurrent layer.")] = "fastgru",
    seed: Annotated[int, typer.Option(min=0, help="Seed of weights and batches.")] = 0,
) -> None:
    """Train a recipe on example data, and compare it with baselines."""
    with one_sentence():
        need(PACKAGE, "fastgru example")
        need(EXAMPLES, "fastgru example")
        from fastgru_recipes.cli import run_examples, tables
        from fastgru_recipes.training.train import check_directory

        chosen = run_examples.find_set(recipe, name)
        directory = out or Path(f"example-{recipe}-{chosen.name}")
        check_directory(directory, resume=False)
        configured = run_examples.configured(recipe, chosen, full, seed=seed)
        typer.echo(f"{recipe}: {chosen.about}")
        outcome = run_examples.run_example(configured, chosen, (layer,), full, directory, progress=True)
        console = Console()
        console.print(tables.baselines_table(outcome))
        console.print(f"Scores, weights and plots: {directory}", soft_wrap=True)
        _judge([outcome], console)


@app.command()
def examples(
    out: Annotated[Path, typer.Option(file_okay=False, help="Directory for the run directories.")] = Path(
        "examples-output"
    ),
    stock: Annotated[bool, typer.Option("--stock/--no-stock", help="Train each example with torch.nn.GRU too.")] = True,
) -> None:
    """Run all examples and print one table. Fails if an example does not beat its baselines."""
    with one_sentence():
        need(PACKAGE, "fastgru examples")
        need(EXAMPLES, "fastgru examples")
        from fastgru_recipes.cli import run_examples, tables
        from fastgru_recipes.training.train import check_directory

        check_directory(out, resume=False)
        outcomes = []
        for recipe, each in run_examples.packaged_examples():
            typer.echo(f"{recipe}: {each.about}", err=True)
            configured = run_examples.configured(recipe, each)
            layers = ("fastgru", "torch") if stock else ("fastgru",)
            outcomes.append(
                run_examples.run_example(configured, each, layers, False, out / f"{recipe}-{each.name}", progress=True)
            )
        console = Console(width=max(120, Console().width))
        console.print(tables.examples_table(outcomes))
        _judge(outcomes, console)


def _judge(outcomes: Sequence[Outcome], console: Console) -> None:
    lost = [each for each in outcomes if not each.beats_baselines]
    for each in lost:
        name, score = each.best_baseline
        console.print(f"{each.recipe.name} on {each.data} does not beat {name} ({score:.4g}).", style="red")
    if lost:
        raise typer.Exit(1)


@app.command()
def compare(
    other: Annotated[Literal["lstm", "torch"], typer.Argument(help="torch.nn.LSTM, or torch.nn.GRU.")],
    recipe: Annotated[str, typer.Option(help=f"One of {', '.join(RECIPES)}.")],
    data: Annotated[Path | None, typer.Option(help="Your file. Default: the recipe's example data.")] = None,
    test_data: Annotated[
        Path | None, typer.Option(help="File that is scored at the end. Default: a fraction of --data.")
    ] = None,
    seeds: Annotated[
        int, typer.Option(min=1, help="Number of runs of each layer, to see the spread of the scores.")
    ] = 1,
    option: Annotated[list[str] | None, typer.Option(help="Option of the recipe, such as hidden=128.")] = None,
) -> None:
    """Compare the GRU with another layer of the same hidden size: parameters, seconds, score.

    An LSTM has four gates where a GRU has three, so the GRU's layers have 3/4 of its parameters.
    """
    with one_sentence():
        need(PACKAGE, "fastgru compare")
        from fastgru_recipes.cli import run_examples, tables
        from fastgru_recipes.example_sets import Parts

        kind = recipe_class(recipe)
        given = dict(_pair(kind, text) for text in option or ())
        if data is None:
            if test_data is not None:
                raise ArgumentError(f"--test-data {test_data} is given without --data: give the training data too.")
            need(EXAMPLES, "fastgru compare without --data")
            chosen = run_examples.find_set(recipe, None)
            configured, metric = run_examples.configured(recipe, chosen, **given), chosen.metric or kind.metric
            parts = chosen.load(configured, False)
        else:
            configured, metric = kind(**given), kind.metric
            parts = Parts(configured.read(data), None, None if test_data is None else configured.read(test_data))
        results = [
            run_examples.train_once(replace(configured, layer=layer, seed=seed), parts, metric, progress=True)[0]
            for seed in range(configured.seed, configured.seed + seeds)
            for layer in ("fastgru", other)
        ]
        Console().print(tables.comparison_table(results, metric))


def _pair(kind: type[Recipe[Any]], text: str) -> tuple[str, Any]:
    """The name of an option, and its value converted to the type of the recipe's field."""
    name, equals, value = text.partition("=")
    if not equals:
        raise ArgumentError(f"--option {text!r} is not of the form name=value, such as hidden=128.")
    hints, known = get_type_hints(kind), [each.name for each in fields(kind)]
    if name not in known:
        raise ArgumentError(f"recipe {kind.name} has no option {name!r}. Options: {', '.join(known)}.")
    if hints[name] not in (int, float):
        return name, value
    try:
        return name, hints[name](value)
    except ValueError as error:
        raise ArgumentError(
            f"option {name}={value!r} is not {'an' if hints[name] is int else 'a'} {hints[name].__name__}."
        ) from error
