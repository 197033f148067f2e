"""The operators as torch.func can follow them.

The gradients of an operator do not go together with torch.func in torch 2.13, those of an `autograd.Function` do.
Here the forward pass leaves nothing behind, and the backward pass begins with the inputs: so each can be batched in
whatever way is best for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from fastgru.backends import saving
from fastgru.ops.batching import batched_backward, batched_forward
from fastgru.ops.inputs import Inputs, second_gradients


def _flat(own: Inputs) -> tuple[Any, ...]:
    """A Function follows tensors that are arguments of their own."""
    return own[6:], *own[:3], *own[4:6], *own.weights


def _unflat(options: Any, x: Any, h_0: Any, reset_state: Any, lengths: Any, reset: Any, *weights: Any) -> Inputs:
    return Inputs(x, h_0, reset_state, weights, lengths, reset, *(options or (None,) * 4))


def forward(own: Inputs) -> tuple[Tensor, Tensor]:
    """Output and h_n, as functions that torch.func can transform."""
    return _ForwardFunction.apply(*_flat(own))  # type: ignore[no-any-return, no-untyped-call]


def backward(
    d_output: Tensor | None, d_h_n: Tensor | None, own: Inputs, wanted: tuple[bool, ...]
) -> tuple[Tensor, ...]:
    """The gradients that `fastgru.ops.backward` gives, likewise."""
    return _BackwardFunction.apply(wanted, d_output, d_h_n, *_flat(own))  # type: ignore[no-any-return, no-untyped-call]


class _ForwardFunction(torch.autograd.Function):
    @staticmethod
    def forward(*flat: Any) -> tuple[Tensor, Tensor]:
        output, h_n, _ = torch.ops.fastgru.forward(*_unflat(*flat), False)
        return output, h_n

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        ctx.options = inputs[0]
        saving.keep(ctx, *inputs[1:])
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx: Any, d_output: Tensor | None, d_h_n: Tensor | None) -> tuple[Any, ...]:
        if d_output is None and d_h_n is None:
            return (None,) * len(ctx.needs_input_grad)
        own = _unflat(ctx.options, *saving.kept(ctx))
        wanted = (*ctx.needs_input_grad[1:4], *ctx.needs_input_grad[6:])
        found = backward(d_output, d_h_n, own, wanted)
        named = [gradient if is_wanted else None for gradient, is_wanted in zip(found, wanted, strict=True)]
        return None, *named[:3], None, None, *named[3:]

    @staticmethod
    def vmap(info: Any, in_dims: Sequence[Any], *flat: Any) -> tuple[Any, Any]:
        def call(*arguments: Any) -> tuple[Tensor, Tensor, Tensor]:
            output, h_n = forward(Inputs(*arguments[:-1]))
            return output, h_n, output.new_empty(0)

        results, places = batched_forward(call, info.batch_size, _unflat(*in_dims), _unflat(*flat), False)
        return results[:2], places[:2]


class _BackwardFunction(torch.autograd.Function):
    @staticmethod
    def forward(wanted: tuple[bool, ...], d_output: Any, d_h_n: Any, *flat: Any) -> tuple[Tensor, ...]:
        return tuple(torch.ops.fastgru.backward(d_output, d_h_n, None, None, *_unflat(*flat), list(wanted)))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        ctx.wanted, d_output, d_h_n, ctx.options, *tensors = inputs
        saving.keep(ctx, d_output, d_h_n, *tensors)
        ctx.set_materialize_grads(False)
        unwanted = [t for t, is_wanted in zip(output, ctx.wanted, strict=True) if not is_wanted]
        ctx.mark_non_differentiable(*unwanted)

    @staticmethod
    def backward(ctx: Any, *outer: Tensor | None) -> tuple[Any, ...]:
        d_output, d_h_n, *tensors = saving.kept(ctx)
        own = _unflat(ctx.options, *tensors)
        found = second_gradients(own, d_output, d_h_n, ctx.wanted, outer)
        return None, *found[:2], None, *found[2:5], None, None, *found[5:]

    @staticmethod
    def vmap(info: Any, in_dims: Sequence[Any], wanted: Any, d_output: Any, d_h_n: Any, *flat: Any) -> tuple[Any, Any]:
        def call(d_output: Any, d_h_n: Any, _: Any, __: Any, *arguments: Any) -> tuple[Tensor, ...]:
            return backward(d_output, d_h_n, Inputs(*arguments[:-1]), arguments[-1])

        dims = _unflat(*in_dims[3:])
        found, places = batched_backward(
            call,
            info.batch_size,
            (*in_dims[1:3], None, None),
            dims,
            d_output,
            d_h_n,
            None,
            None,
            *_unflat(*flat),
            wanted,
        )
        return tuple(found), tuple(places)
