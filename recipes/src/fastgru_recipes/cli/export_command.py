"""The command `export`: the network of a run as files that need no PyTorch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from fastgru.cli.console import need
from fastgru_recipes.cli.console import PACKAGE, JsonOption, QuietOption, one_sentence, print_json, write
from fastgru_recipes.cli.use_commands import RunDirectory


def export(
    directory: RunDirectory,
    to: Annotated[
        Path | None, typer.Option(dir_okay=False, help="File to write. Default: exported.* in the run directory.")
    ] = None,
    format: Annotated[
        Literal["fastgru", "onnx"] | None,
        typer.Option(help="For fastgru.runtime (.safetensors), or ONNX (.onnx). Default: by the ending of --to."),
    ] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Write a network to files that run without PyTorch, and check them.

    A JSON file beside them tells what their inputs mean, with the vocabulary or scaler.
    """
    with one_sentence(quiet):
        need(PACKAGE, "fastgru export")
        from fastgru_recipes.training.export import export as exported

        found = exported(directory, to, format)
    if as_json:
        facts = {"files": [str(path) for path in found.files], "description": str(found.description)}
        print_json({**facts, "difference": found.difference, "tolerance": found.tolerance})
        return
    for path in found.files:
        write(f"{path}\n")
    write(f"{found.description}\n")
    if not quiet:
        write(f"The results are those of the network: they differ by {found.difference:.1g} at most.\n")
