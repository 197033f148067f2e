"""Second derivatives where torch's operator has none: cuDNN's backward pass cannot be differentiated.

Inputs go through a node that does nothing to them, and whose backward pass comes behind the operator's. Where a graph
of the gradients is asked for (`create_graph=True`), it gives the reference's gradients instead, which autograd can
follow.
Results are the operator's own, and so is all memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import register_multi_grad_hook

from fastgru.backends import reference, saving
from fastgru.backends.base import Bounds, Request, warn_once

Run = Callable[[Request, Tensor, Tensor | None, tuple[Tensor, ...], Bounds], tuple[Tensor, Tensor]]
_REASONS: dict[str, str | None] = {
    "cpu": "the core runs on the CPU",
    "aten": "cuDNN's backward pass cannot be differentiated",
}


class _Call:
    """What stays of a call: its request and bounds, and in a backward pass the gradients of its results."""

    def __init__(self, request: Request, bounds: Bounds) -> None:
        self.request, self.bounds = request, bounds
        self.outer: list[Tensor | None] = [None, None]


def run(
    operator: Run, request: Request, x: Tensor, h_0: Tensor | None, weights: tuple[Tensor, ...], bounds: Bounds
) -> tuple[Tensor, Tensor]:
    """Output and h_n of `operator`, whose gradients can be differentiated."""
    inputs = x, h_0, *weights
    wanted = [t is not None and t.requires_grad for t in inputs]
    call = _Call(request, bounds)
    passed = iter(_Guard.apply(call, wanted, *inputs))  # type: ignore[no-untyped-call]
    own: list[Any] = [next(passed) if is_wanted else t for t, is_wanted in zip(inputs, wanted, strict=True)]
    results = operator(request, own[0], own[1], tuple(own[2:]), bounds)
    followed = [i for i in (0, 1) if results[i].requires_grad]

    def keep(outer: Sequence[Tensor | None]) -> None:
        found = dict(zip(followed, outer, strict=True))
        call.outer = [found.get(0), found.get(1)]

    if followed:
        register_multi_grad_hook([results[i] for i in followed], keep)
    return results


class _Guard(torch.autograd.Function):
    """The inputs that want gradients, as they are."""

    @staticmethod
    def forward(ctx: Any, call: _Call, wanted: list[bool], *inputs: Tensor | None) -> tuple[Tensor, ...]:
        ctx.call, ctx.wanted = call, wanted
        saving.keep(ctx, *inputs)
        return tuple([t.view_as(t) for t, is_wanted in zip(inputs, wanted, strict=True) if is_wanted and t is not None])

    @staticmethod
    def backward(ctx: Any, *found: Tensor | None) -> tuple[Any, ...]:
        call, wanted = ctx.call, ctx.wanted
        outer, call.outer = call.outer, [None, None]
        if not torch.is_grad_enabled():
            own = iter(found)
            return None, None, *(next(own) if is_wanted else None for is_wanted in wanted)
        warn_once(_REASONS)
        x, h_0, *weights = saving.kept(ctx)
        x_wanted, h_0_wanted, *rest = wanted
        inputs, asked = (x, h_0, None, *weights), (x_wanted, h_0_wanted, False, *rest)
        d_x, d_h_0, _, *others = reference.gradients(call.request, inputs, call.bounds, outer, asked)
        return None, None, d_x, d_h_0, *others
