"""Layers in ONNX graphs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from fastgru.convert.gate_order import reorder_gates
from fastgru.convert.onnx_nodes.operation import Array, Constant, Lengths, Operation, Zeros, key_and_array
from fastgru.graph.axes import Axis, Role, Size
from fastgru.graph.traced import Recurrence, States, Traced
from fastgru.spec import GRUSpec


def _mat_mul(op: Operation) -> Traced:
    weight, x = op.needed(1), op.value()
    if weight.array.ndim != 2:
        raise op.refuse(f"a product with a constant of shape {weight.array.shape}. Expected a matrix")
    return op.tracer.linear(op.name, x, (weight.key, np.ascontiguousarray(weight.array.T)), None)


def _gemm(op: Operation) -> Traced:
    weight, bias = op.needed(1), op.constant(2)
    alpha, beta = op.attributes.get("alpha", 1.0), op.attributes.get("beta", 1.0)
    if op.attributes.get("transA", 0):
        raise op.refuse("a Gemm of a transposed input")
    matrix = weight.array if op.attributes.get("transB", 0) else weight.array.T
    matrix = matrix if alpha == 1 else (matrix * alpha).astype(matrix.dtype)
    own_bias = None
    if bias is not None:
        vector = np.broadcast_to(bias.array, (1, matrix.shape[0])).reshape(-1) if bias.array.size == 1 else bias.array
        own_bias = (bias.key, (vector if beta == 1 else vector * beta).reshape(-1).astype(matrix.dtype))
    return op.tracer.linear(op.name, op.value(), (weight.key, np.ascontiguousarray(matrix)), own_bias)


def _layer_norm(op: Operation) -> Traced:
    axis = op.attributes.get("axis", -1)
    x = op.value()
    if axis not in (-1, len(x.axes) - 1):
        raise op.refuse("a normalization over several axes. Expected the last one")
    pair = [key_and_array(op.constant(place)) for place in (1, 2)]
    return op.tracer.layer_norm(op.name, x, float(op.attributes.get("epsilon", 1e-5)), *pair)


def _batch_norm(op: Operation) -> Traced:
    x = op.value()
    if len(x.axes) != 2:
        raise op.refuse("a BatchNormalization of more than two axes")
    scale, bias, mean, variance = (op.needed(place) for place in (1, 2, 3, 4))
    factor = scale.array / np.sqrt(variance.array.astype(np.float64) + op.attributes.get("epsilon", 1e-5))
    kind = scale.array.dtype
    scaled = op.tracer.operation(op.name, "Multiply", x, factor.astype(kind))
    shift = (bias.array - mean.array * factor).astype(kind)
    return op.tracer.operation(f"{op.name}.shift", "Add", scaled, shift)


def _gru(op: Operation) -> tuple[Any, ...]:
    _check_activations(op)
    layer, is_reverse = _recurrence(op)
    _check_start(op)
    by_batch = bool(op.attributes.get("layout", 0))
    x = op.value()
    time, batch = (1, 0) if by_batch else (0, 1)
    output, states = op.tracer.gru(op.name, x, layer, time, batch)
    hidden = layer.attributes["hidden_size"]
    directions = 2 if layer.attributes["bidirectional"] else 1
    if is_reverse:
        output = op.tracer.features(f"{op.name}.reverse", output, -1, hidden, 2 * hidden)
        assert states.cells is not None
        states = States(states.cells[1:], (Axis(Size(1), Role.CELLS), *states.axes[1:]))
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


def _check_start(op: Operation) -> None:
    lengths, start = op.input(4), op.input(5)
    if isinstance(lengths, Constant) and len(set(lengths.ints())) > 1:
        raise op.refuse("a GRU with constant lengths of sequences")
    if not (lengths is None or isinstance(lengths, (Constant, Lengths))):
        raise op.refuse("a GRU with lengths that are computed")
    is_zero = isinstance(start, Constant) and not np.any(start.array)
    is_input = isinstance(start, States) and start.cells is None
    if not (start is None or is_zero or is_input or isinstance(start, Zeros)):
        raise op.refuse("a GRU that begins with something else than zeros or an input of the model")


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


LAYERS: Mapping[str, Callable[[Operation], Any]] = {
    "MatMul": _mat_mul,
    "Gemm": _gemm,
    "LayerNormalization": _layer_norm,
    "BatchNormalization": _batch_norm,
    "GRU": _gru,
}
