"""Torch's own operator: cuDNN on CUDA, many small operators elsewhere."""

from __future__ import annotations

import torch
from torch import Tensor
from torch._VF import gru as torch_gru
from torch._VF import gru_cell as torch_gru_cell
from torch.nn.utils import rnn

from fastgru.backends import cudnn_double_backward
from fastgru.call.context import Follower
from fastgru.call.request import Call, Request
from fastgru.call.sequences import Sequences
from fastgru.spec import directions_of

# Where torch's operator is cuDNN's: it has first derivatives alone, and wants weights side by side in memory.
CUDNN_DEVICES = {"cuda"}


class AtenBackend:
    """What `torch.nn.GRU` runs: every device and type that torch has."""

    name = "aten"

    def refuse(self, request: Request) -> str | None:
        """Why torch's operator cannot take this request, or None."""
        if request.follower is not None and request.follower.is_transform:
            return f"torch's operator has no rules for {Follower.TRANSFORM}"
        if not request.spec.reset_after:
            return "torch's operator resets after the product alone"
        if request.resets:
            return "torch's operator does not put states back inside a sequence"
        if request.follower is Follower.FORWARD_MODE and request.device in CUDNN_DEVICES:
            return f"cuDNN has no rules for {request.follower}"
        if request.has_lengths and request.follower is not None:
            return f"torch's operator wants lengths as numbers, which {request.watcher} does not have"
        return None

    def run(self, request: Request, call: Call) -> tuple[Tensor, Tensor]:
        """Output and h_n; as `fastgru.backends.base.Backend.run`."""
        if request.device not in CUDNN_DEVICES or request.follower is not None:
            return _run(request, call)
        if _is_one_step(request):
            return _run_step(request, call)
        # With dropout the reference would draw other masks; torch says itself that it cannot go on.
        if request.needs_grad and request.dropout == 0.0:
            return cudnn_double_backward.run(_run, request, call)
        return _run(request, call)


def _is_one_step(request: Request) -> bool:
    is_one_cell = request.spec.num_layers * directions_of(request.spec) == 1
    return is_one_cell and request.steps == 1 and not (request.is_packed or request.has_lengths)


def _run_step(request: Request, call: Call) -> tuple[Tensor, Tensor]:
    """Output and h_n of a step of one cell, as `torch.nn.GRUCell` has it: its weights may be anywhere in memory."""
    step_at = 1 if request.batch_first else 0
    step = call.x.squeeze(step_at)
    state = step.new_zeros(request.batch, request.spec.hidden_size) if call.h_0 is None else call.h_0[0]
    h = torch_gru_cell(step, state, *call.weights)
    return torch.stack([h], step_at), torch.stack([h])


def _run(request: Request, call: Call) -> tuple[Tensor, Tensor]:
    """Output and h_n by torch's operator, which does not support lengths."""
    spec, x, h_0, sequences = request.spec, call.x, call.h_0, call.sequences
    if h_0 is None:
        # Not `request.batch`, which torch.jit.trace would take for the batch of every later call.
        rows = (
            sequences.batch_sizes[0] if sequences.batch_sizes is not None else x.shape[0 if request.batch_first else 1]
        )
        shape = (spec.num_layers * directions_of(spec), rows, spec.hidden_size)
        h_0 = torch.zeros(shape, dtype=x.dtype, device=x.device)  # type: ignore[arg-type]
    if sequences.lengths is not None:
        return _run_padded(request, call._replace(h_0=h_0), h_0, sequences.lengths)
    # cuDNN takes dense states alone, and gives gradients only where it was told of training. A trace does not change
    # with what is wanted of it.
    needs_telling = request.device in CUDNN_DEVICES and request.follower is not Follower.JIT_TRACING
    trains = request.dropout > 0 or (needs_telling and request.needs_grad)
    options = (spec.bias, spec.num_layers, request.dropout, trains, spec.bidirectional)
    listed = list(call.weights)  # torch knows its operator by it where a weight has ways of its own
    if sequences.batch_sizes is not None:
        output, h_n = torch_gru(x, sequences.batch_sizes, h_0.contiguous(), listed, *options)
    else:
        output, h_n = torch_gru(x, h_0.contiguous(), listed, *options, request.batch_first)
    return output, h_n


def _run_padded(request: Request, call: Call, h_0: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Padded sequences packed for torch's operator, without the empty ones, which it refuses."""
    own, order = lengths.sort(descending=True, stable=True)
    count = int((own > 0).sum())
    x = call.x.transpose(0, 1) if request.batch_first else call.x
    if count == 0:
        return x.new_zeros(*_lead(request), directions_of(request.spec) * request.spec.hidden_size), h_0.clone()
    used = order[:count].to(x.device)
    packed = rnn.pack_padded_sequence(x.index_select(1, used), own[:count])
    alone = request._replace(is_packed=True, has_lengths=False, batch_first=False)
    start, sequences = h_0.index_select(1, used), Sequences(packed.batch_sizes)
    data, last = _run(alone, call._replace(x=packed.data, h_0=start, sequences=sequences, batch_first=False))
    output, _ = rnn.pad_packed_sequence(packed._replace(data=data), total_length=request.steps)
    output = output.new_zeros(request.steps, request.batch, output.shape[2]).index_copy(1, used, output)
    h_n = h_0.index_copy(1, used, last)
    return output.transpose(0, 1).contiguous() if request.batch_first else output, h_n


def _lead(request: Request) -> tuple[int, int]:
    return (request.batch, request.steps) if request.batch_first else (request.steps, request.batch)


BACKEND = AtenBackend()
