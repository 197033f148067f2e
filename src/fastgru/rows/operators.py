"""Functions of one value, softmax and layer norm as operators of torch: what compilers and dispatch modes see."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from fastgru.rows import core_rows, functions, routes, sums


def _check(name: str, *tensors: Tensor | None) -> None:
    """Raises for what exported programs may not give the operators."""
    dtypes = {tensor.dtype for tensor in tensors if tensor is not None}
    if len(dtypes) > 1 or not dtypes <= set(routes.DTYPES):
        raise TypeError(
            f"fastgru::{name} got {' and '.join(sorted(map(str, dtypes)))}, expected one of float32 and float64 for "
            "all tensors. Convert them with .to()."
        )


@torch.library.custom_op(
    "fastgru::activate",
    mutates_args=(),
    device_types="cpu",
    schema="(Tensor input, str function, float a, float b) -> Tensor",
)
def activate(input: Tensor, function: str, a: float, b: float) -> Tensor:
    """A function of one value, by its name in `functions.CURVES`."""
    _check("activate", input)
    return core_rows.activate(input, function, a, b)


@activate.register_fake
def _(input: Tensor, function: str, a: float, b: float) -> Tensor:
    return input.new_empty(input.shape)


activate.register_autograd(functions.backward, setup_context=functions.keep)


@activate.register_vmap
def _(info: Any, in_dims: Sequence[Any], input: Tensor, *options: Any) -> tuple[Tensor, Any]:
    return torch.ops.fastgru.activate(input, *options), in_dims[0]


@torch.library.custom_op(
    "fastgru::softmax", mutates_args=(), device_types="cpu", schema="(Tensor input, bool is_log) -> Tensor"
)
def softmax(input: Tensor, is_log: bool) -> Tensor:
    """Softmax over the last dimension, or its logarithm."""
    _check("softmax", input)
    return core_rows.softmax(input, is_log)


@softmax.register_fake
def _(input: Tensor, is_log: bool) -> Tensor:
    return input.new_empty(input.shape)


softmax.register_autograd(sums.softmax_backward, setup_context=sums.keep_softmax)


@softmax.register_vmap
def _(info: Any, in_dims: Sequence[Any], input: Tensor, is_log: bool) -> tuple[Tensor, int]:
    return torch.ops.fastgru.softmax(input.movedim(in_dims[0], 0), is_log), 0


@torch.library.custom_op(
    "fastgru::layer_norm",
    mutates_args=(),
    device_types="cpu",
    schema="(Tensor input, Tensor? weight, Tensor? bias, float eps) -> (Tensor output, Tensor mean, Tensor scale)",
)
def layer_norm(input: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """The normalized vectors of the last dimension, their means, and what they were multiplied with."""
    _check("layer_norm", input, weight, bias)
    for name, tensor in (("weight", weight), ("bias", bias)):
        if tensor is not None and tensor.shape != input.shape[-1:]:
            raise ValueError(
                f"fastgru::layer_norm got `{name}` of shape {tuple(tensor.shape)}, expected {tuple(input.shape[-1:])}, "
                "the last dimension of the input."
            )
    return core_rows.layer_norm(input, weight, bias, eps)


@layer_norm.register_fake
def _(input: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    statistics = *input.shape[:-1], 1
    return input.new_empty(input.shape), input.new_empty(statistics), input.new_empty(statistics)


def _keep_norm(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor, Tensor]) -> None:
    sums.keep_norm(ctx, inputs, output)
    ctx.mark_non_differentiable(*output[1:])


def _norm_backward(ctx: Any, d_output: Tensor, *_: Any) -> tuple[Tensor | None, ...]:
    return sums.norm_backward(ctx, d_output)


layer_norm.register_autograd(_norm_backward, setup_context=_keep_norm)


@layer_norm.register_vmap
def _(info: Any, in_dims: Sequence[Any], *arguments: Any) -> tuple[tuple[Tensor, ...], tuple[int, ...]]:
    return sums.batched_norm(info.batch_size, in_dims, arguments)
