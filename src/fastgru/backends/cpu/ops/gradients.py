"""The backward pass of a plain call as an operator of its own, for who looks on at it alone.

A plain call leaves a node of autograd that calls the core by itself. Where the backward pass is compiled although the
forward pass was not, or a dispatch mode watches it, something must be there to see: this operator.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from fastgru import errors
from fastgru.backends.base import Bounds, Request, unwatched_request
from fastgru.backends.cpu import core_calls
from fastgru.backends.cpu.ops import operator_checks
from fastgru.call import checks
from fastgru.spec import GRUSpec

_INPUTS = "Tensor x, Tensor? h_0, Tensor? reset_state, Tensor[] weights"
_BOUNDS = "Tensor? batch_sizes, Tensor? lengths, Tensor? reset"
_OPTIONS = "int num_layers, bool bidirectional, bool batch_first, bool recompute, bool[] wanted"


def run(
    spec: GRUSpec,
    inputs: Sequence[Tensor | None],
    bounds: Bounds,
    options: tuple[bool, bool],
    kept: tuple[Tensor, Tensor, Tensor],
    outer: tuple[Tensor | None, Tensor | None],
    wanted: Sequence[bool],
) -> list[Tensor | None]:
    """The gradients of `inputs` by the operator; None where not wanted.

    Args:
        spec: of the layer.
        inputs: x, h_0, reset_state and the weights.
        bounds: of the sequences; the reset_state is taken from `inputs`.
        options: batch_first, recompute.
        kept: the output; a tensor with its count of writes, which was 0 after the forward pass; what that saved.
        outer: gradients of output and h_n, at least one of them.
        wanted: for each of the inputs.
    """
    x, h_0, reset_state, *weights = inputs
    layers = spec.num_layers, spec.bidirectional
    found = torch.ops.fastgru.gradients(
        *outer, *kept, x, h_0, reset_state, weights, *bounds[:3], *layers, *options, list(wanted)
    )
    return [gradient if is_wanted else None for gradient, is_wanted in zip(found, wanted, strict=True)]


def _checked(
    x: Tensor, h_0: Tensor | None, weights: Sequence[Tensor], bounds: Bounds, options: Sequence[Any]
) -> tuple[Request, Bounds]:
    """What would have been asked for the call; everything is checked, as the operator is public.

    Raises:
        FastGRUError: what does not fit.
    """
    layers, bidirectional, batch_first, recompute = options
    if x.dtype not in core_calls.DTYPES or x.layout is not torch.strided:
        raise errors.operator_arguments("type of `x`", (x.dtype, x.layout), (list(core_calls.DTYPES), torch.strided))
    operator_checks.check_weights(weights, layers, bidirectional, 2)
    if bounds.batch_sizes is not None:
        sizes = checks.batch_sizes_of(x, bounds.batch_sizes)
        bounds = bounds._replace(batch_sizes=sizes, lengths=None)
        steps, rows = len(sizes), int(sizes[0])
    elif x.dim() != 3:
        raise errors.input_rank("fastgru::gradients", x.dim(), (3,), "(T, B, I), or (B, T, I) with batch_first")
    else:
        steps, rows = (x.shape[1], x.shape[0]) if batch_first else (x.shape[0], x.shape[1])
    spec = GRUSpec(
        x.shape[-1], weights[1].shape[-1], layers, len(weights) == 4 * layers * (1 + bidirectional), bidirectional
    )
    operator_checks.check_types(spec, x, h_0, weights, rows)
    checks.check_reset_state(spec, bounds, x, rows)
    if bounds.lengths is not None:
        bounds = bounds._replace(lengths=checks.lengths_of(bounds.lengths, steps, rows))
    if bounds.reset is not None:
        shape, layout = ((rows, steps), "(B, T)") if batch_first else ((steps, rows), "(T, B)")
        bounds = bounds._replace(reset=checks.reset_of(bounds.reset, shape, x.device, layout))
    return unwatched_request(spec, x.dtype, (steps, rows), bounds, recompute, batch_first), bounds


@torch.library.custom_op(
    "fastgru::gradients",
    mutates_args=(),
    device_types="cpu",
    schema=(
        "(Tensor? d_output, Tensor? d_h_n, Tensor output, Tensor counter, Tensor saved,"
        f" {_INPUTS}, {_BOUNDS}, {_OPTIONS}) -> Tensor[]"
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
    batch_sizes, lengths, reset, layers, bidirectional, batch_first, recompute, wanted = others
    options = layers, bidirectional, batch_first, recompute
    request, bounds = _checked(x, h_0, weights, Bounds(batch_sizes, lengths, reset, reset_state), options)
    if len(wanted) != 3 + len(weights):
        raise errors.operator_arguments("values of `wanted`", len(wanted), 3 + len(weights))
    if counter._version > 0:
        output, _, again = core_calls.forward(request, x, h_0, weights, bounds, saves=True)
        assert again is not None
        saved = again
    inputs = x, h_0, reset_state, *weights
    found = core_calls.backward(request, inputs, bounds, output, saved, (d_output, d_h_n), wanted)
    return [x.new_empty(0) if gradient is None else gradient for gradient in found]


@gradients.register_fake
def _(*arguments: Any) -> list[Tensor]:
    x, h_0, reset_state, weights = arguments[5:9]
    wanted = zip((x, h_0, reset_state, *weights), arguments[-1], strict=True)
    return [x.new_empty(tensor.shape if is_one and tensor is not None else 0) for tensor, is_one in wanted]
