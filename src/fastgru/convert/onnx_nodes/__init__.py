"""What the nodes of ONNX graphs are in a graph of the runtime."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fastgru.convert.onnx_nodes.axes import AXES
from fastgru.convert.onnx_nodes.conditions import CONDITIONS
from fastgru.convert.onnx_nodes.functions import FUNCTIONS
from fastgru.convert.onnx_nodes.layers import LAYERS
from fastgru.convert.onnx_nodes.operation import Operation
from fastgru.convert.onnx_nodes.parts import PARTS
from fastgru.convert.onnx_nodes.recurrent import gru
from fastgru.convert.onnx_nodes.reductions import REDUCTIONS, unfinished
from fastgru.convert.onnx_nodes.sizes import OF_SIZES, SIZES
from fastgru.convert.onnx_nodes.states import STATES, handle_states
from fastgru.convert.onnx_nodes.values import Constant, Shape
from fastgru.graph.traced import States

HANDLERS: Mapping[str, Callable[[Operation], Any]] = {
    **LAYERS,
    **FUNCTIONS,
    **AXES,
    **PARTS,
    **REDUCTIONS,
    **CONDITIONS,
    **OF_SIZES,
    "GRU": gru,
}
KNOWN = frozenset(HANDLERS) | frozenset(SIZES)


def handle(op: Operation) -> Any:
    """The results of a node: one, or a tuple of several."""
    if op.kind in SIZES and _is_of_sizes(op.inputs):
        return SIZES[op.kind](op)
    if op.kind in STATES and op.inputs and isinstance(op.inputs[0], States):
        return handle_states(op)
    piece = unfinished(op)
    if piece is not None:
        return piece
    if op.kind not in HANDLERS:
        raise op.refuse(f"{op.kind} of values")
    return HANDLERS[op.kind](op)


def _is_of_sizes(inputs: Sequence[Any]) -> bool:
    return any(isinstance(one, Shape) for one in inputs) and all(
        one is None or isinstance(one, (Shape, Constant)) for one in inputs
    )
