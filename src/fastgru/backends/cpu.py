"""Our own kernels on the CPU, and their gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor

from fastgru.backends import core_calls, reference
from fastgru.backends.base import Request, layerwise
from fastgru.spec import GRUSpec

_DTYPES = (torch.float32, torch.float64)


class CpuBackend:
    """The native core: float32 and float64 on the CPU, any number of layers and directions, ragged or not."""

    name = "cpu"

    def refuse(self, request: Request) -> str | None:
        """Why the core cannot take this request, or None."""
        if request.device != "cpu":
            return f"the core runs on the CPU, the input is on {request.device}"
        if request.dtype not in _DTYPES:
            return f"the core computes in float32 and float64, the input is {request.dtype}"
        if request.context is not None:
            return f"the core's kernels are not visible to {request.context}"
        if request.batch == 0 or request.spec.hidden_size == 0:
            return "there is nothing to compute"
        if request.spec.num_layers * request.spec.num_directions > core_calls.MOST_CELLS:
            return f"the core stacks at most {core_calls.MOST_CELLS} layers and directions"
        return None

    def run(
        self,
        request: Request,
        x: Tensor,
        h_0: Tensor | None,
        weights: tuple[Tensor, ...],
        batch_sizes: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        """Output and h_n; shapes as in `fastgru.backends.base.Backend`."""
        if request.dropout > 0:
            return layerwise(self.run, request, x, h_0, weights, batch_sizes)
        if request.needs_grad:
            asked = (request, batch_sizes)
            return _Gru.apply(asked, request.spec, request.recompute, x, h_0, *weights)  # type: ignore[no-any-return, no-untyped-call]
        output, h_n, _ = core_calls.forward(request, x, h_0, weights, batch_sizes, saves=False)
        return output, h_n


def train_plain(
    spec: GRUSpec, x: Tensor, h_0: Tensor | None, weights: tuple[Tensor, ...], recompute: bool
) -> tuple[Tensor, Tensor] | None:
    """Output and h_n with gradients to come, of a batch without batch sizes; None where a tensor is not plain."""
    try:
        return _Gru.apply(None, spec, recompute, x, h_0, *weights)  # type: ignore[no-any-return, no-untyped-call]
    except _NotPlain:
        return None


def batch_first(output: Tensor) -> Tensor:
    """An output (T, B, D*H), fresh from a backend, as (B, T, D*H): turned in place, as torch's operator does it.

    A view of it could neither be detached in place nor, when made under no_grad, be changed by what needs gradients.
    The node is told of the turn, or it would take it for a change of values and run the forward pass again.
    """
    if output.is_cuda:  # cuDNN's node keeps its output, and would take the turn for a change
        return output.transpose(0, 1)
    if not torch.compiler.is_compiling():  # it cannot read grad_fn, and our kernels do not run under it
        node = output.grad_fn
        if isinstance(node, _Gru._backward_cls):
            cast("Any", node).version += 1
    return output.transpose_(0, 1)


class _NotPlain(Exception):  # noqa: N818  (not an error: the call goes another way)
    """The core cannot read the tensors by itself."""


class _Gru(torch.autograd.Function):
    """One call of the core, as autograd sees it: the whole stack is a single node.

    Saves the input, h_0, the weights and what the forward pass left. The output is needed too, but users may
    change it in place (`output += residual`), as stock torch lets them; so it is kept with its version, and when that
    has moved on, the forward pass runs again.

    Without a request and batch sizes, the tensors are taken for plain ones: a training step on a short sequence takes
    less time than finding all that out here.
    """

    @staticmethod
    def forward(
        ctx: Any,
        asked: tuple[Request, Tensor | None] | None,
        spec: GRUSpec,
        recompute: bool,
        x: Tensor,
        h_0: Tensor | None,
        *weights: Tensor,
    ) -> tuple[Tensor, Tensor]:
        output, h_n, saved = _forward(asked, spec, recompute, x, h_0, weights)
        ctx.save_for_backward(x, h_0, saved, *weights)
        ctx.set_materialize_grads(False)
        ctx.asked, ctx.spec, ctx.recompute = asked, spec, recompute
        ctx.output = output.detach()  # without history, or the node would keep itself alive
        ctx.version = output._version
        return output, h_n

    @staticmethod
    def backward(ctx: Any, d_output: Tensor | None, d_h_n: Tensor | None) -> tuple[Any, ...]:
        x, h_0, saved, *weights = ctx.saved_tensors
        spec, recompute = ctx.spec, ctx.recompute
        wanted = ctx.needs_input_grad[3:]
        inputs, outer = (x, h_0, *weights), (d_output, d_h_n)
        if d_output is None and d_h_n is None:
            return (None,) * (len(wanted) + 3)
        are_plain = not torch.is_grad_enabled() and _are_plain(outer)
        output = ctx.output
        if are_plain and output._version != ctx.version:
            output, _, saved = _forward(ctx.asked, spec, recompute, x, h_0, tuple(weights))
        gradients: Sequence[Tensor | None] | None = None
        if are_plain and ctx.asked is None:
            gradients = core_calls.backward_plain(spec, inputs, output, saved, recompute, outer, wanted)
        if gradients is None:
            request, batch_sizes = ctx.asked or (_plain_request(spec, x, recompute), None)
            if are_plain:
                gradients = core_calls.backward(request, inputs, batch_sizes, output, saved, *outer, wanted)
            else:
                gradients = _differentiable(request, batch_sizes, inputs, outer, wanted)
        return None, None, None, *gradients


def _forward(
    asked: tuple[Request, Tensor | None] | None,
    spec: GRUSpec,
    recompute: bool,
    x: Tensor,
    h_0: Tensor | None,
    weights: tuple[Tensor, ...],
) -> tuple[Tensor, Tensor, Tensor]:
    """Output, h_n, and what the backward pass needs."""
    if asked is not None:
        request, batch_sizes = asked
        output, h_n, saved = core_calls.forward(request, x, h_0, weights, batch_sizes, saves=True)
        assert saved is not None
        return output, h_n, saved
    core = core_calls.core_for_plain(spec, x)
    if core is None:
        raise _NotPlain
    saved = core_calls.buffer_to_save(core, x.dtype, x.shape[0], x.shape[1], 0, recompute)
    results = core_calls.forward_plain(spec, x, h_0, weights, saved, recompute)
    if results is None:
        raise _NotPlain
    return *results, saved


def _plain_request(spec: GRUSpec, x: Tensor, recompute: bool) -> Request:
    return Request(spec, x.dtype, "cpu", x.shape[0], x.shape[1], False, True, 0.0, None, recompute)


def _are_plain(outer: tuple[Tensor | None, Tensor | None]) -> bool:
    """Whether outer gradients have memory of their own; those of vmap over a backward pass have none."""
    return not torch._C._are_functorch_transforms_active() and all(d is None or torch._C._has_storage(d) for d in outer)


def _differentiable(
    request: Request,
    batch_sizes: Tensor | None,
    inputs: tuple[Tensor | None, ...],
    outer: tuple[Tensor | None, Tensor | None],
    wanted: tuple[bool, ...],
) -> list[Tensor | None]:
    """The gradients as functions that autograd can follow further, to any order: the reference's.

    Fresh aliases of the inputs keep paths between them out of it: an input may have been computed from a weight.
    """
    creates_graph = torch.is_grad_enabled()
    with torch.enable_grad():
        x, h_0, *weights = [None if t is None else t.view_as(t) for t in inputs]
        assert x is not None
        results = reference.BACKEND.run(request, x, h_0, tuple(weights), batch_sizes)  # type: ignore[arg-type]
        pairs = [(result, d) for result, d in zip(results, outer, strict=True) if d is not None]
        asked = [t for t, is_wanted in zip((x, h_0, *weights), wanted, strict=True) if is_wanted]
        found = iter(
            torch.autograd.grad(
                [result for result, _ in pairs],
                asked,  # type: ignore[arg-type]
                [d for _, d in pairs],
                create_graph=creates_graph,
                allow_unused=True,
            )
        )
    return [next(found) if is_wanted else None for is_wanted in wanted]


BACKEND = CpuBackend()
