"""A few steps of a plain stack under torch.func, in as few operators of torch as its equations allow.

The rules for whole sequences (`ops.derivatives`) cost nearly the same for any number of steps, because each of their
operators passes through the levels of torch.func. For fewer than about ten steps, recording the steps is faster.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from fastgru.backends.cpu.ops import calls
from fastgru.call.request import Call

# Steps of all directions up to which this way is faster under torch.func, measured.
MOST_STEPS = 8


def serves(call: Call) -> bool:
    """Whether there are only a few steps, of one model without lengths and resets."""
    if call.sequences.lengths is not None or call.sequences.reset is not None or calls.is_of_many_models(call):
        return False
    return calls.sizes(call)[0] * call.spec.num_directions <= MOST_STEPS


def run(call: Call) -> tuple[Tensor, Tensor]:
    """Output and h_n, as functions that anything can follow to any order."""
    spec = call.spec
    x = call.x.transpose(0, 1) if call.batch_first else call.x
    per_cell = len(call.weights) // (spec.num_layers * spec.num_directions)
    last_states: list[Tensor] = []
    for _ in range(spec.num_layers):
        outputs = []
        for direction in range(spec.num_directions):
            cell = len(last_states)
            h = x.new_zeros(x.shape[1], spec.hidden_size) if call.h_0 is None else call.h_0[cell]
            weights = call.weights[cell * per_cell : (cell + 1) * per_cell]
            states = _run_direction(x, h, weights, direction == 1)
            outputs.append(torch.stack(states[::-1] if direction == 1 else states))
            last_states.append(states[-1])
        x = outputs[0] if spec.num_directions == 1 else torch.cat(outputs, -1)
    return x.transpose(0, 1).contiguous() if call.batch_first else x, torch.stack(last_states)


def _run_direction(x: Tensor, h: Tensor, weights: Sequence[Tensor], is_reverse: bool) -> list[Tensor]:
    """The states in the order in which they come."""
    weight_ih, weight_hh, *biases = weights
    bias_ih, bias_hh = biases or (None, None)
    hidden = h.shape[-1]
    a_rz, a_n = torch.split(functional.linear(x, weight_ih, bias_ih), [2 * hidden, hidden], -1)
    steps = list(zip(a_rz.unbind(0), a_n.unbind(0), strict=True))
    turned, states = weight_hh.t(), []
    for step_rz, step_n in reversed(steps) if is_reverse else steps:
        c = torch.mm(h, turned) if bias_hh is None else torch.addmm(bias_hh, h, turned)
        c_rz, c_n = torch.split(c, [2 * hidden, hidden], -1)
        r, z = torch.sigmoid(step_rz + c_rz).chunk(2, -1)
        n = torch.tanh(torch.addcmul(step_n, r, c_n))
        h = torch.lerp(n, h, z)
        states.append(h)
    return states
