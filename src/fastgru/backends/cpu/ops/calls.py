"""Calls as the operators take them: tensor by tensor, padded, and with several models in front where there are any.

The operators' arguments are x, h_0, reset_state, weights, lengths, reset and the options num_layers, bidirectional,
batch_first and recompute, then one that differs between the operators, and last reset_after, which may be left out. In
this module it is one of the other options. Torch follows only tensors that are separate arguments; here they are in one
list, weights last.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from fastgru import errors
from fastgru.call.request import Call, Request
from fastgru.call.sequences import WHOLE, Sequences
from fastgru.spec import GRUSpec, directions_of

Tensors = Sequence[Tensor | None]
Options = tuple[Any, ...]

# In a row of tensors, the place of the first weight.
FIRST_WEIGHT = 5
_OWN = 10  # among an operator's arguments, the place of its own


def opened(arguments: Sequence[Any]) -> tuple[tuple[Any, ...], Any]:
    """From an operator's arguments to the common ones and its own. Torch leaves out a last True."""
    reset_after = arguments[_OWN + 1] if len(arguments) > _OWN + 1 else True
    return (*arguments[:_OWN], reset_after), arguments[_OWN]


def closed(arguments: Sequence[Any], own: Any) -> tuple[Any, ...]:
    """The other way round."""
    return *arguments[:_OWN], own, arguments[_OWN]


def parted(arguments: Sequence[Any]) -> tuple[list[Any], Options]:
    """From an operator's arguments to a row of tensors (or of what stands for each), and the options."""
    x, h_0, reset_state, weights, lengths, reset, *options = arguments
    return [x, h_0, reset_state, lengths, reset, *weights], tuple(options)


def joined(tensors: Sequence[Any], options: Options) -> tuple[Any, ...]:
    """The other way round."""
    x, h_0, reset_state, lengths, reset, *weights = tensors
    return x, h_0, reset_state, weights, lengths, reset, *options


def of(arguments: Sequence[Any]) -> Call:
    """The call of an operator's arguments, which have been checked."""
    x, h_0, reset_state, weights, lengths, reset, *options = arguments
    num_layers, bidirectional, batch_first, recompute, reset_after = options
    has_bias = len(weights) == 4 * num_layers * (2 if bidirectional else 1)
    spec = GRUSpec(x.shape[-1], weights[1].shape[-1], num_layers, has_bias, bidirectional, reset_after)
    sequences = Sequences(None, lengths, reset, reset_state)
    return Call(spec, x, h_0, tuple(weights), sequences, 0.0, recompute, batch_first)


def arguments_of(call: Call) -> tuple[Any, ...]:
    """An operator's arguments for a call."""
    spec = call.spec
    options = spec.num_layers, spec.bidirectional, call.batch_first, call.recompute, spec.reset_after
    return joined(row_of(call), options)


def row_of(call: Call) -> list[Any]:
    """All tensors of a call in a row."""
    _, lengths, reset, reset_state = call.sequences
    return [call.x, call.h_0, reset_state, lengths, reset, *call.weights]


def without_tensors(call: Call) -> Call:
    """The parts of a call that are not in that row."""
    return call._replace(sequences=WHOLE).bare()


def with_row(call: Call, tensors: Sequence[Any]) -> Call:
    """The same call of the tensors in a row."""
    x, h_0, reset_state, lengths, reset, *weights = tensors
    return call._replace(x=x, h_0=h_0, weights=tuple(weights), sequences=Sequences(None, lengths, reset, reset_state))


def named_tensors(tensors: Sequence[Tensor | None]) -> list[tuple[str, Tensor]]:
    """Those of a row that are given."""
    names = ("x", "h_0", "reset_state", "lengths", "reset")
    weights = [f"weights[{i}]" for i in range(len(tensors) - FIRST_WEIGHT)]
    return [(name, t) for name, t in zip((*names, *weights), tensors, strict=True) if t is not None]


def sizes(call: Call) -> tuple[int, int]:
    """Steps and rows of one model."""
    first, second = call.x.shape[-3:-1]
    return (second, first) if call.batch_first else (first, second)


def request_of(call: Call) -> Request:
    """The call of one model, as data."""
    return Request(
        call.spec,
        call.x.dtype,
        "cpu",
        *sizes(call),
        is_packed=False,
        needs_grad=False,
        dropout=0.0,
        follower=None,
        recompute=call.recompute,
        batch_first=call.batch_first,
        has_lengths=call.sequences.lengths is not None,
        resets=call.sequences.reset is not None,
    )


def is_of_many_models(call: Call) -> bool:
    """Whether there is a dimension of models in front."""
    return call.x.dim() == 4


def is_empty(call: Call) -> bool:
    """Whether there is nothing to compute: no steps, no rows or no models."""
    return 0 in call.x.shape[:-1]


def of_model(call: Call, index: int) -> Call:
    """The call of one of many models."""
    return with_row(call, [None if tensor is None else tensor[index] for tensor in row_of(call)])


def nothing(call: Call) -> tuple[Tensor, Tensor]:
    """The results if there is nothing to compute: no outputs, and the unchanged states."""
    spec, models, x = call.spec, call.x.shape[:-3], call.x
    states = (*models, spec.num_layers * directions_of(spec), sizes(call)[1], spec.hidden_size)
    output = x.new_zeros(*x.shape[:-1], directions_of(spec) * spec.hidden_size)
    return output, x.new_zeros(states) if call.h_0 is None else call.h_0.clone()


def gradients_of_nothing(call: Call, d_h_n: Tensor | None, wanted: Sequence[bool]) -> list[Tensor]:
    """The gradients then: zeros, but for h_0, which passed through."""
    found = [
        call.x.new_zeros(tensor.shape if is_wanted and tensor is not None else 0)
        for tensor, is_wanted in zip(call.inputs, wanted, strict=True)
    ]
    if wanted[1] and d_h_n is not None:
        found[1] = d_h_n.clone()
    return found


def saved_values(call: Call) -> int:
    """Of one model, as for a full batch: how long sequences are is not known when a graph is made."""
    spec, (steps, rows) = call.spec, sizes(call)
    cells = spec.num_layers * directions_of(spec)
    gates = 0 if call.recompute else 4 * cells
    inner = (spec.num_layers - 1) * directions_of(spec)
    return steps * rows * spec.hidden_size * (gates + inner)


def room_to_save(call: Call) -> Tensor:
    """Memory for what the forward pass of every model leaves to the backward pass.

    Raises:
        OutOfMemoryError: it would be more than there are addresses.
    """
    values = saved_values(call)
    if isinstance(values, int) and values * call.x.itemsize > sys.maxsize:
        raise errors.out_of_memory(values * call.x.itemsize)
    return call.x.new_empty(*call.x.shape[:-3], values)


def bytes_of_gates(call: Call) -> int:
    """The size of a layer's gates at every step."""
    gates = 3 * directions_of(call.spec) * call.spec.hidden_size
    return int(call.x.numel() // max(1, call.x.shape[-1])) * gates * call.x.itemsize
