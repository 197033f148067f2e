"""Instruction-set levels of the native core: which exist, which run here, which one is active.

The level is chosen once, when the core is loaded: the best that the processor offers, or the one that the
environment variable ``FASTGRU_ISA`` names. Results are the same, bit for bit, for one level on every machine;
levels differ from each other in the last bits.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from fastgru import _core
from fastgru.errors import LevelError


class Level(NamedTuple):
    """One instruction-set level.

    Attributes:
        name: ``"avx512"``, ``"avx2"``, ``"neon"`` or ``"baseline"``.
        available: the processor has it.
        active: the kernels of this level run.
    """

    name: str
    available: bool
    active: bool


def cpu_info() -> list[Level]:
    """The levels of this build, best first.

    Example:
        >>> import fastgru
        >>> sum(level.active for level in fastgru.cpu_info())
        1
    """
    active = _core.active_level()
    return [Level(name, available, name == active) for name, available in _core.levels()]


def set_level(name: str) -> None:
    """Runs the kernels of level `name` from now on, in every thread.

    Raises:
        LevelError: this build or this processor does not have the level.
    """
    if not _core.set_active_level(name):
        available = [level.name for level in cpu_info() if level.available]
        raise LevelError(
            f"instruction-set level {name!r} cannot run here: this build on this processor has "
            f"{', '.join(available)}. Name one of these, or unset FASTGRU_ISA to take the best."
        )


@contextmanager
def use_level(name: str) -> Iterator[None]:
    """Runs the kernels of level `name` inside a ``with`` block, in every thread.

    Example:
        >>> from fastgru.levels import cpu_info, use_level
        >>> with use_level("baseline" if cpu_info()[-1].name == "baseline" else "neon"):
        ...     cpu_info()[-1].active
        True
    """
    before = _core.active_level()
    set_level(name)
    try:
        yield
    finally:
        set_level(before)


if "FASTGRU_ISA" in os.environ:
    set_level(os.environ["FASTGRU_ISA"])
