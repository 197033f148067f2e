"""Nodes of ONNX graphs that choose between values: for empty sequences, and in softplus."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from fastgru.convert.onnx_nodes.operation import Operation
from fastgru.convert.onnx_nodes.values import Constant, Lengths, Unfinished
from fastgru.graph.traced import States, Traced


def _where(op: Operation) -> Any:
    condition, value = op.inputs[0], op.inputs[1]
    if isinstance(condition, Lengths) and isinstance(value, States):
        return value  # states of empty sequences, which those of the runtime are anyway
    result = _softplus(op) if isinstance(condition, Unfinished) and condition.kind == "above" else None
    if result is None:
        raise op.refuse("Where of values. Multiply by a mask of numbers instead, or pass lengths to the runtime")
    return result


def _softplus(op: Operation) -> Traced | None:
    """Softplus as torch defines it: x itself where beta * x is above a threshold, as torch's exporter writes it."""
    above, x, other = op.inputs
    if not isinstance(x, Traced) or not isinstance(other, Traced):
        return None
    scaled = above.x.name
    beta = 1.0 if scaled == x.name else op.notes.products.get(scaled, ("", 0.0))[1]
    is_of_x = scaled == x.name or op.notes.products.get(scaled, ("",))[0] == x.name
    if not is_of_x or op.notes.softplus.get(other.name) != (scaled, beta):
        return None
    return op.tracer.function(op.name, "Softplus", x, beta=beta, threshold=above.epsilon)


def _greater(op: Operation) -> Any:
    value, limit = op.inputs
    if isinstance(value, Traced) and isinstance(limit, Constant) and limit.array.size == 1:
        return Unfinished("above", value, partial(_refuse, op), float(limit.array.reshape(())))
    if not isinstance(value, Lengths):
        raise op.refuse(f"{op.kind} of anything but lengths of sequences")
    return value


def _refuse(op: Operation) -> Traced:
    raise op.refuse(f"{op.kind} of values. Multiply by a mask of numbers instead, or pass lengths to the runtime")


CONDITIONS: Mapping[str, Callable[[Operation], Any]] = {"Greater": _greater, "Where": _where}
