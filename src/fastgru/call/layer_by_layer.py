"""Runs stacked layers one after another: for dropout between layers, or if all layers' outputs are needed."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from fastgru.call.request import Call
from fastgru.spec import directions_of

RunLayer = Callable[[int, Call], tuple[Tensor, Tensor]]


def run(call: Call, run_layer: RunLayer, keeps_all: bool = False) -> tuple[tuple[Tensor, ...], Tensor]:
    """The outputs of the last layer, or of all with `keeps_all`, and h_n (L*D, B, H).

    Dropout is applied to the same tensors in the same order as in `torch.nn.GRU`, so the same seed gives the same
    masks. They are drawn in the layout (T, B), for any layout of the caller.

    Args:
        call: the call of all layers.
        run_layer: maps a layer's index and its call, of a single layer without dropout, to its output and h_n.
        keeps_all: return the outputs of all layers.
    """
    spec, weights, is_turned = call.spec, call.weights, call.batch_first
    cells, per_layer = directions_of(spec), len(weights) // spec.num_layers
    own = call.turned() if is_turned else call
    outputs: list[Tensor] = []
    last_states: list[Tensor] = []
    for layer in range(spec.num_layers):
        x = outputs[-1] if layer > 0 else own.x
        if layer > 0 and call.dropout > 0:
            x = torch.dropout(x, call.dropout, True)
        states, anew = slice(layer * cells, (layer + 1) * cells), own.sequences.reset_state
        alone = Call(
            spec.single_layer(layer),
            x,
            None if call.h_0 is None else call.h_0[states],
            weights[layer * per_layer : (layer + 1) * per_layer],
            own.sequences if anew is None else own.sequences.with_reset_state(anew[states]),
            recompute=own.recompute,
            batch_first=own.batch_first,
        )
        is_last = layer == spec.num_layers - 1
        output, last = run_layer(layer, alone.turned() if is_turned and is_last and not keeps_all else alone)
        outputs.append(output)
        last_states.append(last)
    if is_turned and keeps_all:
        outputs = [output.transpose(0, 1).contiguous() for output in outputs]
    return tuple(outputs if keeps_all else outputs[-1:]), torch.cat(last_states)
