"""The commands that use a finished run for new data: `predict` and `generate`."""

from __future__ import annotations

import inspect
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from fastgru.cli.console import need
from fastgru.errors import ArgumentError
from fastgru_recipes.cli.console import PACKAGE, JsonOption, QuietOption, one_sentence, print_json, write

if TYPE_CHECKING:
    import pandas as pd

    from fastgru_recipes.training.run_directory import Trained

RunDirectory = Annotated[Path, typer.Argument(help="A run directory made by fastgru train.")]
FILES = "Format of the file, if not that of the training data"
SeparatorOption = Annotated[str | None, typer.Option(rich_help_panel=FILES, help="Separator of the columns.")]
DecimalOption = Annotated[Literal[".", ","] | None, typer.Option(rich_help_panel=FILES, help="Decimal separator.")]
SheetOption = Annotated[str | None, typer.Option(rich_help_panel=FILES, help="Sheet of an Excel file.")]
EncodingOption = Annotated[str | None, typer.Option(rich_help_panel=FILES, help="Encoding of the characters.")]


def predict(
    directory: RunDirectory,
    text: Annotated[str | None, typer.Argument(help="One text, instead of a file.")] = None,
    data: Annotated[
        Path | None, typer.Option(help="File in the format of the training data, or -; answers may be missing.")
    ] = None,
    out: Annotated[Path | None, typer.Option(dir_okay=False, help="CSV file. Default: standard output.")] = None,
    horizon: Annotated[
        int | None, typer.Option(min=1, help="Steps to forecast, at most the learned ones, which are the default.")
    ] = None,
    best: Annotated[
        int | None,
        typer.Option(min=1, help="How many translations, labels or tags to write for each input, with probabilities."),
    ] = None,
    probabilities: Annotated[
        bool,
        typer.Option(
            "--probabilities", help="Write the probabilities of all tags; those of all labels are always written."
        ),
    ] = False,
    separator: SeparatorOption = None,
    decimal: DecimalOption = None,
    encoding: EncodingOption = None,
    sheet: SheetOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON lines instead of CSV.")] = False,
    quiet: QuietOption = False,
) -> None:
    """Predict with a trained recipe, and write CSV. Names, numbers and times of the input are in the first columns."""
    with one_sentence(quiet):
        if (text is None) == (data is None):
            raise ArgumentError("give either a text or --data FILE; --data - is the standard input.")
        need(PACKAGE, "fastgru predict")
        from fastgru_recipes.cli.answers import check_output, write_table
        from fastgru_recipes.training.run_directory import Trained

        check_output(out)
        formats = {"separator": separator, "decimal": decimal, "encoding": encoding, "sheet": sheet}
        trained = read_as(Trained.load(directory), formats)
        wishes = {"horizon": horizon, "best": best, "probabilities": probabilities or None}
        write_table(_answers(trained, text, data, wishes), out, as_json)


def read_as(trained: Trained, formats: dict[str, str | None]) -> Trained:
    """The run with a recipe that reads files in another format."""
    given: dict[str, Any] = {name: value for name, value in formats.items() if value is not None}
    known = {each.name for each in fields(trained.recipe)}
    if wrong := [name for name in given if name not in known]:
        raise ArgumentError(f"a run of {trained.recipe.name} does not read tables: leave out --{wrong[0]}.")
    return replace(trained, recipe=replace(trained.recipe, **given))


def _answers(trained: Trained, text: str | None, data: Path | None, wishes: dict[str, Any]) -> pd.DataFrame:
    from fastgru_recipes import read_files

    recipe = trained.recipe
    wishes = {name: value for name, value in wishes.items() if value is not None}
    known = inspect.signature(recipe.predict).parameters
    if wrong := [name for name in wishes if name not in known]:
        raise ArgumentError(f"a run of {recipe.name} cannot predict with --{wrong[0]}. Leave it out.")
    with read_files.about(data or "the text"):
        inputs = recipe.read_inputs(data) if data is not None else recipe.from_text(text or "", trained.state)
        return recipe.predict(trained.model, trained.state, inputs, **wishes)


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
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Generate text with a trained recipe `generate`, and print it piece by piece."""
    with one_sentence(quiet):
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
        if as_json:
            print_json({"prompt": prompt, "text": "".join(pieces), **drawn})
            return
        write(prompt)
        for piece in pieces:
            write(piece)
        write("\n")
