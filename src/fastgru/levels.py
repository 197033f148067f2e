"""Instruction-set levels of the native core.

The level is chosen once, when the core is loaded: the best one that the processor supports, or the one in the
environment variable ``FASTGRU_ISA``. Results of one level have the same bits on every machine, and those of
``avx2`` and ``avx512`` are equal.
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
        available: whether the processor supports it.
        active: whether the kernels of this level are used.
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
    """Uses the kernels of level `name` from now on, in all threads.

    Raises:
        LevelError: if this build or this processor does not support the level.
    """
    if not _core.set_active_level(name):
        available = [level.name for level in cpu_info() if level.available]
        raise LevelError(
            f"instruction-set level {name!r} cannot run here: this build on this processor has "
            f"{', '.join(available)}. Name one of these, or unset FASTGRU_ISA to take the best."
        )


@contextmanager
def use_level(name: str) -> Iterator[None]:
    """Uses the kernels of level `name` inside a ``with`` block, in all threads.

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
