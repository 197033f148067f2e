"""Functions, sums and products in ONNX graphs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from fastgru.convert.onnx_nodes.operation import Operation
from fastgru.convert.onnx_nodes.values import Constant, Shape
from fastgru.graph.traced import Traced


def _function(name: str, **renamed: tuple[str, Any]) -> Callable[[Operation], Traced]:
    """A function of each number; `renamed` are our attributes: the operator's name and default."""

    def handle(op: Operation) -> Traced:
        given = {ours: op.attributes.get(theirs, default) for ours, (theirs, default) in renamed.items()}
        return op.tracer.function(op.name, name, op.parts(), **given)

    return handle


def _gelu(op: Operation) -> Traced:
    approximate = op.attributes.get("approximate", b"none")
    name = approximate.decode() if isinstance(approximate, bytes) else approximate
    return op.tracer.function(op.name, "GELU", op.parts(), approximate=name)


def _selu(op: Operation) -> Traced:
    for name, usual in (("alpha", 1.6732632), ("gamma", 1.0507010)):
        if abs(op.attributes.get(name, usual) - usual) > 1e-6:
            raise op.refuse(f"a Selu with {name}={op.attributes[name]}. Expected {usual}")
    return op.tracer.function(op.name, "SELU", op.parts())


def _clip(op: Operation) -> Traced:
    limits = {}
    for place, name in ((1, "min"), (2, "max")):
        constant = op.constant(place)
        value = op.attributes.get(name) if constant is None else float(np.asarray(constant.array).reshape(()))
        if value is not None and np.isfinite(value):
            limits[name] = float(value)
    return op.tracer.function(op.name, "Clamp", op.parts(), **limits)


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
    """Powers that are products, square roots, and their inverses."""
    x, exponent = op.value(), op.needed(1)
    number = float(exponent.array.reshape(-1)[0]) if exponent.array.size == 1 else None
    if number is None or abs(number) not in (0.5, 1, 2, 3):
        raise op.refuse(f"the power {number}")
    power = x
    if abs(number) == 0.5:
        power = op.tracer.function(op.name, "Sqrt", x)
    for _ in range(int(abs(number)) - 1):
        power = op.tracer.operation(op.name, "Multiply", power, x)
    return power if number > 0 else op.tracer.operation(f"{op.name}.inverse", "Divide", np.asarray(1.0), power)


def _reciprocal(op: Operation) -> Traced:
    return op.tracer.operation(op.name, "Divide", np.asarray(1.0), op.parts())


def _celu(op: Operation) -> Traced:
    """Alpha * ELU(x / alpha)."""
    alpha = np.asarray(float(op.attributes.get("alpha", 1.0)))
    scaled = op.tracer.operation(f"{op.name}.scaled", "Divide", op.parts(), alpha)
    return op.tracer.operation(op.name, "Multiply", op.tracer.function(f"{op.name}.elu", "ELU", scaled), alpha)


def _mish(op: Operation) -> Traced:
    """X * tanh(softplus(x))."""
    x = op.parts()
    gate = op.tracer.function(f"{op.name}.tanh", "Tanh", op.tracer.function(f"{op.name}.softplus", "Softplus", x))
    return op.tracer.operation(op.name, "Multiply", x, gate)


def _swish(op: Operation) -> Traced:
    """X * sigmoid(alpha * x)."""
    x, alpha = op.parts(), float(op.attributes.get("alpha", 1.0))
    scaled = x if alpha == 1 else op.tracer.operation(f"{op.name}.scaled", "Multiply", x, np.asarray(alpha))
    return op.tracer.operation(op.name, "Multiply", x, op.tracer.function(f"{op.name}.gate", "Sigmoid", scaled))


def _operation(name: str) -> Callable[[Operation], Any]:
    def handle(op: Operation) -> Any:
        if any(isinstance(one, Shape) for one in op.inputs):
            raise op.refuse(f"{op.kind} with a number that depends on the sizes of the call")
        sides = [one.array if isinstance(one, Constant) else op.parts(place) for place, one in enumerate(op.inputs)]
        if isinstance(sides[0], np.ndarray) or isinstance(sides[1], np.ndarray):
            return _with_constant(op, name, *sides)
        return op.tracer.operation(op.name, name, *sides)

    return handle


def _with_constant(op: Operation, name: str, left: Any, right: Any) -> Traced:
    """An operation with a number, or with a vector of features, along whatever axis these lie."""
    x, array = (right, left) if isinstance(left, np.ndarray) else (left, right)
    for _ in range(array.ndim - len(x.axes)):
        x = op.tracer.unsqueezed(x, 0)
    pair = (array, x) if isinstance(left, np.ndarray) else (x, array)
    if array.size == 1:
        return _noted(op, name, x, float(array.reshape(())), op.tracer.operation(op.name, name, *pair))
    x = op.whole(x)
    long = [place - array.ndim for place, size in enumerate(array.shape) if size != 1]
    if len(long) != 1:
        raise op.refuse(
            f"{op.kind} with a constant of shape {array.shape}. Expected one number, or a vector of features"
        )
    along, vector = long[0], array.reshape(-1)
    x = op.with_features(x, vector.size)
    if along == -1:
        return _biased(op, name, x, vector) or op.tracer.operation(
            op.name, name, *((vector, x) if pair[0] is array else (x, vector))
        )
    return op.along(
        x,
        along,
        lambda turned: op.tracer.operation(
            op.name, name, *((vector, turned) if pair[0] is array else (turned, vector))
        ),
    )


def _noted(op: Operation, name: str, x: Traced, number: float, result: Traced) -> Traced:
    """Notes products with a number, and quotients of softplus, for `_where` of softplus."""
    if name == "Multiply":
        op.notes.products[result.name] = (x.name, number)
    if name == "Divide" and isinstance(op.inputs[1], Constant) and x.name in op.notes.softplus:
        op.notes.softplus[result.name] = (op.notes.softplus[x.name][0], number)
    return result


def _softplus(op: Operation) -> Traced:
    x = op.parts()
    result = op.tracer.function(op.name, "Softplus", x)
    op.notes.softplus[result.name] = (x.name, 1.0)
    return result


def _biased(op: Operation, name: str, x: Traced, vector: Any) -> Traced | None:
    """A vector added to a product with weights is the bias of a linear layer."""
    if name != "Add":
        return None
    constant = next(one for one in op.inputs if isinstance(one, Constant))
    return op.tracer.biased(x, (constant.key, vector))


def _sum(op: Operation) -> Traced:
    total = op.parts()
    for place in range(1, len(op.inputs)):
        total = op.tracer.operation(op.name, "Add", total, op.parts(place))
    return total


FUNCTIONS: Mapping[str, Callable[[Operation], Any]] = {
    "Celu": _celu,
    "Mish": _mish,
    "Swish": _swish,
    "Relu": _function("ReLU"),
    "LeakyRelu": _function("LeakyReLU", negative_slope=("alpha", 0.01)),
    "PRelu": _prelu,
    "Elu": _function("ELU", alpha=("alpha", 1.0)),
    "Selu": _selu,
    "Gelu": _gelu,
    "Sigmoid": _function("Sigmoid"),
    "Tanh": _function("Tanh"),
    "Softplus": _softplus,
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
