"""One node of an ONNX graph: its inputs as values of the tracer, constants and sizes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastgru import errors
from fastgru.graph.axes import Axis, Size
from fastgru.graph.traced import States, Traced
from fastgru.graph.tracing import GraphTracer

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
    """The sizes of an array, or one of them."""

    sizes: tuple[Size, ...]


@dataclass(frozen=True)
class Zeros:
    """Zeros of any shape: the start of a recurrence."""


@dataclass(frozen=True)
class Lengths:
    """The lengths of the sequences, which the runtime has an argument for; `axes` is the one of the batch."""

    axes: tuple[Axis, ...]


@dataclass(frozen=True)
class Operation:
    """One node: its place for words, its name, and its inputs as values of the tracer, constants and sizes."""

    tracer: GraphTracer
    where: str
    name: str
    kind: str
    inputs: Sequence[Any]
    attributes: Mapping[str, Any]
    outputs: int
    opset: int

    def input(self, place: int) -> Any:
        """An input; None if it is left out."""
        return self.inputs[place] if place < len(self.inputs) else None

    def value(self, place: int = 0) -> Traced:
        """An input that must be a value.

        Raises:
            ConversionError: it is something else.
        """
        value = self.input(place)
        if isinstance(value, States):
            raise errors.state_read_elsewhere(self.where, value.source)
        if not isinstance(value, Traced):
            raise self.refuse(f"{self.kind} of {described(value)}")
        return value

    def constant(self, place: int) -> Constant | None:
        """An input that must be constant, or left out.

        Raises:
            ConversionError: it is computed.
        """
        value = self.input(place)
        if value is not None and not isinstance(value, Constant):
            raise self.refuse(f"{self.kind} with an input {place} that is computed")
        return value

    def needed(self, place: int) -> Constant:
        """An input that must be constant.

        Raises:
            ConversionError: it is computed, or left out.
        """
        constant = self.constant(place)
        if constant is None:
            raise self.refuse(f"{self.kind} without its input {place}")
        return constant

    def numbers(self, attribute: str, place: int) -> list[int] | None:
        """Integers that older operators have as an attribute and newer ones as an input."""
        if attribute in self.attributes:
            given = self.attributes[attribute]
            return [int(given)] if isinstance(given, int) else [int(one) for one in given]
        constant = self.constant(place)
        return None if constant is None else constant.ints()

    def refuse(self, what: str) -> Exception:
        """An error for this node."""
        return errors.cannot_convert(self.where, what)


def described(value: Any) -> str:
    """What an input is, for the words of an error."""
    names = {Shape: "sizes", Zeros: "zeros", Lengths: "the lengths", type(None): "nothing"}
    return names.get(type(value), f"the constant {getattr(value, 'key', value)!r}")


def key_and_array(constant: Constant | None) -> tuple[str, Array] | None:
    """The key and the array of a constant."""
    return None if constant is None else (constant.key, constant.array)
