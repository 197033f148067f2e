"""What a framework stores: the names and shapes of its arrays, as data.

A shape is written in letters: "I 3H" is a matrix with I rows and 3 H columns; H is the hidden size, I the input size.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from numpy.typing import NDArray

Array = NDArray[Any]
Arrays = dict[str, Array]


class Cell(NamedTuple):
    """The parameters of one layer in one direction, in torch's order r, z, n; z keeps the old state.

    Attributes:
        weight_ih: (3H, I).
        weight_hh: (3H, H).
        bias_ih: (3H,); None without biases.
        bias_hh: (3H,); None without biases.
        suffix: the end of torch's names of these parameters, such as ``_l0_reverse``; for messages.
    """

    weight_ih: Array
    weight_hh: Array
    bias_ih: Array | None
    bias_hh: Array | None
    suffix: str = ""


class Layout(NamedTuple):
    """One way in which a framework stores a cell.

    Attributes:
        shapes: the shape of each array by name, such as ``{"kernel": "I 3H"}``.
        has_bias: whether biases are among them.
        reset_after: whether r acts after the product with the state; None: the arrays are the same for both.
    """

    shapes: Mapping[str, str]
    has_bias: bool
    reset_after: bool | None = True


class Framework(NamedTuple):
    """A framework's layouts, and the functions between them and a `Cell`.

    Attributes:
        title: its name in messages.
        layouts: all ways in which it stores a cell.
        read: (arrays, reset_after) -> the cell.
        write: (cell, reset_after) -> the arrays.
        leading: what the first dimensions of every array count: ``()``, ``("directions",)`` or
            ``("layers", "directions")``.
        asks_reset: what says in this framework that the reset gate acts after the product, for messages.
    """

    title: str
    layouts: tuple[Layout, ...]
    read: Callable[[Arrays, bool], Cell]
    write: Callable[[Cell, bool], Arrays]
    leading: tuple[str, ...] = ()
    asks_reset: str = "reset_after=True"

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all arrays, those of biases included."""
        return tuple(dict.fromkeys(name for layout in self.layouts for name in layout.shapes))


def fits(shapes: Mapping[str, str], arrays: Mapping[str, Array], sizes: dict[str, int]) -> str | None:
    """The name of the first array whose shape does not fit; None if all fit.

    Args:
        shapes: the expected shapes by name.
        arrays: the arrays by the same names.
        sizes: the values of the letters; those that were not known are added.

    Example:
        >>> import numpy as np
        >>> from fastgru.convert.layout import fits
        >>> sizes = {}
        >>> fits({"kernel": "I 3H"}, {"kernel": np.ones((4, 6))}, sizes), sizes
        (None, {'I': 4, 'H': 2})
        >>> fits({"bias": "3H"}, {"bias": np.ones(7)}, sizes)
        'bias'
    """
    for name, shape in shapes.items():
        sides = shape.split()
        if len(sides) != arrays[name].ndim or not all(map(_side_fits, sides, arrays[name].shape, [sizes] * len(sides))):
            return name
    return None


def _side_fits(side: str, size: int, sizes: dict[str, int]) -> bool:
    factor, letter = re.fullmatch(r"(\d*)([A-Z]?)", side).groups()  # type: ignore[union-attr]
    if not letter:
        return size == int(factor)
    times = int(factor or 1)
    if letter not in sizes and size > 0 and size % times == 0:
        sizes[letter] = size // times
    return size == times * sizes.get(letter, -1)
