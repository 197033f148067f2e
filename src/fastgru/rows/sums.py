"""Softmax and layer norm on the core, with gradients: their sums have one order for all processors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as torchs

from fastgru.rows import core_rows, routes
from fastgru.rows.functions import apply
from fastgru.rows.linear import gradients, linear, models_of
from fastgru.rows.recording import recorded
from fastgru.rows.routes import Route


def row_sum(values: Tensor) -> Tensor:
    """The sum over the last dimension, which stays, in order: as a linear layer of ones."""
    return linear(values, values.new_ones(1, values.shape[-1]))


# ---- softmax


def softmax(input: Tensor, dim: int, dtype: torch.dtype | None = None) -> Tensor:
    """exp(x) / sum(exp(x)) over a dimension, as `torch.softmax`, with the same bits on every processor.

    Args:
        input: any shape.
        dim: the dimension of the sums.
        dtype: the dtype to which the input is converted first.

    Returns:
        The shape of the input.

    Raises:
        IndexError: there is no such dimension, from torch.

    Example:
        >>> import torch, fastgru
        >>> fastgru.functional.softmax(torch.zeros(2), dim=0)
        tensor([0.5000, 0.5000])
    """
    return _over(dim, input if dtype is None else input.to(dtype), False)


def log_softmax(input: Tensor, dim: int, dtype: torch.dtype | None = None) -> Tensor:
    """The logarithm of the softmax over a dimension, as `torch.log_softmax`; see `softmax`.

    Example:
        >>> import torch, fastgru
        >>> fastgru.functional.log_softmax(torch.zeros(2), dim=0)
        tensor([-0.6931, -0.6931])
    """
    return _over(dim, input if dtype is None else input.to(dtype), True)


def _over(dim: int, input: Tensor, is_log: bool) -> Tensor:
    route = routes.of(input)
    if route is Route.TORCH or input.dim() == 0 or input.numel() == 0 or not -input.dim() <= dim < input.dim():
        return torch.log_softmax(input, dim) if is_log else torch.softmax(input, dim)
    if dim in (-1, input.dim() - 1):
        return _over_last(route, input, is_log)
    return _over_last(route, input.movedim(dim, -1), is_log).movedim(-1, dim)


def _over_last(route: Route, input: Tensor, is_log: bool) -> Tensor:
    if route is Route.OPERATOR:
        return torch.ops.fastgru.softmax(input, is_log)  # type: ignore[no-any-return]
    wants = route is Route.FUNCTION or (torch.is_grad_enabled() and input.requires_grad)
    run = _Softmax.apply if wants else core_rows.softmax
    return recorded("fastgru::softmax", run, input, is_log)  # type: ignore[no-any-return]


class _Softmax(torch.autograd.Function):
    @staticmethod
    def forward(input: Tensor, is_log: bool) -> Tensor:
        if routes.of(input) is Route.OPERATOR:
            return torch.ops.fastgru.softmax(input, is_log)  # type: ignore[no-any-return]
        return core_rows.softmax(input, is_log)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        keep_softmax(ctx, inputs, output)
        ctx.save_for_forward(output)

    @staticmethod
    def backward(ctx: Any, d_output: Tensor) -> tuple[Tensor, None]:
        return softmax_backward(ctx, d_output)

    @staticmethod
    def jvp(ctx: Any, d_input: Tensor, _: None) -> Tensor:
        (y,) = routes.saved(ctx)
        if ctx.is_log:
            return d_input - (torch.exp(y) * d_input).sum(-1, keepdim=True)
        return y * (d_input - (y * d_input).sum(-1, keepdim=True))

    @staticmethod
    def vmap(info: Any, in_dims: Sequence[Any], input: Tensor, is_log: bool) -> tuple[Tensor, int]:
        run = log_softmax if is_log else softmax
        return run(input.movedim(in_dims[0], 0), -1), 0


def keep_softmax(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    """Saves what the backward pass reads."""
    ctx.is_log = inputs[1]
    ctx.save_for_backward(output)


def softmax_backward(ctx: Any, d_output: Tensor) -> tuple[Tensor, None]:
    """The gradient of the input."""
    (y,) = routes.saved(ctx)
    if ctx.is_log:
        return d_output - apply("exp", y) * row_sum(d_output), None
    return y * (d_output - row_sum(d_output * y)), None


# ---- layer norm


def layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """(x - mean) / sqrt(variance + eps) * weight + bias over the last dimensions, as `torch.nn.functional.layer_norm`.

    Mean and variance are two passes of 16 partial sums, so results have the same bits on every processor.

    Args:
        input: ``(..., *normalized_shape)``.
        normalized_shape: the last dimensions.
        weight: of this shape, or None for ones.
        bias: of this shape, or None for zeros.
        eps: a small number that is added to the variance.

    Returns:
        The shape of the input.

    Raises:
        RuntimeError: shapes that do not fit, from torch.

    Example:
        >>> import torch, fastgru
        >>> fastgru.functional.layer_norm(torch.tensor([1.0, 3.0]), (2,))
        tensor([-1.0000,  1.0000])
    """
    shape = tuple(normalized_shape)
    route = routes.of(input, weight, bias)
    fits = len(shape) > 0 and tuple(input.shape[-len(shape) :]) == shape and input.numel() > 0
    if route is Route.TORCH or not fits or any(t is not None and tuple(t.shape) != shape for t in (weight, bias)):
        return torchs.layer_norm(input, shape, weight, bias, eps)
    x, w, b = input, weight, bias
    if len(shape) > 1:
        x = input.flatten(-len(shape))
        w, b = [None if t is None else t.flatten() for t in (weight, bias)]
    return _statistics(x, w, b, eps)[0].view(input.shape)


def _statistics(x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """The normalized vectors, their means and scales, in a form for whoever follows."""
    route = routes.of(x, weight, bias)
    if route is Route.OPERATOR:
        return torch.ops.fastgru.layer_norm(x, weight, bias, eps)  # type: ignore[no-any-return]
    wants = torch.is_grad_enabled() and not {True}.isdisjoint(
        t.requires_grad for t in (x, weight, bias) if t is not None
    )
    run = _LayerNorm.apply if wants or route is Route.FUNCTION else core_rows.layer_norm
    return recorded("fastgru::layer_norm", run, x, weight, bias, eps)  # type: ignore[no-any-return]


class _LayerNorm(torch.autograd.Function):
    """The normalized vectors, and their means and scales, which have no gradients."""

    @staticmethod
    def forward(x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float) -> tuple[Tensor, Tensor, Tensor]:
        if routes.of(x, weight, bias) is Route.OPERATOR:
            return torch.ops.fastgru.layer_norm(x, weight, bias, eps)  # type: ignore[no-any-return]
        return core_rows.layer_norm(x, weight, bias, eps)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor, Tensor]) -> None:
        keep_norm(ctx, inputs, output)
        ctx.save_for_forward(inputs[0], inputs[1], *output[1:])
        ctx.mark_non_differentiable(*output[1:])

    @staticmethod
    def backward(ctx: Any, d_output: Tensor, *_: Any) -> tuple[Tensor | None, ...]:
        return norm_backward(ctx, d_output)

    @staticmethod
    def jvp(ctx: Any, d_x: Tensor | None, d_weight: Tensor | None, d_bias: Tensor | None, _: None) -> tuple[Any, ...]:
        x, weight, mean, scale = routes.saved(ctx)
        unit = (x - mean) * scale
        moved = torch.zeros_like(x)
        if d_x is not None:
            moved = d_x - d_x.mean(-1, keepdim=True)
            moved = (moved - unit * (unit * d_x).mean(-1, keepdim=True)) * scale
            moved = moved if weight is None else moved * weight
        moved = moved if d_weight is None else moved + unit * d_weight
        return moved if d_bias is None else moved + d_bias, None, None

    @staticmethod
    def vmap(info: Any, in_dims: Sequence[Any], *arguments: Any) -> tuple[tuple[Tensor, ...], tuple[int, ...]]:
        return batched_norm(info.batch_size, in_dims, arguments)


def batched_norm(
    count: int, dims: Sequence[Any], arguments: Sequence[Any]
) -> tuple[tuple[Tensor, ...], tuple[int, ...]]:
    """Many calls at once, and where their dimension is: one larger batch unless weights differ."""
    x, weight, bias, eps = arguments
    if dims[1] is None and dims[2] is None:
        return _statistics(x.movedim(dims[0], 0), weight, bias, eps), (0, 0, 0)
    found = [_statistics(one[0], one[1], one[2], eps) for one in models_of(count, dims[:3], (x, weight, bias))]
    return tuple([torch.stack(one) for one in zip(*found, strict=True)]), (0, 0, 0)


def keep_norm(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor, Tensor]) -> None:
    """Saves what the backward pass reads."""
    x, weight, _, ctx.eps = inputs
    ctx.save_for_backward(x, weight, *output[1:])


def norm_backward(ctx: Any, d_output: Tensor) -> tuple[Tensor | None, ...]:
    """The gradients of the arguments; of means and scales as functions of x where autograd follows further."""
    x, weight, mean, scale = routes.saved(ctx)
    is_followed = torch.is_grad_enabled()
    if is_followed:
        mean = x.mean(-1, keepdim=True)
        scale = 1 / torch.sqrt(((x - mean) * (x - mean)).mean(-1, keepdim=True) + ctx.eps)
    unit, count = (x - mean) * scale, x.shape[-1]
    d_unit = d_output if weight is None else d_output * weight
    wanted = ctx.needs_input_grad
    d_x = None
    if wanted[0]:
        d_x = d_unit - row_sum(d_unit) / count
        d_x = (d_x - unit * (row_sum(d_unit * unit) / count)) * scale
    d_weight = _column_sum(d_output * unit) if wanted[1] else None
    return d_x, d_weight, _column_sum(d_output) if wanted[2] else None, None


def _column_sum(values: Tensor) -> Tensor:
    """The sum over all vectors: the gradient of the bias of a linear layer without inputs."""
    if torch.is_grad_enabled() or routes.of(values) is Route.TORCH:
        return values.reshape(-1, values.shape[-1]).sum(0)
    nothing = values[..., :0], values.new_empty(values.shape[-1], 0)
    total = gradients(values, *nothing, (False, False, True))[2]
    assert total is not None
    return total
