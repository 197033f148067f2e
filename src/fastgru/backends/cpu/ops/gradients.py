"""The backward pass of a plain call as a separate operator, for followers of the backward pass alone.

A plain call leaves a node of autograd that calls the core directly. If the backward pass is compiled although the
forward pass was not, or if a dispatch mode watches it, they need an operator that they can see, which is this one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from fastgru import errors
from fastgru.backends.cpu import core_calls
from fastgru.backends.cpu.ops import operator_checks
from fastgru.call import build
from fastgru.call.request import Call, Request, unwatched_request
from fastgru.call.sequences import Sequences, sequences_of, sizes_of
from fastgru.spec import GRUSpec

_INPUTS = "Tensor x, Tensor? h_0, Tensor? reset_state, Tensor[] weights"
_SEQUENCES = "Tensor? batch_sizes, Tensor? lengths, Tensor? reset"
_OPTIONS = "int num_layers, bool bidirectional, bool batch_first, bool recompute, bool reset_after, bool[] wanted"


def run(
    call: Call,
    kept: tuple[Tensor, Tensor, Tensor],
    outer: tuple[Tensor | None, Tensor | None],
    wanted: Sequence[bool],
) -> list[Tensor | None]:
    """The gradients of a call's inputs by the operator; None where not wanted.

    Args:
        call: of a layer.
        kept: the output; a tensor with its count of writes, which was 0 after the forward pass; what that saved.
        outer: gradients of output and h_n, at least one of them.
        wanted: for each of the inputs.
    """
    spec, (*ends, reset_state) = call.spec, call.sequences
    options = spec.num_layers, spec.bidirectional, call.batch_first, call.recompute, spec.reset_after
    found = torch.ops.fastgru.gradients(
        *outer, *kept, call.x, call.h_0, reset_state, list(call.weights), *ends, *options, list(wanted)
    )
    return [gradient if is_wanted else None for gradient, is_wanted in zip(found, wanted, strict=True)]


def _checked(call: Call) -> tuple[Request, Call]:
    """What would have been asked for the call; everything is checked, as the operator is public.

    Raises:
        FastGRUError: what does not fit.
    """
    spec, x, h_0, weights, (batch_sizes, lengths, reset, reset_state), _, _, batch_first = call
    if x.dtype not in core_calls.DTYPES or x.layout is not torch.strided:
        raise errors.operator_arguments("type of `x`", (x.dtype, x.layout), (list(core_calls.DTYPES), torch.strided))
    if batch_sizes is not None:
        lengths = None
    elif x.dim() != 3:
        raise errors.input_rank("fastgru::gradients", x.dim(), (3,), "(T, B, I), or (B, T, I) with batch_first")
    sequences = sequences_of(x, batch_first, batch_sizes, lengths, reset, reset_state)
    sizes = sizes_of(x, batch_first, sequences.batch_sizes)
    operator_checks.check_types(spec, x, h_0, weights, sizes[1])
    build.check_reset_state(spec, sequences, x, sizes[1])
    call = call._replace(sequences=sequences)
    return unwatched_request(call, x.dtype, sizes), call


@torch.library.custom_op(
    "fastgru::gradients",
    mutates_args=(),
    device_types="cpu",
    schema=(
        "(Tensor? d_output, Tensor? d_h_n, Tensor output, Tensor counter, Tensor saved,"
        f" {_INPUTS}, {_SEQUENCES}, {_OPTIONS}) -> Tensor[]"
    ),
)
def gradients(
    d_output: Tensor | None,
    d_h_n: Tensor | None,
    output: Tensor,
    counter: Tensor,
    saved: Tensor,
    x: Tensor,
    h_0: Tensor | None,
    reset_state: Tensor | None,
    weights: list[Tensor],
    *others: Any,
) -> list[Tensor]:
    """The gradients of x, h_0, reset_state and the weights; an empty tensor where not wanted."""
    batch_sizes, lengths, reset, layers, bidirectional, batch_first, recompute, reset_after, wanted = others
    operator_checks.check_weights(weights, layers, bidirectional, 2)
    has_bias = len(weights) == 4 * layers * (1 + bidirectional)
    sizes = x.shape[-1] if x.dim() > 0 else 0, weights[1].shape[-1]
    spec = GRUSpec(*sizes, layers, has_bias, bidirectional, reset_after)
    sequences = Sequences(batch_sizes, lengths, reset, reset_state)
    request, call = _checked(Call(spec, x, h_0, tuple(weights), sequences, 0.0, recompute, batch_first))
    if len(wanted) != 3 + len(weights):
        raise errors.operator_arguments("values of `wanted`", len(wanted), 3 + len(weights))
    if counter._version > 0:
        output, _, again = core_calls.forward(request, call, saves=True)
        assert again is not None
        saved = again
    found = core_calls.backward(request, call, output, saved, (d_output, d_h_n), wanted)
    return [x.new_empty(0) if gradient is None else gradient for gradient in found]


@gradients.register_fake
def _(*arguments: Any) -> list[Tensor]:
    x, h_0, reset_state, weights = arguments[5:9]
    wanted = zip((x, h_0, reset_state, *weights), arguments[-1], strict=True)
    return [x.new_empty(tensor.shape if is_one and tensor is not None else 0) for tensor, is_one in wanted]
