"""Common code of the commands of `fastgru`: the application, checks of extras, short error messages, progress.

Other packages can add commands: an entry point of the group `fastgru.commands` is a function that gets the application.
The names in `__all__` are public for such packages.
"""

from __future__ import annotations

import codecs
import io
import os
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from typer.core import TyperGroup

import fastgru
from fastgru.errors import FastGRUError, cannot_write, not_installed, remedy

__all__ = ["EXTRAS", "QuietOption", "examples_text", "need", "one_sentence"]


# The package of the recipes' commands, whether it is installed or not.
RECIPES_PACKAGE = "fastgru-recipes"
RECIPE_COMMANDS = (
    *("train", "predict", "generate", "evaluate", "backtest", "export"),
    *("example", "examples", "compare", "runs"),
)

# Requirement -> the packages that it installs, by their import names.
EXTRAS = {
    "fastgru[torch]": ("torch",),
    "fastgru[cli]": ("typer", "rich"),
    "fastgru[demo]": ("torch", "typer", "rich", "matplotlib"),
    "fastgru[onnx]": ("torch", "onnx", "onnxscript"),
    "fastgru[opacus]": ("torch", "opacus"),
    RECIPES_PACKAGE: ("fastgru_recipes",),
}


QuietOption = Annotated[
    bool, typer.Option("--quiet", "-q", help="Print the result alone: no progress bars, no warnings.")
]


def examples_text(lines: Sequence[str]) -> str:
    """The text below the help of a command, with examples that can be copied."""
    return "\n\n".join(["Examples:", *(f"  {line}" for line in lines)])


class _Commands(TyperGroup):
    """The group of commands. If the recipes are not installed, their commands say how to install them."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        found = super().get_command(ctx, cmd_name)
        if found is None and cmd_name in RECIPE_COMMANDS:
            with one_sentence():
                need(RECIPES_PACKAGE, f"fastgru {cmd_name}")
        return found

    def make_context(self, *arguments: Any, **more: Any) -> Any:  # which prints the help
        with _ends_with_reader():
            return super().make_context(*arguments, **more)

    def invoke(self, ctx: Any) -> Any:
        with _ends_with_reader():
            return super().invoke(ctx)


app = typer.Typer(
    name="fastgru",
    cls=_Commands,
    help="A drop-in replacement for PyTorch's GRU layer, several times faster on a CPU.",
    epilog=examples_text(["fastgru info", "fastgru demo", "fastgru train forecast --data sales.csv --out run"]),
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)

# Torch has no exception class for sizes that do not fit into memory, only these messages.
_TOO_BIG = ("can't allocate memory", "Storage size calculation overflowed")


def _version(is_asked: bool) -> None:
    if is_asked:
        typer.echo(f"fastgru {fastgru.__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """A drop-in replacement for PyTorch's GRU layer, several times faster on a CPU."""


# Replacements of characters that a terminal does not have; others lose their accents.
_SIMILAR = {"•": "-", "↑": "^", "↓": "v", "±": "~", "°": " ", "\N{EN DASH}": "-", "“": '"', "”": '"'}


def similar(error: UnicodeError) -> tuple[str, int]:
    """An error handler for `codecs` that replaces missing characters by similar ones."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    missing = error.object[error.start : error.end]
    plain = (unicodedata.normalize("NFKD", letter).encode("ascii", "ignore").decode() for letter in missing)
    found = (_SIMILAR.get(letter) or other or "?" for letter, other in zip(missing, plain, strict=True))
    return "".join(found), error.end


def run() -> None:
    """Runs the application on a terminal of any encoding, and reports errors of the output itself."""
    codecs.register_error("fastgru.similar", similar)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the caller: what is written is not wanted
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="fastgru.similar")
    try:
        with one_sentence():
            app()
    except typer.Exit as ended:
        sys.exit(ended.exit_code)


@contextmanager
def one_sentence() -> Iterator[Console]:
    """Ends the command with a message and status 1 on errors that a user can fix."""
    console = Console(stderr=True, highlight=False)
    try:
        yield console
    except FastGRUError as error:
        console.print(f"error: {error}", style="red", markup=False, soft_wrap=True)
        raise typer.Exit(1) from error
    except BrokenPipeError:
        raise  # which the group of commands handles
    except OSError as error:
        console.print(f"error: {_told(error)}", style="red", markup=False, soft_wrap=True)
        raise typer.Exit(1) from error
    except RuntimeError as error:
        if not any(words in str(error) for words in _TOO_BIG):
            raise
        console.print("error: sizes this large need more memory than is available. Choose smaller ones.", style="red")
        raise typer.Exit(1) from error


def _told(error: OSError) -> str:
    """The message for an OSError. If it has no file name, the output itself failed."""
    if error.errno is None:
        return f"{error}"
    if error.filename is None:
        _drop_output()
        return str(cannot_write("the standard output", error))
    return f"{error.filename}: {error.strerror}. {remedy(error)}"


@contextmanager
def _ends_with_reader() -> Iterator[None]:
    """Ends the command quietly if the reader of its output has ended, such as head."""
    try:
        yield
    except (BrokenPipeError, SystemExit) as error:
        if isinstance(error, SystemExit) and not isinstance(error.__context__, BrokenPipeError):
            raise  # rich makes this SystemExit of the other error
        _drop_output()
        raise typer.Exit(128 + 13) from error  # the status that shells give to a program that SIGPIPE ended


def _drop_output() -> None:
    """Sends what is still to be written to nowhere; otherwise Python would try again to write it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def need(requirement: str, purpose: str) -> None:
    """Raises if a package of `EXTRAS[requirement]` is missing. Called before any work is done."""
    for package in EXTRAS[requirement]:
        if find_spec(package) is None:
            raise not_installed(package, requirement, purpose)


def progress(quiet: bool = False) -> Progress:
    """A progress bar on the error stream that disappears at the end; none if `quiet`."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=quiet,
    )
