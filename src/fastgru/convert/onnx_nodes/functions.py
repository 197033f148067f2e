"""Functions, sums and products in ONNX graphs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from fastgru.convert.onnx_nodes.operation import Constant, Operation, Shape
from fastgru.graph.axes import Size
from fastgru.graph.traced import Traced


def _function(name: str, **renamed: tuple[str, Any]) -> Callable[[Operation], Traced]:
    """A function of each number; `renamed` are our attributes: the operator's name and default."""

    def handle(op: Operation) -> Traced:
        given = {ours: op.attributes.get(theirs, default) for ours, (theirs, default) in renamed.items()}
        return op.tracer.function(op.name, name, op.value(), **given)

    return handle


def _gelu(op: Operation) -> Traced:
    approximate = op.attributes.get("approximate", b"none")
    name = approximate.decode() if isinstance(approximate, bytes) else approximate
    return op.tracer.function(op.name, "GELU", op.value(), approximate=name)


def _clip(op: Operation) -> Traced:
    limits = {}
    for place, name in ((1, "min"), (2, "max")):
        constant = op.constant(place)
        value = op.attributes.get(name) if constant is None else float(np.asarray(constant.array).reshape(()))
        if value is not None and np.isfinite(value):
            limits[name] = float(value)
    return op.tracer.function(op.name, "Clamp", op.value(), **limits)


def _extreme(limit: str) -> Callable[[Operation], Traced]:
    """Min or Max with one number."""

    def handle(op: Operation) -> Traced:
        left, right = op.inputs if len(op.inputs) == 2 else (None, None)
        x, constant = (left, right) if isinstance(left, Traced) else (right, left)
        if not isinstance(x, Traced) or not isinstance(constant, Constant) or constant.array.size != 1:
            raise op.refuse(f"{op.kind} of anything but a value and a number")
        return op.tracer.function(op.name, "Clamp", x, **{limit: float(constant.array.reshape(()))})

    return handle


def _softmax(name: str) -> Callable[[Operation], Traced]:
    def handle(op: Operation) -> Traced:
        x = op.value()
        axis = op.attributes.get("axis", -1 if op.opset >= 13 else 1)
        if op.opset < 13 and axis % len(x.axes) != len(x.axes) - 1:
            raise op.refuse(f"{op.kind} over several axes at once, as before opset 13")
        return op.tracer.over_features(op.name, name, x, axis)

    return handle


def _prelu(op: Operation) -> Traced:
    """max(0, x) - slope * max(0, -x)."""
    x, slope = op.value(), op.needed(1)
    positive = op.tracer.function(op.name, "ReLU", x)
    below = op.tracer.function(f"{op.name}.below", "ReLU", op.tracer.function(f"{op.name}.negative", "Neg", x))
    scaled = op.tracer.operation(f"{op.name}.scaled", "Multiply", below, slope.array)
    return op.tracer.operation(f"{op.name}.sum", "Subtract", positive, scaled)


def _pow(op: Operation) -> Traced:
    x, exponent = op.value(), op.needed(1)
    number = float(exponent.array.reshape(-1)[0]) if exponent.array.size == 1 else None
    if number == 0.5:
        return op.tracer.function(op.name, "Sqrt", x)
    if number != 2:
        raise op.refuse(f"the power {number}")
    return op.tracer.operation(op.name, "Multiply", x, x)


def _reciprocal(op: Operation) -> Traced:
    return op.tracer.operation(op.name, "Divide", np.asarray(1.0), op.value())


def _operation(name: str) -> Callable[[Operation], Any]:
    def handle(op: Operation) -> Any:
        left, right = op.inputs
        if isinstance(left, Shape) or isinstance(right, Shape):
            return _size_operation(op, name)
        sides = [one.array if isinstance(one, Constant) else one for one in (left, right)]
        for place, one in enumerate(sides):
            if not isinstance(one, (Traced, np.ndarray)):
                op.value(place)
        return _with_bias(op, name, sides) or op.tracer.operation(op.name, name, *sides)

    return handle


def _with_bias(op: Operation, name: str, sides: Sequence[Any]) -> Traced | None:
    """A vector added to a product with weights is the bias of a linear layer."""
    x, vector = sides if isinstance(sides[0], Traced) else sides[::-1]
    if name != "Add" or not isinstance(vector, np.ndarray) or vector.ndim < 1 or vector.size != vector.shape[-1]:
        return None
    constant = next(one for one in op.inputs if isinstance(one, Constant))
    return op.tracer.biased(x, (constant.key, vector.reshape(-1)))


def _size_operation(op: Operation, name: str) -> Shape:
    """Arithmetic with sizes: products of them, and division by what is a factor."""
    if not all(isinstance(one, (Shape, Constant)) for one in op.inputs):
        raise op.refuse(f"{op.kind} with a number that depends on the sizes of the call")
    sides = [one.sizes if isinstance(one, Shape) else tuple(Size(number) for number in one.ints()) for one in op.inputs]
    if name == "Multiply" and len(sides[0]) == len(sides[1]):
        return Shape(tuple(one.times(other) for one, other in zip(*sides, strict=True)))
    if all(not size.names for size in (*sides[0], *sides[1])) and len(sides[0]) == len(sides[1]):
        call = {"Add": int.__add__, "Subtract": int.__sub__, "Divide": int.__floordiv__}[name]
        return Shape(tuple(Size(call(one.number, other.number)) for one, other in zip(*sides, strict=True)))
    raise op.refuse(f"{op.kind} of sizes that are not fixed")


def _sum(op: Operation) -> Traced:
    total = op.value()
    for place in range(1, len(op.inputs)):
        total = op.tracer.operation(op.name, "Add", total, op.value(place))
    return total


FUNCTIONS: Mapping[str, Callable[[Operation], Any]] = {
    "Relu": _function("ReLU"),
    "LeakyRelu": _function("LeakyReLU", negative_slope=("alpha", 0.01)),
    "PRelu": _prelu,
    "Elu": _function("ELU", alpha=("alpha", 1.0)),
    "Selu": _function("SELU"),
    "Gelu": _gelu,
    "Sigmoid": _function("Sigmoid"),
    "Tanh": _function("Tanh"),
    "Softplus": _function("Softplus"),
    "Softsign": _function("Softsign"),
    "HardSigmoid": _function("Hardsigmoid", alpha=("alpha", 0.2), beta=("beta", 0.5)),
    "HardSwish": _function("Hardswish"),
    "Clip": _clip,
    "Min": _extreme("max"),
    "Max": _extreme("min"),
    "Exp": _function("Exp"),
    "Log": _function("Log"),
    "Erf": _function("Erf"),
    "Sqrt": _function("Sqrt"),
    "Abs": _function("Abs"),
    "Neg": _function("Neg"),
    "Pow": _pow,
    "Reciprocal": _reciprocal,
    "Softmax": _softmax("Softmax"),
    "LogSoftmax": _softmax("LogSoftmax"),
    "Add": _operation("Add"),
    "Sub": _operation("Subtract"),
    "Mul": _operation("Multiply"),
    "Div": _operation("Divide"),
    "Sum": _sum,
}
