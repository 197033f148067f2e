"""Sums and products of values, concatenation, parts of vectors, and single steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import numpy as np

from fastgru import errors
from fastgru.graph.operators.base import (
    LARGEST_SIZE,
    Array,
    Attribute,
    Attributes,
    Operator,
    Shape,
    Timing,
    need_vectors,
)
from fastgru.graph.values import Per, Value


def _joint(values: Sequence[Value]) -> Per:
    """A value for each sequence is the same at all its steps, if it meets one for each step."""
    return Per.STEP if any(value.per is Per.STEP for value in values) else Per.SEQUENCE


class Binary(Operator):
    """An operation on two values of one size, or on one and a constant.

    One of two values may have size 1: its number is for all those of the other, as that of a gate or a mask.

    Attributes:
        other: ``"value"``: a second input; ``"vector"``: a parameter ``other`` of the same size; ``"number"``.
        number: the constant, for ``"number"``.
        swap: whether the constant comes first.
    """

    attributes = MappingProxyType(
        {
            "other": Attribute(("value", "vector", "number"), "value"),
            "number": Attribute(float, 0.0),
            "swap": Attribute(bool, False),
        }
    )
    inputs = (1, 2)

    def __init__(self, function: Callable[[Array, Array], Array]) -> None:
        self.function = function

    def parameter_shapes(self, attributes: Attributes, inputs: Sequence[Value]) -> dict[str, Shape]:
        return {"other": (inputs[0].size or 1,)} if attributes["other"] == "vector" else {}

    def results(self, where: str, attributes: Attributes, inputs: Sequence[Value]) -> list[Value]:
        expected = 2 if attributes["other"] == "value" else 1
        if len(inputs) != expected:
            raise errors.wrong_count(where, "inputs", len(inputs), (expected, expected))
        for value in inputs:
            need_vectors(where, value)
        widest = max(inputs, key=lambda value: value.size or 0)
        for value in inputs:
            if value.size != 1:
                need_vectors(where, value, widest.size)
        return [Value(_joint(inputs), widest.size)]

    def compute(
        self, attributes: Attributes, parameters: Mapping[str, Array], inputs: Sequence[Array], timing: Timing
    ) -> list[Array]:
        x = inputs[0]
        if attributes["other"] == "value":
            other = inputs[1]
        elif attributes["other"] == "vector":
            other = parameters["other"]
        else:
            other = np.asarray(attributes["number"], x.dtype)
        pair = (other, x) if attributes["swap"] else (x, other)
        with np.errstate(all="ignore"):  # NaN and infinity go through, as in torch
            return [self.function(*pair)]


class Concat(Operator):
    """The features of several values, one behind the other."""

    inputs = (1, 1024)

    def results(self, where: str, attributes: Attributes, inputs: Sequence[Value]) -> list[Value]:
        for value in inputs:
            need_vectors(where, value)
        size = sum(value.size or 0 for value in inputs)
        if size > LARGEST_SIZE:
            raise errors.wrong_value(where, f"{size} features in all", f"at most {LARGEST_SIZE}")
        return [Value(_joint(inputs), size)]

    def compute(
        self, attributes: Attributes, parameters: Mapping[str, Array], inputs: Sequence[Array], timing: Timing
    ) -> list[Array]:
        front = max((x.shape[:-1] for x in inputs), key=len)
        return [np.concatenate([np.broadcast_to(x, (*front, x.shape[-1])) for x in inputs], axis=-1)]


class Slice(Operator):
    """The features from `first` on, `size` of them."""

    attributes = MappingProxyType({"first": Attribute(int, 0, least=0), "size": Attribute(int)})

    def results(self, where: str, attributes: Attributes, inputs: Sequence[Value]) -> list[Value]:
        need_vectors(where, inputs[0])
        last = attributes["first"] + attributes["size"]
        if last > (inputs[0].size or 0):
            raise errors.wrong_value(where, str(inputs[0]), f"a vector of at least {last}")
        return [Value(inputs[0].per, attributes["size"])]

    def compute(
        self, attributes: Attributes, parameters: Mapping[str, Array], inputs: Sequence[Array], timing: Timing
    ) -> list[Array]:
        first = attributes["first"]
        return [inputs[0][..., first : first + attributes["size"]]]


class Last(Operator):
    """The last step of each sequence: that before its end if `lengths` are given, zeros if it is empty."""

    def results(self, where: str, attributes: Attributes, inputs: Sequence[Value]) -> list[Value]:
        need_vectors(where, inputs[0], per=Per.STEP)
        return [Value(Per.SEQUENCE, inputs[0].size)]

    def compute(
        self, attributes: Attributes, parameters: Mapping[str, Array], inputs: Sequence[Array], timing: Timing
    ) -> list[Array]:
        x, lengths = inputs[0], timing.lengths
        if lengths is None:
            return [x[-1]]
        last = x[np.maximum(lengths, 1) - 1, np.arange(x.shape[1])]
        return [np.where(lengths[:, None] > 0, last, np.zeros((), x.dtype))]


COMBINING: dict[str, Operator] = {
    "Add": Binary(np.add),
    "Subtract": Binary(np.subtract),
    "Multiply": Binary(np.multiply),
    "Divide": Binary(np.divide),
    "Concat": Concat(),
    "Slice": Slice(),
    "Last": Last(),
}
