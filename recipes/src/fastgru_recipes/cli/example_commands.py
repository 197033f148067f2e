"""The commands that train on example data, or compare layers: `example`, `examples` and `compare`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_type_hints

import typer
from rich.console import Console

from fastgru.cli.console import need
from fastgru.errors import ArgumentError
from fastgru_recipes import RECIPES, option_names, recipe_class
from fastgru_recipes.cli.console import (
    EXAMPLES,
    PACKAGE,
    JsonOption,
    QuietOption,
    one_sentence,
    print_json,
    shows_progress,
)

if TYPE_CHECKING:
    from fastgru_recipes.cli.run_examples import Outcome
    from fastgru_recipes.example_sets import Parts
    from fastgru_recipes.recipe import Recipe


def example(
    recipe: Annotated[str, typer.Argument(help=f"One of {', '.join(RECIPES)}.", autocompletion=lambda: [*RECIPES])],
    name: Annotated[str | None, typer.Argument(help="Name of the example data. Default: the recipe's first.")] = None,
    out: Annotated[
        Path | None, typer.Option(file_okay=False, help="Run directory. Default: example-RECIPE-NAME.")
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Use all of the data and a larger network.")] = False,
    layer: Annotated[Literal["fastgru", "torch", "lstm"], typer.Option(help="The recurrent layer.")] = "fastgru",
    seed: Annotated[int, typer.Option(min=0, help="Seed of weights and batches.")] = 0,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Train a recipe on example data, and compare it with baselines."""
    with one_sentence(quiet):
        need(PACKAGE, "fastgru example")
        need(EXAMPLES, "fastgru example")
        from fastgru_recipes.cli import run_examples, tables
        from fastgru_recipes.training.train import check_directory

        chosen = run_examples.find_set(recipe, name)
        directory = out or Path(f"example-{recipe}-{chosen.name}")
        check_directory(directory, resume=False)
        configured = run_examples.configured(recipe, chosen, full, seed=seed)
        typer.echo(f"{recipe}: {chosen.about}", err=as_json or quiet)
        outcome = run_examples.run_example(configured, chosen, (layer,), full, directory, shows_progress(quiet))
        if as_json:
            print_json({"run": str(directory), **run_examples.facts(outcome)})
        else:
            console = Console()
            console.print(tables.baselines_table(outcome))
            console.print(f"Scores, weights and plots: {directory}", soft_wrap=True)
        _judge([outcome])


def examples(
    out: Annotated[Path, typer.Option(file_okay=False, help="Directory for the run directories.")] = Path(
        "examples-output"
    ),
    stock: Annotated[bool, typer.Option("--stock/--no-stock", help="Train each example with torch.nn.GRU too.")] = True,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Run all examples and print one table. Fails if an example is worse than its baselines."""
    with one_sentence(quiet):
        need(PACKAGE, "fastgru examples")
        need(EXAMPLES, "fastgru examples")
        from fastgru_recipes.cli import run_examples, tables
        from fastgru_recipes.training.train import check_directory

        check_directory(out, resume=False)
        outcomes = []
        for recipe, each in run_examples.packaged_examples():
            if not quiet:
                typer.echo(f"{recipe}: {each.about}", err=True)
            configured = run_examples.configured(recipe, each)
            layers = ("fastgru", "torch") if stock else ("fastgru",)
            place = out / f"{recipe}-{each.name}"
            outcomes.append(run_examples.run_example(configured, each, layers, False, place, shows_progress(quiet)))
        if as_json:
            print_json([run_examples.facts(outcome) for outcome in outcomes])
        else:
            Console(width=max(120, Console().width)).print(tables.examples_table(outcomes))
        _judge(outcomes)


def _judge(outcomes: Sequence[Outcome]) -> None:
    """Says where an example does not beat its baselines, and ends with an error if it is clearly worse."""
    console = Console(stderr=True)
    lost = [each for each in outcomes if not each.beats_baselines]
    for each in lost:
        name, score = each.best_baseline
        console.print(f"{each.recipe.name} on {each.data} does not beat {name} ({score:.4g}).", style="red")
    if not all(each.keeps_up for each in outcomes):
        raise typer.Exit(1)


def compare(
    other: Annotated[Literal["lstm", "torch"], typer.Argument(help="torch.nn.LSTM, or torch.nn.GRU.")],
    recipe: Annotated[str, typer.Option(help=f"One of {', '.join(RECIPES)}.", autocompletion=lambda: [*RECIPES])],
    data: Annotated[Path | None, typer.Option(help="Your file. Default: the recipe's example data.")] = None,
    test_data: Annotated[
        Path | None, typer.Option(help="File that is scored at the end. Default: a fraction of --data.")
    ] = None,
    seeds: Annotated[
        int, typer.Option(min=1, help="Number of runs of each layer, to see the spread of the scores.")
    ] = 1,
    option: Annotated[list[str] | None, typer.Option(help="Option of the recipe, such as hidden=128.")] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Compare the GRU with another layer of the same hidden size: parameters, seconds, score.

    An LSTM has four gates where a GRU has three, so the GRU's layers have 3/4 of its parameters.
    """
    with one_sentence(quiet), option_names.spoken("pairs"):
        need(PACKAGE, "fastgru compare")
        from fastgru_recipes.cli import run_examples, tables

        kind = recipe_class(recipe)
        given = dict(_pair(kind, text) for text in option or ())
        configured, parts, metric = _compared(recipe, kind, given, data, test_data)
        bars = shows_progress(quiet)
        results = [
            run_examples.train_once(replace(configured, layer=layer, seed=seed), parts, metric, None, bars)[0]
            for seed in range(configured.seed, configured.seed + seeds)
            for layer in ("fastgru", other)
        ]
        if as_json:
            print_json({"metric": metric, "runs": [asdict(result) for result in results]})
        else:
            Console().print(tables.comparison_table(results, metric))


def _compared(
    recipe: str, kind: type[Recipe[Any]], given: dict[str, Any], data: Path | None, test_data: Path | None
) -> tuple[Recipe[Any], Parts, str]:
    """The recipe, the data and the metric of a comparison: a user's file, or the recipe's first example."""
    from fastgru_recipes.cli import run_examples
    from fastgru_recipes.example_sets import Parts

    if data is not None:
        configured = kind(**given)
        test = None if test_data is None else configured.read(test_data)
        return configured, Parts(configured.read(data), None, test), kind.metric
    if test_data is not None:
        raise ArgumentError(f"--test-data {test_data} is given without --data: give the training data too.")
    need(EXAMPLES, "fastgru compare without --data")
    chosen = run_examples.find_set(recipe, None)
    configured = run_examples.configured(recipe, chosen, **given)
    return configured, chosen.load(configured, False), chosen.metric or kind.metric


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
