"""Several models of one size, or several batches, in one call of the core: one thread takes one after another.

Every tensor has the models as its first dimension; if a tensor is expanded over them, all models read the same memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from fastgru import _core, errors
from fastgru._core import ArrayAt
from fastgru.backends.cpu import core_calls
from fastgru.call.memory import dense
from fastgru.call.request import Call, Request


class _Lined:
    """A tensor as the core takes it: that of the first model, and the distance to the next one in bytes."""

    def __init__(self, name: str, tensor: Tensor | None) -> None:
        self.first: ArrayAt | None = None
        self.shift = 0
        if tensor is None:
            return
        if tensor.shape[0] > 1 and tensor.stride(0) == 0:
            self.first = core_calls.array_at(dense(name, tensor[0]))
        else:
            own = dense(name, tensor)
            self.first, self.shift = core_calls.array_at(own[0]), own.stride(0) * own.itemsize


def _lined(**tensors: Tensor | None) -> dict[str, _Lined]:
    """By the names of the core's arguments."""
    return {name: _Lined(_WORDS.get(name, name), tensor) for name, tensor in tensors.items()}


# What errors call tensors that users know by other names than the core.
_WORDS = {"h_0": "hx", "d_output": "gradient of output", "d_h_n": "gradient of h_n"}


class _Inputs:
    """What the forward and the backward pass read alike."""

    def __init__(self, request: Request, call: Call) -> None:
        _, lengths, reset, reset_state = call.sequences
        names = request.spec.parameter_names
        self.count = call.x.shape[0]
        self.tensors = _lined(input=call.x, h_0=call.h_0, lengths=lengths, reset=reset, reset_state=reset_state)
        self.weights = [_Lined(name, weight) for name, weight in zip(names, call.weights, strict=True)]

    def arguments(self, batch_first: bool) -> tuple[Any, ...]:
        """The first of the core's arguments."""
        x, h_0, *sequences = [tensor.first for tensor in self.tensors.values()]
        return x, h_0, tuple([weight.first for weight in self.weights]), None, *sequences, batch_first

    def models(self, others: dict[str, _Lined], d_weights: Sequence[_Lined] = ()) -> _core.Models:
        """Where each model's tensors are: those read here and others, by the names of the core's arguments."""
        return _core.Models(
            self.count,
            {name: tensor.shift for name, tensor in (self.tensors | others).items()},
            [weight.shift for weight in self.weights],
            [gradient.shift for gradient in d_weights],
        )


def forward(request: Request, call: Call, saved: Tensor | None) -> tuple[Tensor, Tensor]:
    """Output (models, T, B, D*H) or (models, B, T, D*H), and h_n (models, L*D, B, H).

    Args:
        request: of one model.
        call: of all, each tensor with the models in front.
        saved: (models, values) for the backward pass, as many as for a full batch; None: none follows.
    """
    x, spec, count = call.x, request.spec, call.x.shape[0]
    inputs = _Inputs(request, call)
    output = x.new_empty(*x.shape[:-1], spec.num_directions * spec.hidden_size)
    h_n = x.new_empty(count, spec.num_layers * spec.num_directions, request.batch, spec.hidden_size)
    to = _lined(output=output, h_n=h_n, saved=saved)
    results = to["output"].first, to["h_n"].first, to["saved"].first
    threads, models = torch.get_num_threads(), inputs.models(to)
    arguments = *inputs.arguments(request.batch_first), None, request.recompute, threads, results, models
    if core_calls.sizes_for(spec, request.dtype).forward(*arguments) is None:
        raise errors.changed_during_call()
    return output, h_n


def backward(
    request: Request,
    call: Call,
    output: Tensor,
    saved: Tensor,
    outer: tuple[Tensor | None, Tensor | None],
    wanted: Sequence[bool],
) -> list[Tensor | None]:
    """The gradients of x, h_0, reset_state and the weights, each (models, ...); None where not wanted."""
    reset_state, inputs = call.sequences.reset_state, _Inputs(request, call)
    found = _memory_for_gradients(request, call, wanted)
    to = [_Lined("gradient", gradient) for gradient in found]
    left = _lined(output=output, saved=saved, d_output=outer[0], d_h_n=outer[1])
    output_at, saved_at, d_output, d_h_n = [tensor.first for tensor in left.values()]
    read = *inputs.arguments(request.batch_first), output_at, saved_at, request.recompute, d_output, d_h_n
    gradients = tuple([gradient.first or False for gradient in to])
    models = inputs.models(left | dict(zip(("d_input", "d_h_0", "d_reset"), to[:3], strict=True)), to[3:])
    arguments = *read, gradients, torch.get_num_threads(), models
    if core_calls.sizes_for(request.spec, request.dtype).backward(*arguments) is None:
        raise errors.changed_during_call()
    if found[2] is not None and reset_state is not None and reset_state.dim() == 3:
        found[2] = found[2].sum(2)
    return found


def _memory_for_gradients(request: Request, call: Call, wanted: Sequence[bool]) -> list[Tensor | None]:
    """Of what has gradients, in the order of `Call.inputs`; None where not wanted."""
    x, spec = call.x, request.spec
    states = (x.shape[0], spec.num_layers * spec.num_directions, request.batch, spec.hidden_size)
    shapes = [x.shape, states, states, *(weight.shape for weight in call.weights)]
    return [x.new_empty(shape) if is_wanted else None for shape, is_wanted in zip(shapes, wanted, strict=True)]
