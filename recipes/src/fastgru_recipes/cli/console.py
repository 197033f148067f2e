"""Common code of the recipes' commands: requirements, short errors and warnings, printing of texts."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console

from fastgru.cli import console
from fastgru_recipes.errors import CutWarning, FilledWarning, RunWarning

# Requirement -> the packages that it installs, like `fastgru.cli.console.EXTRAS`.
PACKAGE, EXAMPLES, SKTIME = "fastgru-recipes", "fastgru-recipes[examples]", "fastgru-recipes[sktime]"
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
}


@contextmanager
def one_sentence() -> Iterator[None]:
    """Prints errors and our own warnings as one sentence."""
    with console.one_sentence() as errors, _short_warnings(errors):
        yield


@contextmanager
def _short_warnings(console: Console) -> Iterator[None]:
    """Prints our own warnings without file and line, which do not help on the command line."""
    show = warnings.showwarning

    def shown(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
        if issubclass(category, (CutWarning, FilledWarning, RunWarning)):
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
