"""Common code of the recipes' commands: requirements, common options, short errors and warnings, printing."""

from __future__ import annotations

import json
import math
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from rich.console import Console

from fastgru.cli import console, interruption
from fastgru_recipes import option_names
from fastgru_recipes.errors import CutWarning, FilledWarning, RunWarning, TrainingInterrupted
from fastgru_recipes.interruption import last_signal

QuietOption = console.QuietOption
examples_text = console.examples_text
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]

# Requirement -> the packages that it installs, like `fastgru.cli.console.EXTRAS`.
PACKAGE, EXAMPLES, SKTIME = "fastgru-recipes", "fastgru-recipes[examples]", "fastgru-recipes[sktime]"
AUTO = "fastgru-recipes[auto]"
ONNX, LANGUAGES, EXCEL = "fastgru-recipes[onnx]", "fastgru-recipes[languages]", "fastgru-recipes[excel]"
EXTRAS = {
    PACKAGE: (
        "torch",
        "typer",
        "rich",
        "lightning",
        "torchmetrics",
        "safetensors",
        "sacrebleu",
        "tokenizers",
        "pandas",
        "pyarrow",
        "matplotlib",
        "sklearn",
        "tensorboard",
    ),
    EXAMPLES: ("statsmodels", "babel", "pysword"),
    SKTIME: ("sktime",),
    AUTO: ("optuna",),
    ONNX: ("onnx", "onnxscript", "onnxruntime"),
    LANGUAGES: ("babel",),
    EXCEL: ("openpyxl",),
}


@contextmanager
def one_sentence(quiet: bool = False) -> Iterator[None]:
    """Prints errors and our own warnings as one sentence, or errors alone.

    A training that a signal has interrupted ends with the status that shells give to such a program, 128 and the
    number of the signal.
    """
    with option_names.spoken("command"), console.one_sentence() as errors, _short_warnings(errors, quiet):
        try:
            yield
        except TrainingInterrupted as error:
            errors.print(f"{error}", style="yellow", markup=False, soft_wrap=True)
            raise typer.Exit(128 + last_signal()) from error


def shows_progress(quiet: bool) -> bool:
    """Whether to show progress bars: on a terminal, and by the first of several processes."""
    return not quiet and sys.stderr.isatty() and interruption.is_first_process()


def tells(quiet: bool) -> Callable[[str], None] | None:
    """Prints a line for people on the error stream: by the first of several processes; None where it should not."""
    if quiet or not interruption.is_first_process():
        return None
    return lambda line: typer.echo(line, err=True)


def print_json(facts: Any) -> None:
    """Prints JSON that any program can read: NaN, which JSON does not have, is null."""
    write(json.dumps(_defined(facts), indent=2, ensure_ascii=False) + "\n")


def _defined(facts: Any) -> Any:
    if isinstance(facts, dict):
        return {name: _defined(value) for name, value in facts.items()}
    if isinstance(facts, (list, tuple)):
        return [_defined(value) for value in facts]
    return None if isinstance(facts, float) and not math.isfinite(facts) else facts


@contextmanager
def _short_warnings(console: Console, quiet: bool) -> Iterator[None]:
    """Prints our own warnings without file and line, which do not help on the command line."""
    show = warnings.showwarning

    def shown(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
        if issubclass(category, (CutWarning, FilledWarning, RunWarning)):
            if not quiet:
                console.print(f"warning: {message}", style="yellow", markup=False, soft_wrap=True)
        else:
            show(message, category, *place, **more)

    with warnings.catch_warnings():
        warnings.showwarning = shown
        yield


def write(text: str) -> None:
    """Prints a text immediately, with a warning if the output's encoding lacks some of its characters."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError as error:
        letter = error.object[error.start]
        said = f"The output's encoding, {encoding}, has no {letter!a}: similar characters replace missing ones."
        Console(stderr=True).print(said, style="yellow", markup=False, highlight=False, soft_wrap=True)
    sys.stdout.write(text)
    sys.stdout.flush()
