"""Nodes of ONNX graphs that handle the lengths of sequences, which are an argument of the runtime."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fastgru.convert.onnx_nodes.operation import Lengths, Operation
from fastgru.graph.traced import States


def _where(op: Operation) -> Any:
    """A state where sequences are not empty, which those of the runtime are anyway."""
    condition, value = op.inputs[0], op.inputs[1]
    if isinstance(condition, Lengths) and isinstance(value, States):
        return value
    raise op.refuse("Where of values. Multiply by a mask of numbers instead, or pass lengths to the runtime")


def _greater(op: Operation) -> Any:
    if not isinstance(op.inputs[0], Lengths):
        raise op.refuse(f"{op.kind} of anything but lengths of sequences")
    return op.inputs[0]


LENGTHS: Mapping[str, Callable[[Operation], Any]] = {"Greater": _greater, "Where": _where}
