"""The reference with torch's operations: slow, and right under every transform."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.utils import rnn

from fastgru import reference
from fastgru.backends.base import sum_dtype
from fastgru.call import layer_by_layer
from fastgru.call.request import Call, Request
from fastgru.call.sequences import Sequences


class TorchOperations:
    """The operations of `fastgru.reference.Operations` on torch tensors."""

    @staticmethod
    def sigmoid(a: Tensor) -> Tensor:
        """1 / (1 + exp(-a))."""
        return torch.sigmoid(a)

    @staticmethod
    def tanh(a: Tensor) -> Tensor:
        """Hyperbolic tangent."""
        return torch.tanh(a)

    @staticmethod
    def stack(arrays: Sequence[Tensor]) -> Tensor:
        """Tensors along a new first dimension."""
        return torch.stack(list(arrays))

    @staticmethod
    def split(a: Tensor, parts: int) -> Sequence[Tensor]:
        """Equal parts of the last dimension."""
        return a.chunk(parts, -1)

    @staticmethod
    def concat(arrays: Sequence[Tensor], axis: int) -> Tensor:
        """Tensors one behind the other along `axis`."""
        return torch.cat(list(arrays), dim=axis)

    @staticmethod
    def zeros(like: Tensor, shape: tuple[int, ...]) -> Tensor:
        """Zeros of the type and device of `like`."""
        return torch.zeros(shape, dtype=like.dtype, device=like.device)

    @staticmethod
    def where(condition: Tensor, a: Tensor, b: Tensor) -> Tensor:
        """Elements of `a` where `condition` holds, else of `b`."""
        return torch.where(condition, a, b)


OPERATIONS = TorchOperations()


class ReferenceBackend:
    """The equations as written in `fastgru.reference`, one small operator after the other."""

    name = "reference"

    def refuse(self, request: Request) -> str | None:
        """None: it takes every request."""
        return None

    def run(self, request: Request, call: Call) -> tuple[Tensor, Tensor]:
        """Output and h_n; as `fastgru.backends.base.Backend.run`."""
        if request.dropout > 0:
            (output,), h_n = layer_by_layer.run(call, lambda _, own: self.run(request.of_layer(own), own))
            return output, h_n
        if call.sequences.batch_sizes is not None:
            return _run_packed(request, call)
        own = call.turned() if call.batch_first else call
        _, lengths, reset, reset_state = own.sequences
        lengths = None if lengths is None else lengths.to(own.x.device)
        output, h_n = reference.run(OPERATIONS, own.spec, own.x, own.h_0, own.weights, lengths, reset, reset_state)
        return output.transpose(0, 1).contiguous() if call.batch_first else output, h_n


def _run_packed(request: Request, call: Call) -> tuple[Tensor, Tensor]:
    """Packed data by way of a padded batch."""
    batch_sizes, _, reset, reset_state = call.sequences
    assert batch_sizes is not None
    x, lengths = rnn.pad_packed_sequence(rnn.PackedSequence(call.x, batch_sizes))
    padded = call._replace(x=x, sequences=Sequences(None, lengths, reset, reset_state))
    output, h_n = BACKEND.run(request._replace(is_packed=False), padded)
    is_there = torch.arange(x.shape[1]) < batch_sizes.unsqueeze(1)  # torch's own packing has no forward mode
    return output[is_there.to(output.device)], h_n


def gradients(
    request: Request, call: Call, outer: Sequence[Tensor | None], wanted: Sequence[bool]
) -> list[Tensor | None]:
    """The gradients of a call as functions that autograd can follow further, to any order; None where not wanted.

    Fresh aliases of the inputs keep paths between them out of it: an input may have been computed from a weight.

    Args:
        request: of the call.
        call: of a layer.
        outer: the gradients of output and h_n, at least one of them.
        wanted: for each of the call's inputs.
    """
    creates_graph = torch.is_grad_enabled()
    with torch.enable_grad():
        aliases = [None if t is None else t.view_as(t) for t in call.inputs]
        dtype = sum_dtype(request.dtype)  # as in the core
        own = call.with_inputs(*[None if t is None else t.to(dtype) for t in aliases])
        results = BACKEND.run(request._replace(dtype=dtype), own)
        pairs = [(result, d.to(dtype)) for result, d in zip(results, outer, strict=True) if d is not None]
        asked = [t for t, is_wanted in zip(aliases, wanted, strict=True) if is_wanted]
        found = iter(
            torch.autograd.grad(
                [result for result, _ in pairs],
                asked,  # type: ignore[arg-type]
                [d for _, d in pairs],
                create_graph=creates_graph,
                allow_unused=True,
            )
        )
    return [next(found) if is_wanted else None for is_wanted in wanted]


BACKEND = ReferenceBackend()
