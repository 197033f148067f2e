"""How messages name options: as parameters in Python, and as options on the command line.

Readers and recipes serve both. They ask here, and the commands say that they are the ones who speak.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Literal

# Python: context=48. A command: --context 48. Pairs, of the option --option: --option context=48.
Style = Literal["python", "command", "pairs"]
_style: ContextVar[Style] = ContextVar("style of the names of options", default="python")
FLAGS = {"directory": "--out"}  # whose names differ


@contextmanager
def spoken(style: Style) -> Iterator[None]:
    """Inside the block, messages name options in this style.

    Example:
        >>> from fastgru_recipes.option_names import given, named, spoken
        >>> named("text_column"), given("columns", ("form", "xpos"))
        ('the parameter text_column', "columns='form,xpos'")
        >>> with spoken("command"):
        ...     named("text_column"), given("columns", ("form", "xpos"))
        ('--text-column', '--columns form,xpos')
    """
    token = _style.set(style)
    try:
        yield
    finally:
        _style.reset(token)


def named(option: str) -> str:
    """An option without a value: `the parameter text_column`, or `--text-column`."""
    if _style.get() == "python":
        return f"the parameter {option}"
    return _flag(option) if _style.get() == "command" else f"--option {option}=..."


def given(option: str, value: Any) -> str:
    """An option with a value: `text_column='body'`, or `--text-column body`. Tuples are shown as texts with commas."""
    if isinstance(value, (tuple, list)):
        value = ",".join(map(str, value))
    if _style.get() == "python":
        return f"{option}={value!r}"
    if isinstance(value, dict):
        value = json.dumps(value)
    if _style.get() == "pairs":
        return f"--option {shlex.quote(f'{option}={value}')}"
    if isinstance(value, bool):
        return _flag(option) if value else _flag(f"no_{option}")
    return f"{_flag(option)} {shlex.quote(str(value))}"


def again(option: str, value: Any) -> str:
    """What to do once more, with another option: `Run the same command with --resume`."""
    what = "Make the same call" if _style.get() == "python" else "Run the same command"
    return f"{what} with {given(option, value)}"


def _flag(option: str) -> str:
    return FLAGS.get(option, f"--{option.replace('_', '-')}")
