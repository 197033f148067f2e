"""The types of the values of a graph."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple


class Per(str, Enum):
    """How often a value occurs: at each step of each sequence, or once for each sequence of the batch."""

    STEP = "step"
    SEQUENCE = "sequence"


class Value(NamedTuple):
    """The type of a value.

    Attributes:
        per: once for each step, or once for each sequence.
        size: features of a vector; None for integer indices.
    """

    per: Per
    size: int | None

    def __str__(self) -> str:
        what = "an index" if self.size is None else f"a vector of {self.size}"
        return f"{what} for each {self.per.value}"

    @property
    def axes(self) -> str:
        """The canonical order of axes: time (T), batch (B), features (F)."""
        return ("TB" if self.per is Per.STEP else "B") + ("" if self.size is None else "F")


def value_of_axes(axes: str, size: int | None) -> Value | None:
    """The value that an array with these axes holds; None where no array of a graph has them.

    Axes marked ``1`` are of size 1 and stand for nothing.

    Example:
        >>> from fastgru.graph.values import value_of_axes
        >>> print(value_of_axes("BFT", 8), value_of_axes("B", None), value_of_axes("FT", 8), sep=", ")
        a vector of 8 for each step, an index for each sequence, None
    """
    letters = sorted(axes.replace("1", ""))
    for per in Per:
        value = Value(per, size)
        if letters == sorted(value.axes):
            return value
    return None
