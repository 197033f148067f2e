"""GRU nodes in ONNX graphs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from fastgru.convert.gate_order import reorder_gates
from fastgru.convert.onnx_nodes.operation import Operation
from fastgru.convert.onnx_nodes.values import Array, Constant, Lengths, Repeated, Reverse, Zeros
from fastgru.graph.axes import Axis, Role, Size
from fastgru.graph.carried import Taken
from fastgru.graph.traced import Recurrence, States, Traced
from fastgru.spec import GRUSpec


def gru(op: Operation) -> tuple[Any, ...]:
    """A node GRU: one layer in one or both directions."""
    _check_activations(op)
    _check_lengths(op)
    layer, is_reverse = _recurrence(op)
    layer, begins = _beginning(op, layer, is_reverse)
    by_batch = bool(op.attributes.get("layout", 0))
    x = op.with_features(op.value(), layer.attributes["input_size"])
    time, batch = (1, 0) if by_batch else (0, 1)
    output, states = op.tracer.gru(op.name, x, layer, time, batch, begins)
    hidden = layer.attributes["hidden_size"]
    directions = 2 if layer.attributes["bidirectional"] else 1
    start = op.input(5)
    if isinstance(start, States) and start.cells is None:
        op.notes.taken.append(Taken(start.source, len(start.axes), output.name, states.cells or ()))
    if directions == 2 and states.cells:
        op.notes.reverse[output.name] = Reverse(hidden, 2 * hidden, states.cells[1])
    if is_reverse:
        output = op.features(output, -1, hidden, 2 * hidden)
        states = States((states.cells or ())[1:], (Axis(Size(1), Role.CELLS), *states.axes[1:]))
        directions = 1
    one = Axis(Size(directions), Role.DIRECTIONS)
    features = Axis(Size(hidden), Role.FEATURES)
    place = 2 if by_batch else 1
    axes = (*output.axes[:place], one, *output.axes[place:-1], features)
    cells, *others = states.axes
    state_axes = (others[0], cells, *others[1:]) if by_batch else states.axes
    return replace(output, axes=axes), replace(states, axes=tuple(state_axes))


def _check_activations(op: Operation) -> None:
    names = [str(one.decode() if isinstance(one, bytes) else one) for one in op.attributes.get("activations", [])]
    if [name.lower() for name in names] not in ([], ["sigmoid", "tanh"], ["sigmoid", "tanh"] * 2):
        raise op.refuse(f"a GRU with the activations {', '.join(names)}. Expected Sigmoid and Tanh")
    if "clip" in op.attributes:
        raise op.refuse("a GRU with clip")


def _check_lengths(op: Operation) -> None:
    lengths = op.input(4)
    if isinstance(lengths, Constant) and len(set(lengths.ints())) > 1:
        raise op.refuse("a GRU with constant lengths of sequences")
    if not (lengths is None or isinstance(lengths, (Constant, Lengths))):
        raise op.refuse("a GRU with lengths that are computed")


def _beginning(op: Operation, layer: Recurrence, is_reverse: bool) -> tuple[Recurrence, list[Traced]]:
    """The layer, with a learned state that it begins with, and values that it begins with."""
    start = op.input(5)
    if start is None or isinstance(start, Zeros) or (isinstance(start, States) and start.cells is None):
        return layer, []
    if isinstance(start, (Constant, Repeated)):
        array = start.array if isinstance(start, Constant) else start.constant.array
        return (_learned(op, layer, array, is_reverse) if np.any(array) else layer), []
    if is_reverse:
        raise op.refuse("a GRU of the second direction alone that begins with computed values")
    return layer, _begins(op, 2 if layer.attributes["bidirectional"] else 1)


def _learned(op: Operation, layer: Recurrence, array: Array, is_reverse: bool) -> Recurrence:
    """The layer with the state that all rows begin with."""
    rows = np.moveaxis(array, 1, 0) if op.attributes.get("layout", 0) else array
    if rows.ndim != 3 or np.any(rows != rows[:, :1]):
        raise op.refuse("a GRU that begins with constants that differ from row to row")
    own = np.ascontiguousarray(rows[:, 0])
    own = np.concatenate([np.zeros_like(own), own]) if is_reverse else own
    return Recurrence({**layer.attributes, "learn_h0": True}, {**layer.parameters, "h_0": own})


def _begins(op: Operation, directions: int) -> list[Traced]:
    """What the directions begin with: the last states of another GRU, or computed vectors."""
    start, axis = op.inputs[5], 1 if op.attributes.get("layout", 0) else 0
    if isinstance(start, States):
        if not start.cells or len(start.cells) != directions or start.axes[axis].role is not Role.CELLS:
            raise op.refuse("a GRU that begins with states of another number of layers or directions")
        return [op.tracer.state(op.where, start, cell) for cell in range(directions)]
    if directions != 1:
        raise op.refuse("a GRU of two directions that begins with computed values")
    return [op.value(5)]


def _recurrence(op: Operation) -> tuple[Recurrence, bool]:
    """The layer, and whether it is the second direction alone: then the first has zeros for weights."""
    w, r, b = op.needed(1), op.needed(2), op.constant(3)
    direction = op.attributes.get("direction", b"forward")
    direction = direction.decode() if isinstance(direction, bytes) else direction
    arrays = [w.array, r.array] + ([] if b is None else [b.array])
    if direction == "reverse":
        arrays = [np.concatenate([np.zeros_like(one), one]) for one in arrays]
    hidden = int(r.array.shape[-1])
    reset_after = bool(op.attributes.get("linear_before_reset", 0))
    spec = GRUSpec(int(w.array.shape[-1]), hidden, 1, b is not None, direction != "forward", reset_after)
    found: list[Array] = []
    for one in range(spec.num_directions):
        found += [reorder_gates(np.ascontiguousarray(array[one]), "zrn", "rzn") for array in arrays[:2]]
        if b is not None:
            found += [reorder_gates(half, "zrn", "rzn") for half in np.split(arrays[2][one], 2)]
    return Recurrence(spec._asdict(), dict(zip(spec.parameter_names, found, strict=True))), direction == "reverse"
