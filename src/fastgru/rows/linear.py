"""The linear layer as a function, with gradients, and with rules for torch.func."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as torchs

from fastgru import dispatch
from fastgru.backends.base import not_compiled
from fastgru.call import memory
from fastgru.recording import profiler
from fastgru.rows import core_rows, routes
from fastgru.rows.recording import recorded
from fastgru.rows.routes import Route

_PLAIN = memory.PLAIN
_has_storage = torch._C._has_storage


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """The linear layer x . W^T + b, as `torch.nn.functional.linear`, with the same bits on every processor.

    Every output is one sum that begins with its bias and adds the products in order, each rounded once, at all
    levels of the core with fused multiply-adds (docs/numerics.md). This holds for float32 and float64 on the CPU;
    all other calls, and calls under autocast, run on torch's operator.

    Args:
        input: (..., K).
        weight: (N, K).
        bias: (N), or None for zeros.

    Returns:
        (..., N).

    Raises:
        RuntimeError, TypeError: if an argument does not fit, as from torch.

    Example:
        >>> import torch, fastgru
        >>> x, weight = torch.randn(5, 3, 8), torch.randn(16, 8)
        >>> whole = fastgru.functional.linear(x, weight)
        >>> torch.equal(whole[2, 1], fastgru.functional.linear(x[2, 1], weight))
        True
    """
    if dispatch.is_unwatched() and not profiler._is_profiler_enabled:
        try:
            if _fits(input, weight, bias):
                return _quick(input, weight, bias)
        except AttributeError:
            pass  # no tensors: torch has the words for it
    return _by_route(input, weight, bias)


def _fits(input: Tensor, weight: Tensor, bias: Tensor | None) -> bool:
    """Whether these are plain tensors of a dtype and of sizes that belong together; False also where unsure."""
    dtype, shape = input.dtype, weight.shape
    return (
        type(input) in _PLAIN
        and type(weight) in _PLAIN
        and dtype in routes.DTYPES
        and weight.dtype is dtype
        and input.is_cpu
        and weight.is_cpu
        and not input.is_nested
        and len(shape) == 2
        and input.dim() > 0
        and input.shape[-1] == shape[1]
        and (bias is None or (type(bias) in _PLAIN and bias.dtype is dtype and bias.is_cpu and bias.shape == shape[:1]))
        and input.layout is weight.layout is torch.strided
        and _has_storage(input)
        and _has_storage(weight)
    )


@not_compiled
def _quick(input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    if torch.is_grad_enabled() and (
        input.requires_grad or weight.requires_grad or (bias is not None and bias.requires_grad)
    ):
        return _Linear.apply(input, weight, bias)  # type: ignore[no-any-return, no-untyped-call]
    return core_rows.linear(input, weight, bias)


def _by_route(input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    route = Route.TORCH if weight is None else routes.of(input, weight, bias)
    if route is Route.TORCH or not belong_together(input, weight, bias):
        return torchs.linear(input, weight, bias)
    if route is Route.OPERATOR:
        return torch.ops.fastgru.linear(input, weight, bias)  # type: ignore[no-any-return]
    if route is Route.FUNCTION:
        return _Transformed.apply(input, weight, bias)  # type: ignore[no-any-return, no-untyped-call]
    return recorded("fastgru::linear", _quick, input, weight, bias)  # type: ignore[no-any-return]


def belong_together(input: Tensor, weight: Tensor, bias: Tensor | None) -> bool:
    """Whether sizes do."""
    if weight.dim() != 2 or input.dim() == 0 or input.shape[-1] != weight.shape[1]:
        return False
    return bias is None or bias.shape == weight.shape[:1]


class _Linear(torch.autograd.Function):
    """A call that nobody follows."""

    @staticmethod
    def forward(ctx: Any, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        output = core_rows.linear(input, weight, bias)
        ctx.save_for_backward(input, weight)
        return output

    @staticmethod
    def backward(ctx: Any, d_output: Tensor) -> tuple[Tensor | None, ...]:
        input, weight = ctx.saved_tensors
        return gradients(d_output, input, weight, ctx.needs_input_grad)


def gradients(
    d_output: Tensor, input: Tensor, weight: Tensor, wanted: Sequence[bool]
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """The gradients of input, weight and bias, whoever follows; None where not wanted."""
    if type(d_output) is Tensor and not torch.is_grad_enabled() and dispatch.is_unwatched() and _has_storage(d_output):
        return core_rows.linear_gradients(d_output, input, weight, wanted)
    route = routes.of(d_output, input, weight)
    if route is Route.OPERATOR:
        found = torch.ops.fastgru.linear_gradients(d_output, input, weight, list(wanted))
    elif route is Route.TORCH:
        found = _torchs_gradients(d_output, input, weight, wanted)
    else:
        found = _Gradients.apply(d_output, input, weight, tuple(wanted))  # type: ignore[no-untyped-call]
    named = [one if is_wanted else None for one, is_wanted in zip(found, wanted, strict=True)]
    return named[0], named[1], named[2]


def _torchs_gradients(
    d_output: Tensor, input: Tensor, weight: Tensor, wanted: Sequence[bool]
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """The same by torch's operators, which autograd can follow as far as anyone likes."""
    rows, vectors = d_output.reshape(-1, d_output.shape[-1]), input.reshape(-1, input.shape[-1])
    return (
        torch.matmul(d_output, weight) if wanted[0] else None,
        torch.matmul(rows.t(), vectors) if wanted[1] else None,
        rows.sum(0) if wanted[2] else None,
    )


