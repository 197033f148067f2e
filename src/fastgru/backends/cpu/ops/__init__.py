"""The core as operators of torch: what `torch.compile`, `torch.export` and `torch.func` see of a layer.

Two operators with the rules that torch asks for: shapes without numbers, gradients, batching. A call of the layer
reaches them only where something has to look inside; the plain call is quicker without.

Every tensor may have one more dimension in front: then as many models or batches stand side by side, which one call
computes together. The rules of batching use it where weights, or their gradients, differ; where they do not, rows
become one larger batch, which is quicker still.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

from fastgru.backends import saving
from fastgru.backends.cpu.ops import flops, functions
from fastgru.backends.cpu.ops import gradients as gradients
from fastgru.backends.cpu.ops import recorded as recorded
from fastgru.backends.cpu.ops.batching import batched_backward, batched_forward
from fastgru.backends.cpu.ops.computing import compute, compute_gradients
from fastgru.backends.cpu.ops.derivatives import second_gradients
from fastgru.backends.cpu.ops.inputs import Inputs
from fastgru.backends.cpu.ops.operator_checks import check_outer, checked
from fastgru.call.context import Follower
from fastgru.call.request import Call, Request

_INPUTS = "Tensor x, Tensor? h_0, Tensor? reset_state, Tensor[] weights, Tensor? lengths, Tensor? reset"
_TRANSFORMS = (Follower.TRANSFORM, Follower.FORWARD_MODE, Follower.FORWARD_TRANSFORM)
_OPTIONS = "int num_layers, bool bidirectional, bool batch_first, bool recompute"


def run(request: Request, call: Call) -> tuple[Tensor, Tensor]:
    """Output and h_n by the operators; as `fastgru.backends.base.Backend.run`."""
    options = request.spec.num_layers, request.spec.bidirectional, request.batch_first, request.recompute
    _, lengths, reset, reset_state = call.sequences
    own = Inputs(call.x, call.h_0, reset_state, list(call.weights), lengths, reset, *options)
    if request.follower in _TRANSFORMS:
        return functions.forward(own)
    # An exported program is for inference; trained all the same, its backward pass runs the forward pass again.
    saves = request.needs_grad and not torch.compiler.is_exporting()
    output, h_n, _ = torch.ops.fastgru.forward(*own, saves)
    return output, h_n


@torch.library.custom_op(
    "fastgru::forward",
    mutates_args=(),
    device_types="cpu",
    schema=f"({_INPUTS}, {_OPTIONS}, bool saves) -> (Tensor output, Tensor h_n, Tensor saved)",
)
def forward(*arguments: Any) -> tuple[Tensor, Tensor, Tensor]:
    """Output, h_n, and what the backward pass needs where `saves` is set."""
    *inputs, saves = arguments
    own = checked(Inputs(*inputs))
    saved = own.room_to_save() if saves else own.x.new_empty(*own.x.shape[:-3], 0)
    output, h_n = compute(own, saved if saves else None)
    return output, h_n, saved


@forward.register_fake
def _(*arguments: Any) -> tuple[Tensor, Tensor, Tensor]:
    *inputs, saves = arguments
    own = Inputs(*inputs)
    spec, models, x = own.spec, own.x.shape[:-3], own.x
    cells = spec.num_layers * spec.num_directions
    output = x.new_empty(*x.shape[:-1], spec.num_directions * spec.hidden_size)
    h_n = x.new_empty(*models, cells, own.request.batch, spec.hidden_size)
    return output, h_n, own.room_to_save() if saves else x.new_empty(*models, 0)


@torch.library.custom_op(
    "fastgru::backward",
    mutates_args=(),
    device_types="cpu",
    schema=(
        f"(Tensor? d_output, Tensor? d_h_n, Tensor? output, Tensor? saved, {_INPUTS}, {_OPTIONS}, bool[] wanted)"
        " -> Tensor[]"
    ),
)
def backward(
    d_output: Tensor | None, d_h_n: Tensor | None, output: Tensor | None, saved: Tensor | None, *arguments: Any
) -> list[Tensor]:
    """The gradients of x, h_0, reset_state and the weights; an empty tensor where not wanted.

    Without `output` and `saved`, the forward pass runs first.
    """
    *inputs, wanted = arguments
    own = checked(Inputs(*inputs))
    check_outer(own, d_output, d_h_n, output, saved, wanted)
    return compute_gradients((d_output, d_h_n), output, saved, own, wanted)


@backward.register_fake
def _(d_output: Any, d_h_n: Any, output: Any, saved: Any, *arguments: Any) -> list[Tensor]:
    *inputs, wanted = arguments
    own = Inputs(*inputs)
    return [
        own.x.new_empty(tensor.shape if is_wanted and tensor is not None else 0)
        for tensor, is_wanted in zip(own.differentiable, wanted, strict=True)
    ]


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor, Tensor]) -> None:
    *given, saves = inputs
    own = Inputs(*given)
    result, _, saved = output
    ctx.set_materialize_grads(False)
    ctx.mark_non_differentiable(saved)
    ctx.options = own[6:]
    kept = (result, saved) if saves else (None, None)
    saving.keep(ctx, *kept, *own[:3], *own[4:6], *own.weights)


def _gradients(ctx: Any, d_output: Tensor | None, d_h_n: Tensor | None, _: Tensor | None) -> tuple[Any, ...]:
    output, saved, x, h_0, reset_state, lengths, reset, *weights = saving.kept(ctx)
    own = Inputs(x, h_0, reset_state, weights, lengths, reset, *ctx.options)
    if d_output is None and d_h_n is None:
        return None, None, None, [None] * len(weights), *(None,) * 7
    wanted = [*ctx.needs_input_grad[:3], *ctx.needs_input_grad[3]]
    found = torch.ops.fastgru.backward(d_output, d_h_n, output, saved, *own, wanted)
    named = [gradient if is_wanted else None for gradient, is_wanted in zip(found, wanted, strict=True)]
    return *named[:3], named[3:], *(None,) * 7


forward.register_autocast("cpu", torch.float32)  # sums are float32's, whatever the layer makes of its inputs

forward.register_autograd(_gradients, setup_context=_keep)


def _keep_for_second(ctx: Any, inputs: tuple[Any, ...], output: list[Tensor]) -> None:
    d_output, d_h_n, _, _, *given, wanted = inputs
    own = Inputs(*given)
    ctx.set_materialize_grads(False)
    ctx.options, ctx.wanted = own[6:], wanted
    ctx.save_for_backward(d_output, d_h_n, *own[:3], *own[4:6], *own.weights)


def _second(ctx: Any, outer: Sequence[Tensor | None]) -> tuple[Any, ...]:
    d_output, d_h_n, x, h_0, reset_state, lengths, reset, *weights = ctx.saved_tensors
    own = Inputs(x, h_0, reset_state, weights, lengths, reset, *ctx.options)
    asked = [*ctx.needs_input_grad[4:7], *ctx.needs_input_grad[7]]
    d_outer, d_states, *found = second_gradients(own, (d_output, d_h_n), ctx.wanted, outer, asked)
    return d_outer, d_states, None, None, *found[:3], found[3:], *(None,) * 7


backward.register_autograd(_second, setup_context=_keep_for_second)


@forward.register_vmap
def _(info: Any, in_dims: Sequence[Any], *arguments: Any) -> tuple[Any, Any]:
    *inputs, saves = arguments
    dims = Inputs(*in_dims[:-1])
    return batched_forward(torch.ops.fastgru.forward, info.batch_size, dims, Inputs(*inputs), saves)


@backward.register_vmap
def _(info: Any, in_dims: Sequence[Any], *arguments: Any) -> tuple[list[Tensor], list[int | None]]:
    dims = Inputs(*in_dims[4:-1])
    return batched_backward(torch.ops.fastgru.backward, info.batch_size, in_dims[:4], dims, *arguments)


register_flop_formula(torch.ops.fastgru.forward, get_raw=True)(flops.forward)
register_flop_formula(torch.ops.fastgru.backward, get_raw=True)(flops.backward)
register_flop_formula(torch.ops.fastgru.gradients, get_raw=True)(flops.gradients)
