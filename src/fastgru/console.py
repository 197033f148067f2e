"""What all commands of `fastgru` share: the application, extras, errors in one sentence, progress."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

import fastgru
from fastgru.errors import FastGRUError, missing_extra

app = typer.Typer(
    name="fastgru",
    help="The GRU layer of PyTorch, number for number, several times faster on a CPU.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

# Which packages each extra brings, by the names they are imported under.
EXTRAS = {
    "torch": ("torch",),
    "cli": ("typer", "rich"),
    "demo": ("torch", "typer", "rich", "matplotlib"),
    "onnx": ("torch", "onnx", "onnxscript"),
    "opacus": ("torch", "opacus"),
    "tasks": (
        "torch",
        "typer",
        "rich",
        "lightning",
        "torchmetrics",
        "sacrebleu",
        "tokenizers",
        "pandas",
        "pyarrow",
        "matplotlib",
        "sklearn",
        "tensorboard",
    ),
    "examples": ("statsmodels", "babel", "pysword"),
    "sktime": ("sktime",),
}

# Torch has no exception of its own for sizes that do not fit into memory, only these words.
_TOO_BIG = ("can't allocate memory", "Storage size calculation overflowed")


def _version(is_asked: bool) -> None:
    if is_asked:
        typer.echo(f"fastgru {fastgru.__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """The GRU layer of PyTorch, number for number, several times faster on a CPU."""


@contextmanager
def one_sentence() -> Iterator[Console]:
    """Errors that a user can mend end the command with their text and status 1."""
    console = Console(stderr=True, highlight=False)
    try:
        yield console
    except FastGRUError as error:
        console.print(f"error: {error}", style="red", markup=False, soft_wrap=True)
        raise typer.Exit(1) from error
    except OSError as error:
        said = f"{error.filename}: {error.strerror}" if error.filename and error.strerror else str(error)
        console.print(f"error: {said}. Check the path, and who may use it.", style="red", markup=False, soft_wrap=True)
        raise typer.Exit(1) from error
    except RuntimeError as error:
        if not any(words in str(error) for words in _TOO_BIG):
            raise
        console.print("error: sizes this large need more memory than there is. Choose smaller ones.", style="red")
        raise typer.Exit(1) from error


def need(extra: str, purpose: str) -> None:
    """Raises before the work starts, not after it."""
    for package in EXTRAS[extra]:
        if find_spec(package) is None:
            raise missing_extra(package, extra, purpose)


def progress() -> Progress:
    """A bar on the error stream, gone when the work is done."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