def second_gradients(
    point: Sequence[Tensor], outer: Sequence[Tensor | None]
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """The gradients of d_output, input and weight for those of the three gradients, by torch's operators."""
    d_output, input, weight = point
    g_input, g_weight, g_bias = outer
    rows, vectors = d_output.reshape(-1, d_output.shape[-1]), input.reshape(-1, input.shape[-1])
    of_output = [
        None if g_input is None else torchs.linear(g_input, weight),
        None if g_weight is None else torchs.linear(input, g_weight),
        None if g_bias is None else g_bias.expand(d_output.shape),
    ]
    of_input = None if g_weight is None else torch.matmul(d_output, g_weight)
    of_weight = None if g_input is None else torch.matmul(rows.t(), g_input.reshape(vectors.shape))
    return _total(of_output), of_input, of_weight


def _total(terms: Sequence[Tensor | None]) -> Tensor | None:
    total = None
    for term in terms:
        total = term if total is None else total if term is None else total + term
    return total


class _Transformed(torch.autograd.Function):
    """A call that torch.func transforms, or forward-mode AD follows."""

    @staticmethod
    def forward(input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if routes.of(input, weight, bias) is Route.OPERATOR:
            return torch.ops.fastgru.linear(input, weight, bias)  # type: ignore[no-any-return]
        return core_rows.linear(input, weight, bias)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        input, weight, _ = inputs
        ctx.save_for_backward(input, weight)
        ctx.save_for_forward(input, weight)

    @staticmethod
    def backward(ctx: Any, d_output: Tensor) -> tuple[Tensor | None, ...]:
        input, weight = routes.saved(ctx)
        return gradients(d_output, input, weight, ctx.needs_input_grad)

    @staticmethod
    def jvp(ctx: Any, d_input: Tensor | None, d_weight: Tensor | None, d_bias: Tensor | None) -> Tensor:
        input, weight = routes.saved(ctx)
        shape = *input.shape[:-1], weight.shape[0]
        terms = [
            None if d_input is None else torchs.linear(d_input, weight),
            None if d_weight is None else torchs.linear(input, d_weight),
            None if d_bias is None else d_bias.expand(shape),
        ]
        total = _total(terms)
        return input.new_zeros(shape) if total is None else total

    @staticmethod
    def vmap(info: Any, in_dims: Sequence[int | None], *tensors: Tensor | None) -> tuple[Tensor, int]:
        return batched(info.batch_size, in_dims, tensors)


def batched(count: int, dims: Sequence[int | None], tensors: Sequence[Any]) -> tuple[Tensor, int]:
    """Many calls at once, and where their dimension is: one larger batch unless weights differ."""
    input, weight, bias = tensors
    if dims[1] is None and dims[2] is None:
        return linear(input.movedim(dims[0], 0), weight, bias), 0
    return torch.stack([linear(*one) for one in models_of(count, dims, tensors)]), 0


def models_of(count: int, dims: Sequence[int | None], tensors: Sequence[Any]) -> list[tuple[Any, ...]]:
    """The arguments of each call of a batch of them."""
    each = [
        [tensor] * count if dim is None else list(tensor.unbind(dim)) for tensor, dim in zip(tensors, dims, strict=True)
    ]
    return list(zip(*each, strict=True))


class _Gradients(torch.autograd.Function):
    """First gradients that are followed; an empty tensor where not wanted."""

    @staticmethod
    def forward(d_output: Tensor, input: Tensor, weight: Tensor, wanted: tuple[bool, ...]) -> tuple[Tensor, ...]:
        if routes.of(d_output, input, weight) is Route.OPERATOR:
            return tuple(torch.ops.fastgru.linear_gradients(d_output, input, weight, list(wanted)))
        found = core_rows.linear_gradients(d_output, input, weight, wanted)
        return tuple([input.new_empty(0) if one is None else one for one in found])

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        *tensors, ctx.wanted = inputs
        ctx.save_for_backward(*tensors)
        ctx.save_for_forward(*tensors)
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx: Any, *outer: Tensor | None) -> tuple[Tensor | None, ...]:
        given = [one if is_wanted else None for one, is_wanted in zip(outer, ctx.wanted, strict=True)]
        return *second_gradients(routes.saved(ctx), given), None

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> tuple[Tensor, ...]:
        values = routes.saved(ctx)
        d_output, d_input, d_weight = (
            torch.zeros_like(value) if tangent is None else tangent
            for value, tangent in zip(values, tangents, strict=False)
        )
        output, input, weight = values
        moved = _torchs_gradients(d_output, input, weight, ctx.wanted)
        other = _torchs_gradients(output, d_input, d_weight, (ctx.wanted[0], ctx.wanted[1], False))
        return tuple(
            [
                values[1].new_zeros(0) if one is None else one if two is None else one + two
                for one, two in zip(moved, other, strict=True)
            ]
        )

    @staticmethod
    def vmap(info: Any, in_dims: Sequence[Any], *arguments: Any) -> tuple[tuple[Tensor, ...], tuple[int, ...]]:
        *tensors, wanted = arguments
        found = [_Gradients.apply(*one, wanted) for one in models_of(info.batch_size, in_dims[:3], tensors)]  # type: ignore[no-untyped-call]
        return tuple([torch.stack(one) for one in zip(*found, strict=True)]), (0, 0, 0)
