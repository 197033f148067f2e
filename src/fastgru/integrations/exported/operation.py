"""One operation of an exported program: its arguments as values of the tracer, constants and numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor, fx

from fastgru import errors
from fastgru.graph.axes import Size
from fastgru.graph.traced import States, Traced
from fastgru.graph.tracing import GraphTracer

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Constant:
    """A parameter, buffer or constant, and its name."""

    key: str
    array: Array


@dataclass(frozen=True)
class Zeros:
    """Zeros of any shape: the start of a recurrence."""


@dataclass(frozen=True)
class Operation:
    """One operation: its place, and its arguments as values of the tracer, constants and numbers."""

    tracer: GraphTracer
    where: str
    name: str
    node: fx.Node
    args: Sequence[Any]
    kwargs: Mapping[str, Any]

    def argument(self, place: int, name: str, default: Any = None) -> Any:
        """An argument by place or name."""
        return self.args[place] if place < len(self.args) else self.kwargs.get(name, default)

    def value(self, place: int) -> Traced:
        """An argument that must be a value.

        Raises:
            ConversionError: it is something else.
        """
        value = self.args[place]
        if not isinstance(value, Traced):
            raise errors.cannot_convert(self.where, f"{self.name} of {described(value)}")
        return value

    def refuse(self, what: str, *remedy: str) -> Exception:
        """An error for this operation, with a remedy other than to cut the model there."""
        return errors.cannot_convert(self.where, f"{self.name} {what}", *remedy)


def described(value: object) -> str:
    """What an argument is, for the words of an error."""
    if isinstance(value, States) and value.is_computed:
        return "values for several layers and directions"
    if isinstance(value, States):
        return f"the state {value.source!r}" if value.source else "the state of a layer"
    if isinstance(value, Constant):
        return f"the constant {value.key!r}"
    if isinstance(value, Traced):
        return "a value that is computed"
    return "zeros or an argument of recurrent layers" if isinstance(value, Zeros) else f"{value!r:.60}"


def numbers_of(tensor: Tensor) -> Array:
    """The values of a tensor as an array."""
    return np.ascontiguousarray(tensor.detach().cpu().numpy())


def sizes_of(shape: Sequence[Any]) -> tuple[Size, ...]:
    """The sizes of a shape of torch."""
    return tuple(size_of(size) for size in shape)


def size_of(size: Any) -> Size:
    """A size of torch, a number or a product of symbols."""
    if isinstance(size, int):
        return Size(size)
    number, factors = size.node.expr.as_coeff_mul()
    return Size(int(number), tuple(sorted(map(str, factors))))


def shape_of(op: Operation) -> tuple[Size, ...]:
    """The sizes of the result of an operation."""
    return sizes_of(op.node.meta["val"].shape)
