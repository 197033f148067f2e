"""Nodes of ONNX graphs that sum over features or directions, and layer normalization that is written as such nodes.

Before opset 17 there is no LayerNormalization. Exporters write (x - mean) / sqrt(mean((x - mean)^2) + eps); its pieces
are `Unfinished` until the division, which makes them one node.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from fastgru.convert.onnx_nodes.operation import Operation
from fastgru.convert.onnx_nodes.parts import direction
from fastgru.convert.onnx_nodes.values import Constant, Unfinished
from fastgru.graph.axes import Role, Size
from fastgru.graph.traced import Traced


def _axis(op: Operation, x: Traced) -> int:
    axes = op.numbers("axes", 1)
    if axes is None or len(axes) != 1:
        raise op.refuse(f"{op.kind} over several axes")
    return axes[0] % len(x.axes)


def _reduce(op: Operation) -> Any:
    x = op.parts()
    axis = _axis(op, x)
    if x.axes[axis].role is Role.DIRECTIONS and x.axes[axis].size != Size(1):
        return _over_directions(op, x, axis)
    is_features = x.axes[axis].role is Role.FEATURES or (x.axes[axis].role is None and not x.axes[axis].size.names)
    if axis != len(x.axes) - 1 or not is_features:
        raise op.refuse(f"{op.kind} over another axis than that of the features or directions")
    keeps = op.attributes.get("keepdims", 1) == 1
    piece = _piece(op) if op.kind == "ReduceMean" and keeps else None
    if piece is not None:
        return piece
    total = _over_features(op)
    return total if keeps else op.tracer.squeezed(op.where, total, [axis])


def _over_directions(op: Operation, x: Traced, axis: int) -> Traced:
    count = x.axes[axis].size.number
    if op.kind not in ("ReduceSum", "ReduceMean"):
        raise op.refuse(f"{op.kind} over the directions of a GRU")
    total = direction(op, x, axis, 0)
    for one in range(1, count):
        total = op.tracer.operation(op.name, "Add", total, direction(op, x, axis, one))
    if op.kind == "ReduceMean":
        total = op.tracer.operation(op.name, "Divide", total, np.asarray(float(count)))
    return op.tracer.unsqueezed(total, axis) if op.attributes.get("keepdims", 1) == 1 else total


def _over_features(op: Operation) -> Traced:
    """A sum over features is a product with ones."""
    x = op.value()
    if op.kind in ("ReduceL2", "ReduceSumSquare"):
        x = op.tracer.operation(op.name, "Multiply", x, x)
    if op.kind == "ReduceL1":
        x = op.tracer.function(op.name, "Abs", x)
    count = x.axes[-1].size.number
    each = 1 / count if op.kind == "ReduceMean" else 1.0
    weight = np.full((1, count), each, op.dtype)
    total = op.tracer.linear(f"{op.name}.sum", x, (f"{op.name}.weight", weight), None)
    return op.tracer.function(f"{op.name}.root", "Sqrt", total) if op.kind == "ReduceL2" else total


def _piece(op: Operation) -> Unfinished | None:
    """The mean, or the variance, of a layer normalization."""
    given = op.inputs[0]
    if isinstance(given, Unfinished):
        return Unfinished("variance", given.x, lambda: _over_features(op)) if given.kind == "square" else None
    return Unfinished("mean", op.value(), lambda: _over_features(op))


def unfinished(op: Operation) -> Unfinished | Traced | None:
    """What sums, products and functions of pieces of a layer normalization are; None: something else."""
    rule = _RULES.get(op.kind)
    if rule is None or not any(isinstance(one, Unfinished) for one in op.inputs):
        return None
    return rule(op)


def _kinds(op: Operation) -> tuple[str, ...]:
    return tuple(one.kind if isinstance(one, Unfinished) else "" for one in op.inputs[:2])


def _centred(op: Operation) -> Unfinished | None:
    x, mean = op.inputs
    if _kinds(op) != ("", "mean") or x != mean.x:
        return None
    return Unfinished("centred", x, lambda: op.tracer.operation(op.name, "Subtract", x, mean.value))


def _square(op: Operation) -> Unfinished | None:
    first, second = op.inputs
    is_two = isinstance(second, Constant) and second.array.size == 1 and float(second.array.reshape(())) == 2
    if _kinds(op)[0] != "centred" or not (is_two if op.kind == "Pow" else first is second):
        return None
    return Unfinished("square", first.x, lambda: op.tracer.operation(op.name, "Multiply", first.value, first.value))


def _with_epsilon(op: Operation) -> Unfinished | None:
    pair = op.inputs if isinstance(op.inputs[0], Unfinished) else op.inputs[::-1]
    piece, constant = pair
    if piece.kind != "variance" or not isinstance(constant, Constant) or constant.array.size != 1 or piece.epsilon:
        return None
    number = float(constant.array.reshape(()))
    return Unfinished(
        "variance", piece.x, lambda: op.tracer.operation(op.name, "Add", piece.value, np.asarray(number)), number
    )


def _deviation(op: Operation) -> Unfinished | None:
    (piece,) = op.inputs
    if piece.kind != "variance":
        return None
    return Unfinished("deviation", piece.x, lambda: op.tracer.function(op.name, "Sqrt", piece.value), piece.epsilon)


def _inverse(op: Operation) -> Unfinished | None:
    (piece,) = op.inputs
    if piece.kind != "deviation":
        return None
    compute = lambda: op.tracer.operation(op.name, "Divide", np.asarray(1.0), piece.value)  # noqa: E731
    return Unfinished("inverse", piece.x, compute, piece.epsilon)


def _normalized(op: Operation) -> Traced | None:
    kinds = _kinds(op)
    wanted = ("deviation",) if op.kind == "Div" else ("inverse",)
    pair = op.inputs if kinds[0] == "centred" or op.kind == "Div" else op.inputs[::-1]
    first, second = pair
    if not isinstance(first, Unfinished) or not isinstance(second, Unfinished):
        return None
    if first.kind != "centred" or second.kind not in wanted or first.x != second.x:
        return None
    return op.tracer.layer_norm(op.name, first.x, second.epsilon, None, None)


_RULES: Mapping[str, Callable[[Operation], Unfinished | Traced | None]] = {
    "Sub": _centred,
    "Mul": lambda op: _square(op) or _normalized(op),
    "Pow": _square,
    "Add": _with_epsilon,
    "Sqrt": _deviation,
    "Reciprocal": _inverse,
    "Div": _normalized,
}

REDUCTIONS: Mapping[str, Callable[[Operation], Any]] = dict.fromkeys(
    ("ReduceSum", "ReduceMean", "ReduceL1", "ReduceL2", "ReduceSumSquare"), _reduce
)
