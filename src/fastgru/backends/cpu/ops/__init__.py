"""The core as operators of torch: what `torch.compile`, `torch.export` and `torch.func` see of a layer.

There are two operators, with the rules that torch needs: shapes without numbers, gradients, batching. A call of the
layer uses them only if a compiler or transform has to see inside; the plain call is faster without them.

Every tensor may have one more dimension in front, of models or batches that one call computes together. The rules of
batching use it if weights, or their gradients, differ. If they do not, the rows become one larger batch, which is
faster still.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

from fastgru import errors
from fastgru.backends import saving
from fastgru.backends.cpu.ops import autocast, calls, flops, functions
from fastgru.backends.cpu.ops import gradients as gradients
from fastgru.backends.cpu.ops import recorded as recorded
from fastgru.backends.cpu.ops.batching import batched_backward, batched_forward
from fastgru.backends.cpu.ops.computing import compute, compute_gradients
from fastgru.backends.cpu.ops.derivatives import second_gradients
from fastgru.backends.cpu.ops.operator_checks import check_outer, checked
from fastgru.call import context
from fastgru.call.context import Follower
from fastgru.call.request import Call, Request
from fastgru.spec import directions_of

_INPUTS = "Tensor x, Tensor? h_0, Tensor? reset_state, Tensor[] weights, Tensor? lengths, Tensor? reset"
_TRANSFORMS = (Follower.TRANSFORM, Follower.FORWARD_MODE, Follower.FORWARD_TRANSFORM)
_OPTIONS = "int num_layers, bool bidirectional, bool batch_first, bool recompute"
_KIND = "bool reset_after=True"  # at the end, so that programs that were exported without it can be run


def run(request: Request, call: Call) -> tuple[Tensor, Tensor]:
    """Output and h_n by the operators; as `fastgru.backends.base.Backend.run`."""
    if request.follower in _TRANSFORMS:
        return functions.forward(call)
    # An exported program is for inference; trained all the same, its backward pass runs the forward pass again.
    saves = request.needs_grad and not context.is_exporting_program()
    output, h_n, _ = torch.ops.fastgru.forward(*calls.closed(calls.arguments_of(call), saves))
    return output, h_n


@torch.library.custom_op(
    "fastgru::forward",
    mutates_args=(),
    device_types="cpu",
    schema=f"({_INPUTS}, {_OPTIONS}, bool saves, {_KIND}) -> (Tensor output, Tensor h_n, Tensor saved)",
)
def forward(*arguments: Any) -> tuple[Tensor, Tensor, Tensor]:
    """Output, h_n, and what the backward pass needs where `saves` is set."""
    given, saves = calls.opened(arguments)
    call = checked(given)
    saved = calls.room_to_save(call) if saves else call.x.new_empty(*call.x.shape[:-3], 0)
    output, h_n = compute(call, saved if saves else None)
    return output, h_n, saved


@forward.register_fake
def _(*arguments: Any) -> tuple[Tensor, Tensor, Tensor]:
    given, saves = calls.opened(arguments)
    call = calls.of(given)
    spec, models, x = call.spec, call.x.shape[:-3], call.x
    cells = spec.num_layers * directions_of(spec)
    output = x.new_empty(*x.shape[:-1], directions_of(spec) * spec.hidden_size)
    h_n = x.new_empty(*models, cells, calls.sizes(call)[1], spec.hidden_size)
    return output, h_n, calls.room_to_save(call) if saves else x.new_empty(*models, 0)


@torch.library.custom_op(
    "fastgru::backward",
    mutates_args=(),
    device_types="cpu",
    schema=(
        f"(Tensor? d_output, Tensor? d_h_n, Tensor? output, Tensor? saved, {_INPUTS}, {_OPTIONS}, bool[] wanted,"
        f" {_KIND}) -> Tensor[]"
    ),
)
def backward(
    d_output: Tensor | None, d_h_n: Tensor | None, output: Tensor | None, saved: Tensor | None, *arguments: Any
) -> list[Tensor]:
    """The gradients of x, h_0, reset_state and the weights; an empty tensor where not wanted.

    Without `output` and `saved`, the forward pass runs first.
    """
    given, wanted = calls.opened(arguments)
    call = checked(given)
    check_outer(call, d_output, d_h_n, output, saved, wanted)
    return compute_gradients((d_output, d_h_n), output, saved, call, wanted)


@backward.register_fake
def _(d_output: Any, d_h_n: Any, output: Any, saved: Any, *arguments: Any) -> list[Tensor]:
    given, wanted = calls.opened(arguments)
    call = calls.of(given)
    return [
        call.x.new_empty(tensor.shape if is_wanted and tensor is not None else 0)
        for tensor, is_wanted in zip(call.inputs, wanted, strict=True)
    ]


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor, Tensor]) -> None:
    given, saves = calls.opened(inputs)
    result, _, saved = output
    ctx.set_materialize_grads(False)
    ctx.mark_non_differentiable(saved)
    tensors, ctx.options = calls.parted(given)
    kept = (result, saved) if saves else (None, None)
    saving.keep(ctx, *kept, *tensors)


def _gradients(ctx: Any, d_output: Tensor | None, d_h_n: Tensor | None, _: Tensor | None) -> tuple[Any, ...]:
    output, saved, *tensors = saving.kept(ctx)
    others = (None,) * (len(ctx.needs_input_grad) - 4)  # torch wants one for each that was given, and counts no default
    if d_output is None and d_h_n is None:
        return None, None, None, [None] * len(tensors[calls.FIRST_WEIGHT :]), *others
    wanted = [*ctx.needs_input_grad[:3], *ctx.needs_input_grad[3]]
    given = calls.joined(tensors, ctx.options)
    found = torch.ops.fastgru.backward(d_output, d_h_n, output, saved, *calls.closed(given, wanted))
    named = [gradient if is_wanted else None for gradient, is_wanted in zip(found, wanted, strict=True)]
    return *named[:3], named[3:], *others


autocast.register()

forward.register_autograd(_gradients, setup_context=_keep)


def _keep_for_second(ctx: Any, inputs: tuple[Any, ...], output: list[Tensor]) -> None:
    d_output, d_h_n, _, _, *arguments = inputs
    given, ctx.wanted = calls.opened(arguments)
    tensors, ctx.options = calls.parted(given)
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(d_output, d_h_n, *tensors)


def _second(ctx: Any, outer: Sequence[Tensor | None]) -> tuple[Any, ...]:
    d_output, d_h_n, *tensors = ctx.saved_tensors
    call = calls.of(calls.joined(tensors, ctx.options))
    asked = [*ctx.needs_input_grad[4:7], *ctx.needs_input_grad[7]]
    if call.spec.reset_after:
        d_outer, d_states, *found = second_gradients(call, (d_output, d_h_n), ctx.wanted, outer, asked)
    else:
        if calls.is_of_many_models(call):
            what = "dimensions of `x`, to differentiate gradients without reset_after,"
            raise errors.operator_arguments(what, call.x.dim(), 3)
        asked = [*ctx.needs_input_grad[:2], *asked]
        d_outer, d_states, *found = recorded.second_gradients(call, (d_output, d_h_n), ctx.wanted, outer, asked)
    return d_outer, d_states, None, None, *found[:3], found[3:], *(None,) * (len(ctx.needs_input_grad) - 8)


backward.register_autograd(_second, setup_context=_keep_for_second)


@forward.register_vmap
def _(info: Any, in_dims: Sequence[Any], *arguments: Any) -> tuple[Any, Any]:
    given, saves = calls.opened(arguments)
    tensors, options = calls.parted(given)

    def run(tensors: Sequence[Any], saves: bool) -> Any:
        return torch.ops.fastgru.forward(*calls.closed(calls.joined(tensors, options), saves))

    return batched_forward(run, info.batch_size, calls.parted(in_dims)[0], tensors, options[2], saves)


@backward.register_vmap
def _(info: Any, in_dims: Sequence[Any], *arguments: Any) -> tuple[list[Tensor], list[int | None]]:
    outer, (given, wanted) = arguments[:4], calls.opened(arguments[4:])
    tensors, options = calls.parted(given)
    dims = in_dims[:4], calls.parted(in_dims[4:])[0]

    def run(outer: Sequence[Any], tensors: Sequence[Any], wanted: Sequence[bool]) -> Any:
        return torch.ops.fastgru.backward(*outer, *calls.closed(calls.joined(tensors, options), wanted))

    return batched_backward(run, info.batch_size, dims, outer, tensors, options[2], wanted)


register_flop_formula(torch.ops.fastgru.forward, get_raw=True)(flops.forward)
register_flop_formula(torch.ops.fastgru.backward, get_raw=True)(flops.backward)
register_flop_formula(torch.ops.fastgru.gradients, get_raw=True)(flops.gradients)
