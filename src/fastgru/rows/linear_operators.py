"""The linear layer and its gradients as operators of torch: what compilers, exporters and dispatch modes see."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as torchs
from torch.utils.flop_counter import register_flop_formula

from fastgru.rows import core_rows, routes
from fastgru.rows import linear as functions


def _check(input: Tensor, weight: Tensor, bias: Tensor | None) -> None:
    """Raises torch's error for what does not fit: exported programs call the operators without our functions."""
    given = [tensor for tensor in (input, weight, bias) if tensor is not None]
    are_ours = input.dtype in routes.DTYPES and all(tensor.dtype is input.dtype for tensor in given)
    if not are_ours or not functions.belong_together(input, weight, bias):
        torchs.linear(input, weight, bias)
        raise TypeError(
            f"fastgru::linear got {input.dtype}, expected float32 or float64. Convert the input with .to()."
        )


@torch.library.custom_op(
    "fastgru::linear",
    mutates_args=(),
    device_types="cpu",
    schema="(Tensor input, Tensor weight, Tensor? bias) -> Tensor",
)
def linear(input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """The linear layer x . W^T + b: (..., K), (N, K) and (N) to (..., N)."""
    _check(input, weight, bias)
    return core_rows.linear(input, weight, bias)


@linear.register_fake
def _(input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return input.new_empty(*input.shape[:-1], weight.shape[0])


@torch.library.custom_op(
    "fastgru::linear_gradients",
    mutates_args=(),
    device_types="cpu",
    schema="(Tensor d_output, Tensor input, Tensor weight, bool[] wanted) -> Tensor[]",
)
def linear_gradients(d_output: Tensor, input: Tensor, weight: Tensor, wanted: Sequence[bool]) -> list[Tensor]:
    """The gradients of input, weight and bias; an empty tensor where not wanted."""
    _check(input, weight, None)
    if d_output.shape != (*input.shape[:-1], weight.shape[0]) or d_output.dtype is not input.dtype or len(wanted) != 3:
        raise ValueError(
            f"fastgru::linear_gradients got d_output {tuple(d_output.shape)} of {d_output.dtype} and {len(wanted)} "
            f"values of wanted, expected {(*input.shape[:-1], weight.shape[0])} of {input.dtype} and 3."
        )
    found = core_rows.linear_gradients(d_output, input, weight, wanted)
    return [input.new_empty(0) if one is None else one for one in found]


@linear_gradients.register_fake
def _(d_output: Tensor, input: Tensor, weight: Tensor, wanted: Sequence[bool]) -> list[Tensor]:
    shapes = (input.shape, weight.shape, weight.shape[:1])
    return [input.new_empty(shape if is_one else 0) for shape, is_one in zip(shapes, wanted, strict=True)]


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(inputs[0], inputs[1])


def _gradients(ctx: Any, d_output: Tensor) -> tuple[Tensor | None, ...]:
    wanted = ctx.needs_input_grad[:3]
    found = torch.ops.fastgru.linear_gradients(d_output, *ctx.saved_tensors, list(wanted))
    return tuple([one if is_wanted else None for one, is_wanted in zip(found, wanted, strict=True)])


linear.register_autograd(_gradients, setup_context=_keep)


def _keep_for_second(ctx: Any, inputs: tuple[Any, ...], output: list[Tensor]) -> None:
    *tensors, ctx.wanted = inputs
    ctx.save_for_backward(*tensors)
    ctx.set_materialize_grads(False)


def _second(ctx: Any, outer: Sequence[Tensor | None]) -> tuple[Tensor | None, ...]:
    given = [one if is_wanted else None for one, is_wanted in zip(outer, ctx.wanted, strict=True)]
    return *functions.second_gradients(ctx.saved_tensors, given), None


linear_gradients.register_autograd(_second, setup_context=_keep_for_second)


@linear.register_vmap
def _(info: Any, in_dims: Sequence[int | None], *tensors: Any) -> tuple[Tensor, int]:
    return functions.batched(info.batch_size, in_dims, tensors)


@linear_gradients.register_vmap
def _(info: Any, in_dims: Sequence[Any], *arguments: Any) -> tuple[list[Tensor], list[int]]:
    *tensors, wanted = arguments
    each = functions.models_of(info.batch_size, in_dims[:3], tensors)
    found = [torch.ops.fastgru.linear_gradients(*one, wanted) for one in each]
    return [torch.stack(one) for one in zip(*found, strict=True)], [0, 0, 0]


@register_flop_formula(torch.ops.fastgru.linear)
def _(input: Sequence[int], weight: Sequence[int], *_: Any, **__: Any) -> int:
    return int(2 * torch.Size(input).numel() * weight[0])


@register_flop_formula(torch.ops.fastgru.linear_gradients)
def _(d_output: Sequence[int], input: Sequence[int], weight: Sequence[int], wanted: Any, **_: Any) -> int:
    return int(2 * torch.Size(input).numel() * weight[0] * sum(wanted[:2]))
