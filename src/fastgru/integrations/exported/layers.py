"""Layers in exported programs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from fastgru.graph.axes import Role
from fastgru.graph.traced import Recurrence, States, Traced
from fastgru.integrations.exported.cells import beginnings
from fastgru.integrations.exported.operation import (
    Array,
    Constant,
    Operation,
    Zeros,
    described,
)
from fastgru.spec import GRUSpec


def _linear(op: Operation) -> Traced:
    x = op.value(0)
    weight, bias = op.args[1], op.argument(2, "bias")
    if not isinstance(weight, Constant) or not (bias is None or isinstance(bias, Constant)):
        raise op.refuse("with weights that are computed")
    own_bias = None if bias is None else (bias.key, bias.array)
    return op.tracer.linear(op.where, x, (weight.key, weight.array), own_bias)


def _product(op: Operation) -> Traced:
    """X @ W, with a constant W of (in, out)."""
    x = op.value(0)
    weight = op.args[1]
    if not isinstance(weight, Constant) or weight.array.ndim != 2:
        raise op.refuse("of two values that are computed")
    return op.tracer.linear(op.where, x, (weight.key, np.ascontiguousarray(weight.array.T)), None)


def _addmm(op: Operation) -> Traced:
    x = op.value(1)
    bias, weight = op.args[0], op.args[2]
    if not isinstance(weight, Constant) or not isinstance(bias, Constant) or op.kwargs:
        raise op.refuse("with weights that are computed")
    return op.tracer.linear(
        op.where, x, (weight.key, np.ascontiguousarray(weight.array.T)), (bias.key, bias.array.reshape(-1))
    )


def _embedding(op: Operation) -> Traced:
    x = op.value(1)
    return op.tracer.embedding(op.where, x, (op.args[0].key, op.args[0].array))


def _layer_norm(op: Operation) -> Traced:
    x = op.value(0)
    if len(op.args[1]) != 1:
        raise op.refuse(f"over {len(op.args[1])} axes; expected the last one")
    weight, bias = op.argument(2, "weight"), op.argument(3, "bias")
    pair = [None if one is None else (one.key, one.array) for one in (weight, bias)]
    return op.tracer.layer_norm(op.where, x, op.argument(4, "eps", 1e-5), *pair)


def _our_layer_norm(op: Operation) -> tuple[Traced, None, None]:
    pair = [None if one is None else (one.key, one.array) for one in op.args[1:3]]
    return op.tracer.layer_norm(op.where, op.value(0), op.args[3], *pair), None, None


def _batch_norm(op: Operation) -> Traced:
    """Statistics are fixed at inference, so it is a product and a sum."""
    x = op.value(0)
    weight, bias, mean, variance, training, _, eps = op.args[1:8]
    if training:
        raise op.refuse("in training", "Its running statistics are what is used in evaluation mode.")
    x.axes[1].become(Role.FEATURES, op.where)
    scale = 1 / np.sqrt(variance.array.astype(np.float64) + eps)
    scale = scale if weight is None else scale * weight.array
    shift = -mean.array * scale + (0 if bias is None else bias.array)
    kind = variance.array.dtype
    for operator, where, vector in (("Multiply", op.where, scale), ("Add", f"{op.where}.shift", shift)):
        parameters = {"other": (f"{where}.other", vector.astype(kind))}
        x = op.tracer.node(where, operator, [x], x.axes, {"other": "vector"}, parameters)
    return x


def _gru(op: Operation) -> tuple[Traced, States, None]:
    x = op.value(0)
    state, reset_state, weights = op.args[1:4]
    layers, bidirectional, batch_first = op.args[6:9]
    learned = _learned_start(op, state, reset_state)
    if any(not (one is None or isinstance(one, Zeros)) for one in op.args[4:6]):
        raise op.refuse("with lengths or resets that are computed. Expected inputs of the model, as they are")
    if not all(isinstance(weight, Constant) for weight in weights):
        raise op.refuse("with weights that are computed")
    hidden = weights[1].array.shape[1]
    bias = len(weights) == 4 * layers * (2 if bidirectional else 1)
    reset_after = bool(op.argument(11, "reset_after", True))
    spec = GRUSpec(weights[0].array.shape[1], hidden, layers, bias, bidirectional, reset_after)
    named = dict(zip(spec.parameter_names, weights, strict=True))
    if learned is not None:
        named["h_0"] = Constant(learned.key, _one_row(op, learned.array))
    layer = Recurrence(
        {**spec._asdict(), "learn_h0": learned is not None},
        {name: one.array for name, one in named.items()},
        {name: one.key for name, one in named.items()},
    )
    time, batch = (0, None) if len(x.axes) == 2 else ((1, 0) if batch_first else (0, 1))
    begins = [] if learned is not None else beginnings(op, state, spec.num_layers * (2 if bidirectional else 1))
    if begins and op.args[5] is not None and reset_state is not state:
        raise op.refuse(f"with resets to {described(reset_state)}. Expected what it begins with, as `reset_state`")
    output, states = op.tracer.gru(op.where, x, layer, time, batch, begins)
    return output, states, None


def _learned_start(op: Operation, state: Any, reset_state: Any) -> Constant | None:
    """What the sequences of a layer begin with, if it is a parameter."""
    if isinstance(state, Constant):
        if reset_state is not None and not isinstance(reset_state, Constant):
            raise op.refuse(f"with resets to {described(reset_state)}")
        return state
    if isinstance(reset_state, Constant) and isinstance(state, States) and state.cells is None:
        return reset_state
    if reset_state is not None and reset_state is not state:
        raise op.refuse(f"with resets to {described(reset_state)}")
    return None


def _one_row(op: Operation, state: Array) -> Array:
    """A learned state (L*D, H) of one that may have been repeated for all rows."""
    rows = state if state.ndim == 2 else state[:, 0]
    if state.ndim == 3 and not np.array_equal(np.broadcast_to(state[:, :1], state.shape), state):
        raise op.refuse("that begins with different constants for the rows of a batch")
    return np.ascontiguousarray(rows)


LAYERS: Mapping[str, Callable[[Operation], Any]] = {
    "aten.linear": _linear,
    "aten.matmul": _product,
    "aten.mm": _product,
    "aten.addmm": _addmm,
    "aten.embedding": _embedding,
    "aten.layer_norm": _layer_norm,
    "aten.batch_norm": _batch_norm,
    "fastgru.forward": _gru,
    "fastgru.linear": _linear,
    "fastgru.layer_norm": _our_layer_norm,
}
