"""Several models of one size, or several batches, in one call of the core: one thread takes one after another.

Every tensor has the models in front; those of a tensor that is expanded over them stand in one place.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from fastgru import _core
from fastgru.backends.cpu import core_calls
from fastgru.call.memory import dense
from fastgru.call.request import Call, Request


class _Lined:
    """A tensor as the core takes it: the first model's address and strides, and how far it is to the next in bytes."""

    def __init__(self, name: str, tensor: Tensor | None) -> None:
        self.tensor: Tensor | None = None
        self.shift = 0
        if tensor is None:
            return
        if tensor.shape[0] > 1 and tensor.stride(0) == 0:
            self.tensor = dense(name, tensor[0]).unsqueeze(0)
        else:
            self.tensor = dense(name, tensor)
            self.shift = self.tensor.stride(0) * tensor.itemsize

    @property
    def address(self) -> int:
        return 0 if self.tensor is None else self.tensor.data_ptr()

    @property
    def room(self) -> tuple[int, int]:
        """Address and values of one model."""
        return (0, 0) if self.tensor is None else (self.address, self.tensor[0].numel())

    def place(self, batch_first: bool) -> tuple[int, int, int]:
        """Of (models, T, B, ...) or (models, B, T, ...)."""
        if self.tensor is None:
            return 0, 0, 0
        first, second = self.tensor.stride()[1:3]
        return (self.address, second, first) if batch_first else (self.address, first, second)


class _Inputs:
    """What the forward and the backward pass read alike."""

    def __init__(self, request: Request, call: Call) -> None:
        sequences, names = call.sequences, request.spec.parameter_names
        self.count = call.x.shape[0]
        self.x, self.h_0 = _Lined("input", call.x), _Lined("hx", call.h_0)
        self.weights = [_Lined(name, weight) for name, weight in zip(names, call.weights, strict=True)]
        self.lengths, self.marks = _Lined("lengths", sequences.lengths), _Lined("reset", sequences.reset)
        self.state = _Lined("reset_state", sequences.reset_state)
        self.sizes = (request.steps, request.batch, 0, 0, self.lengths.address)
        is_shared = sequences.reset_state is None or sequences.reset_state.dim() == 3
        stride = 0 if is_shared else request.spec.hidden_size
        self.reset = self.marks.place(request.batch_first), self.state.address, stride
        self.parameters = tuple([weight.address for weight in self.weights])

    def models(self, d_weights: Sequence[_Lined] = (), **others: _Lined) -> _core.Models:
        """Where each model's tensors are: those read here and others, by the names of the core's arguments."""
        read = {"lengths": self.lengths, "input": self.x, "h_0": self.h_0}
        tensors = {**read, "reset": self.marks, "reset_state": self.state, **others}
        return _core.Models(
            self.count,
            {name: tensor.shift for name, tensor in tensors.items()},
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
    to = _Lined("output", output), _Lined("h_n", h_n), _Lined("saved", saved)
    core_calls.sizes_for(spec, request.dtype).forward(
        inputs.sizes,
        inputs.x.place(request.batch_first),
        inputs.h_0.address,
        inputs.reset,
        inputs.parameters,
        to[0].place(request.batch_first),
        to[1].address,
        to[2].room,
        request.recompute,
        torch.get_num_threads(),
        inputs.models(output=to[0], h_n=to[1], saved=to[2]),
    )
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
    x, reset_state, count, spec = call.x, call.sequences.reset_state, call.x.shape[0], request.spec
    given = _Inputs(request, call)
    states = (count, spec.num_layers * spec.num_directions, request.batch, spec.hidden_size)
    shapes = [x.shape, states, states, *(weight.shape for weight in call.weights)]
    found = [x.new_empty(shape) if is_wanted else None for shape, is_wanted in zip(shapes, wanted, strict=True)]
    d_x, d_h_0, d_reset, *d_weights = [_Lined("gradient", d) for d in found]
    kept = {
        "output": _Lined("output", output),
        "saved": _Lined("saved", saved),
        "d_output": _Lined("gradient of output", outer[0]),
        "d_h_n": _Lined("gradient of h_n", outer[1]),
    }
    core_calls.sizes_for(spec, request.dtype).backward(
        given.sizes,
        given.x.place(request.batch_first),
        given.h_0.address,
        given.reset,
        given.parameters,
        kept["output"].place(request.batch_first),
        kept["saved"].room,
        request.recompute,
        kept["d_output"].place(request.batch_first),
        kept["d_h_n"].address,
        d_x.place(request.batch_first),
        d_h_0.address,
        d_reset.address,
        tuple([d.address for d in d_weights]),
        torch.get_num_threads(),
        given.models(d_weights, **kept, d_input=d_x, d_h_0=d_h_0, d_reset=d_reset),
    )
    if found[2] is not None and reset_state is not None and reset_state.dim() == 3:
        found[2] = found[2].sum(2)
    return found
