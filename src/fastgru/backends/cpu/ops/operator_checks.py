"""What the operators take at their door: they are public, and exported programs call them without the layer's checks.

Inside a graph the sizes are symbols, and nothing is looked at; this runs with the tensors themselves, at each call.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor

from fastgru import errors
from fastgru.backends.cpu import core_calls
from fastgru.backends.cpu.ops.inputs import Inputs
from fastgru.call import checks
from fastgru.spec import GRUSpec


def checked(own: Inputs) -> Inputs:
    """The inputs, with lengths that nobody else can change.

    Raises:
        OperandError, DTypeError, ShapeError, RankError, SequenceError, SequenceTypeError: what does not fit.
    """
    _check_options(own)
    models = own.x.shape[:-3]
    for name, tensor in own.named_tensors():
        if tensor.shape[: len(models)] != models:
            raise errors.operator_arguments(f"models of `{name}`", tuple(tensor.shape), (*models, "..."))
    if len(models) == 0:
        return own._replace(lengths=_check_one(own, own.lengths))
    first = own.model(0) if models[0] > 0 else None
    lengths = own.lengths
    if first is not None and lengths is not None:
        lengths = torch.stack([cast("Tensor", _check_one(first, one)) for one in lengths.unbind()])
    elif first is not None:
        _check_one(first, None)
    return own._replace(lengths=lengths)


def _check_options(own: Inputs) -> None:
    """What has to be right before the sizes can be asked for."""
    checks.check_tensors(x=own.x)
    if own.x.dtype not in (torch.float32, torch.float64):
        raise errors.operator_dtype(own.x.dtype)
    if own.x.dim() not in (3, 4):
        raise errors.input_rank("fastgru::forward", own.x.dim(), (3, 4), "(T, B, I), or with models in front")
    for name, tensor in own.named_tensors():
        if tensor.layout is not torch.strided:
            raise errors.operator_arguments(f"layout of `{name}`", tensor.layout, torch.strided)
    check_weights(own.weights, own.num_layers, own.bidirectional, own.x.dim() - 1)


def check_weights(weights: Sequence[Tensor], num_layers: int, bidirectional: bool, rank: int) -> None:
    """Raises when weights are too few or too many, or not of so many dimensions that sizes can be read off them."""
    cells = num_layers * (2 if bidirectional else 1)
    if not 1 <= cells <= core_calls.MOST_CELLS:
        raise errors.layer_count(num_layers)
    if len(weights) not in (2 * cells, 4 * cells):
        raise errors.parameter_count(len(weights), 4 * cells)
    for i, weight in enumerate(weights[:2]):
        if weight.dim() != rank:
            raise errors.parameter_rank(f"weights[{i}]", weight.shape)
    if weights[1].shape[-1] < 1:
        raise errors.operator_arguments("hidden_size", weights[1].shape[-1], "at least 1")


def _check_one(own: Inputs, lengths: Tensor | None) -> Tensor | None:
    """Checks what one model is given; its lengths, copied."""
    request = own.request
    steps, batch = request.steps, request.batch
    check_types(own.spec, own.x, own.h_0, own.weights, batch)
    checks.check_reset_state(own.spec, own.call.sequences, own.x, batch)
    if own.reset is not None:
        shape, layout = ((batch, steps), "(B, T)") if own.batch_first else ((steps, batch), "(T, B)")
        checks.check_reset(own.reset, shape, layout)
    return None if lengths is None else checks.lengths_of(lengths, steps, batch)


def check_types(spec: GRUSpec, x: Tensor, h_0: Tensor | None, weights: Sequence[Tensor], batch: int) -> None:
    """As `fastgru.call.checks.check_operands`, without the mixed types that autocast allows the layer."""
    with torch.autocast("cpu", enabled=False):
        checks.check_operands(spec, x, h_0, tuple(weights), batch)


def check_outer(
    own: Inputs,
    d_output: Tensor | None,
    d_h_n: Tensor | None,
    output: Tensor | None,
    saved: Tensor | None,
    wanted: Sequence[bool],
) -> None:
    """Raises when gradients or results do not fit the inputs, which have been checked."""
    spec, models, x = own.spec, own.x.shape[:-3], own.x
    results = (*x.shape[:-1], spec.num_directions * spec.hidden_size)
    states = (*models, spec.num_layers * spec.num_directions, own.request.batch, spec.hidden_size)
    expected = {"d_output": (d_output, results), "d_h_n": (d_h_n, states), "output": (output, results)}
    for name, (tensor, shape) in expected.items():
        if tensor is not None and (tensor.shape != shape or tensor.dtype != x.dtype):
            raise errors.operator_arguments(f"`{name}`", (tuple(tensor.shape), tensor.dtype), (shape, x.dtype))
    if saved is not None and (saved.dtype != x.dtype or saved.shape != (*models, own.saved_values())):
        size = (*models, own.saved_values())
        raise errors.operator_arguments("`saved`", (tuple(saved.shape), saved.dtype), (size, x.dtype))
    if len(wanted) != 3 + len(own.weights):
        raise errors.operator_arguments("values of `wanted`", len(wanted), 3 + len(own.weights))
