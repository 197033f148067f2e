"""What the names in an ONNX graph may stand for besides values of the tracer, and what is known of these."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from fastgru.graph.axes import Axis, Size
from fastgru.graph.carried import Taken
from fastgru.graph.traced import Traced

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Constant:
    """A weight or another constant, and its name."""

    key: str
    array: Array

    def ints(self) -> list[int]:
        """Its values as integers."""
        return [int(one) for one in np.asarray(self.array).reshape(-1)]


@dataclass(frozen=True)
class Shape:
    """The sizes of an array, or one of them (a scalar); at least one of them depends on the call."""

    sizes: tuple[Size, ...]
    is_scalar: bool = False


@dataclass(frozen=True)
class Zeros:
    """Zeros of any shape: the start of a recurrence."""


@dataclass(frozen=True)
class Repeated:
    """A constant that is repeated along axes of any size; these have size 1 in the array."""

    constant: Constant


@dataclass(frozen=True)
class Lengths:
    """The lengths of the sequences, which the runtime has an argument for; `axes` is the one of the batch."""

    axes: tuple[Axis, ...]


@dataclass(frozen=True)
class Unfinished:
    """A piece of a layer that exporters write as several nodes; a value only if something else reads it.

    Attributes:
        kind: what the piece is.
        x: what the layer reads.
        compute: adds the nodes that compute it.
        epsilon: what was added.
    """

    kind: str
    x: Traced
    compute: Callable[[], Traced]
    epsilon: float = 0.0

    @cached_property
    def value(self) -> Traced:
        """The piece as a value."""
        return self.compute()


class Reverse(NamedTuple):
    """Where a value has the outputs of the second direction of a GRU, whose first step is its last state."""

    first: int
    last: int
    state: str


@dataclass(frozen=True)
class Notes:
    """What is known of values by their names; nodes add to it.

    Attributes:
        reverse: values with outputs of the second direction of a GRU.
        products: values that are another one times a number.
        softplus: values that are softplus of another one, divided by a number.
        taken: GRU nodes that begin with states that come in.
    """

    reverse: dict[str, Reverse] = field(default_factory=dict)
    products: dict[str, tuple[str, float]] = field(default_factory=dict)
    softplus: dict[str, tuple[str, float]] = field(default_factory=dict)
    taken: list[Taken] = field(default_factory=list)


def described(value: Any) -> str:
    """What an input is, for the words of an error."""
    names = {
        Shape: "sizes of the call",
        Zeros: "zeros",
        Repeated: "a constant of any size",
        Lengths: "the lengths",
        type(None): "nothing",
    }
    return names.get(type(value), f"the constant {getattr(value, 'key', value)!r}")


def key_and_array(constant: Constant | None) -> tuple[str, Array] | None:
    """The key and the array of a constant."""
    return None if constant is None else (constant.key, constant.array)
