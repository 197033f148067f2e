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
from torch._C._functorch import TransformType
from torch.nn.utils import rnn

from fastgru import checking
from fastgru.backends import saving
from fastgru.backends.base import Bounds, Request, sum_dtype
from fastgru.ops import derivatives, recorded, short
from fastgru.ops.batching import batched_backward, batched_forward
from fastgru.ops.checks import checked
from fastgru.ops.computing import compute, compute_gradients
from fastgru.ops.inputs import Inputs
from fastgru.ops.recurrence import keep, rule


def _flat(own: Inputs) -> tuple[Any, ...]:
    """A Function follows tensors that are arguments of their own."""
    return own[6:], *own[:3], *own[4:6], *own.weights


def _unflat(options: Any, x: Any, h_0: Any, reset_state: Any, lengths: Any, reset: Any, *weights: Any) -> Inputs:
    return Inputs(x, h_0, reset_state, weights, lengths, reset, *(options or (None,) * 4))


def forward(own: Inputs) -> tuple[Tensor, Tensor]:
    """Output and h_n, as functions that torch.func can transform."""
    if _asks_for_more() and short.serves(own, short.MOST_STEPS_TRANSFORMED):
        return short.run(own)
    return _ForwardFunction.apply(*_flat(own))  # type: ignore[no-any-return, no-untyped-call]


def _is_watched(x: Tensor) -> bool:
    """Whether something but transforms and autograd follows, to which a call of the core must be an operator."""
    return type(x) not in checking.PLAIN or torch._C._len_torch_dispatch_stack() > 0 or torch.compiler.is_compiling()


def _asks_for_more() -> bool:
    """Whether transforms around ask for more than gradients of first order, for which the core is always quicker."""
    stack = torch._C._functorch.get_interpreter_stack() or ()
    kinds = [level.key() for level in stack]
    return kinds.count(TransformType.Grad) > 1 or TransformType.Jvp in kinds


def backward(
    d_output: Tensor | None, d_h_n: Tensor | None, own: Inputs, wanted: tuple[bool, ...]
) -> tuple[Tensor, ...]:
    """The gradients that `fastgru.ops.backward` gives, likewise."""
    return _BackwardFunction.apply(wanted, d_output, d_h_n, *_flat(own))  # type: ignore[no-any-return, no-untyped-call]


def gradients(
    request: Request,
    inputs: Sequence[Tensor | None],
    bounds: Bounds,
    outer: tuple[Tensor | None, Tensor | None],
    wanted: tuple[bool, ...],
) -> tuple[Tensor | None, ...]:
    """The gradients of a call as functions that autograd can follow further; arguments as for `reference.gradients`."""
    dtype = sum_dtype(request.dtype)
    x, h_0, reset_state, *weights = [None if t is None else t.to(dtype) for t in inputs]
    d_output, d_h_n = [None if t is None else t.to(dtype) for t in outer]
    assert x is not None
    lengths, batch_sizes = bounds.lengths, bounds.batch_sizes
    if batch_sizes is not None:
        x, lengths = rnn.pad_packed_sequence(rnn.PackedSequence(x, batch_sizes))
        d_output = None if d_output is None else rnn.pad_packed_sequence(rnn.PackedSequence(d_output, batch_sizes))[0]
    spec = request.spec
    options = spec.num_layers, spec.bidirectional, request.batch_first and batch_sizes is None, request.recompute
    own = Inputs(x, h_0, reset_state, weights, lengths, bounds.reset, *options)  # type: ignore[arg-type]
    if not recorded.are_plain(outer):
        found = recorded.gradients(own, (d_output, d_h_n), wanted, recorded.run_by_torch)
    elif short.serves(own, short.MOST_STEPS):
        found = recorded.gradients(own, (d_output, d_h_n), wanted, short.run)
    else:
        found = [*backward(d_output, d_h_n, own, wanted)]
    if batch_sizes is not None and wanted[0]:
        assert lengths is not None
        found[0] = rnn.pack_padded_sequence(found[0], lengths).data  # type: ignore[arg-type]
    return tuple(
        [
            t.to(request.dtype) if is_wanted and t is not None else None
            for t, is_wanted in zip(found, wanted, strict=True)
        ]
    )


class _ForwardFunction(torch.autograd.Function):
    @staticmethod
    def forward(*flat: Any) -> tuple[Tensor, Tensor]:
        own = _unflat(*flat)
        if _is_watched(own.x):
            return torch.ops.fastgru.forward(*own, False)[:2]  # type: ignore[no-any-return]
        return compute(checked(own), None)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        ctx.options = inputs[0]
        keep(ctx, *inputs[1:])
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
    @rule
    def jvp(ctx: Any, saved: list[Any], _: None, *given: Tensor | None) -> tuple[Tensor, Tensor]:
        own = _unflat(ctx.options, *saved)
        return derivatives.tangents(own, (*given[:3], *given[5:]))

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
        own = _unflat(*flat)
        if _is_watched(own.x):
            return tuple(torch.ops.fastgru.backward(d_output, d_h_n, None, None, *own, list(wanted)))
        return tuple(compute_gradients((d_output, d_h_n), None, None, checked(own), wanted))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        ctx.wanted, d_output, d_h_n, ctx.options, *tensors = inputs
        keep(ctx, d_output, d_h_n, *tensors)
        ctx.set_materialize_grads(False)
        unwanted = [t for t, is_wanted in zip(output, ctx.wanted, strict=True) if not is_wanted]
        ctx.mark_non_differentiable(*unwanted)

    @staticmethod
    def backward(ctx: Any, *outer: Tensor | None) -> tuple[Any, ...]:
        d_output, d_h_n, *tensors = saving.kept(ctx)
        own = _unflat(ctx.options, *tensors)
        needed = recorded.still_wanted(ctx, ctx.needs_input_grad)
        asked = [*needed[4:7], *needed[9:]]
        if not recorded.are_plain(outer):
            asked = [*needed[1:3], *asked]
            found = recorded.second_gradients(own, (d_output, d_h_n), ctx.wanted, outer, asked)
        else:
            found = derivatives.second_gradients(own, (d_output, d_h_n), ctx.wanted, outer, asked)
        return None, *found[:2], None, *found[2:5], None, None, *found[5:]

    @staticmethod
    @rule
    def jvp(ctx: Any, saved: list[Any], _: None, *given: Tensor | None) -> tuple[Tensor | None, ...]:
        d_output, d_h_n, *tensors = saved
        own, moving = _unflat(ctx.options, *tensors), (*given[3:6], *given[8:])
        d_outer = given[0], given[1]
        return tuple(derivatives.of_gradients(own, moving, (d_output, d_h_n), d_outer, ctx.wanted)[2])

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
