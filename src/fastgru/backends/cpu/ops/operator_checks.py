"""Checks of the operators' arguments: they are public, and exported programs call them without the layer's checks.

Inside a graph the sizes are symbols, and nothing is checked; these checks run at each call, with the actual tensors.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor

from fastgru import errors
from fastgru.backends.cpu import core_calls
from fastgru.backends.cpu.ops import calls
from fastgru.call import build
from fastgru.call.request import Call
from fastgru.call.sequences import check_reset, lengths_of
from fastgru.spec import GRUSpec


def checked(arguments: Sequence[Any]) -> Call:
    """The call of an operator's arguments, with lengths that nobody else can change.

    Raises:
        OperandError, DTypeError, ShapeError, RankError, SequenceError, SequenceTypeError: what does not fit.
    """
    tensors, options = calls.parted(arguments)
    _check_options(tensors, *options[:2])
    call = calls.of(arguments)
    models = call.x.shape[:-3]
    for name, tensor in calls.named_tensors(tensors):
        if tensor.shape[: len(models)] != models:
            raise errors.operator_arguments(f"models of `{name}`", tuple(tensor.shape), (*models, "..."))
    lengths = call.sequences.lengths
    if len(models) == 0:
        return _with_lengths(call, _check_one(call, lengths))
    first = calls.of_model(call, 0) if models[0] > 0 else None
    if first is not None and lengths is not None:
        lengths = torch.stack([cast("Tensor", _check_one(first, one)) for one in lengths.unbind()])
    elif first is not None:
        _check_one(first, None)
    return _with_lengths(call, lengths)


def _with_lengths(call: Call, lengths: Tensor | None) -> Call:
    return call._replace(sequences=call.sequences._replace(lengths=lengths))


def _check_options(tensors: Sequence[Any], num_layers: int, bidirectional: bool) -> None:
    """What has to be right before the sizes can be asked for."""
    x, weights = tensors[0], tensors[calls.FIRST_WEIGHT :]
    build.check_tensors(x=x)
    if x.dtype not in (torch.float32, torch.float64):
        raise errors.operator_dtype(x.dtype)
    if x.dim() not in (3, 4):
        raise errors.input_rank("fastgru::forward", x.dim(), (3, 4), "(T, B, I), or with models in front")
    for name, tensor in calls.named_tensors(tensors):
        if tensor.layout is not torch.strided:
            raise errors.operator_arguments(f"layout of `{name}`", tensor.layout, torch.strided)
    check_weights(weights, num_layers, bidirectional, x.dim() - 1)


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


def _check_one(call: Call, lengths: Tensor | None) -> Tensor | None:
    """Checks what one model is given; its lengths, copied."""
    steps, batch = calls.sizes(call)
    check_types(call.spec, call.x, call.h_0, call.weights, batch)
    build.check_reset_state(call.spec, call.sequences, call.x, batch)
    if call.sequences.reset is not None:
        shape, layout = ((batch, steps), "(B, T)") if call.batch_first else ((steps, batch), "(T, B)")
        check_reset(call.sequences.reset, shape, layout)
    return None if lengths is None else lengths_of(lengths, steps, batch)


def check_types(spec: GRUSpec, x: Tensor, h_0: Tensor | None, weights: Sequence[Tensor], batch: int) -> None:
    """As `fastgru.call.build.check_operands`, without the mixed types that autocast allows the layer."""
    with torch.autocast("cpu", enabled=False):
        build.check_operands(spec, x, h_0, tuple(weights), batch)


def check_outer(
    call: Call,
    d_output: Tensor | None,
    d_h_n: Tensor | None,
    output: Tensor | None,
    saved: Tensor | None,
    wanted: Sequence[bool],
) -> None:
    """Raises when gradients or results do not fit the inputs, which have been checked."""
    spec, models, x = call.spec, call.x.shape[:-3], call.x
    results = (*x.shape[:-1], spec.num_directions * spec.hidden_size)
    states = (*models, spec.num_layers * spec.num_directions, calls.sizes(call)[1], spec.hidden_size)
    expected = {"d_output": (d_output, results), "d_h_n": (d_h_n, states), "output": (output, results)}
    for name, (tensor, shape) in expected.items():
        if tensor is not None and (tensor.shape != shape or tensor.dtype != x.dtype):
            raise errors.operator_arguments(f"`{name}`", (tuple(tensor.shape), tensor.dtype), (shape, x.dtype))
    size = (*models, calls.saved_values(call))
    if saved is not None and (saved.dtype != x.dtype or saved.shape != size):
        raise errors.operator_arguments("`saved`", (tuple(saved.shape), saved.dtype), (size, x.dtype))
    if len(wanted) != len(call.inputs):
        raise errors.operator_arguments("values of `wanted`", len(wanted), len(call.inputs))
