"""Second derivatives for torch's operator on cuDNN, whose backward pass cannot be differentiated.

Inputs pass through an identity node, whose backward pass runs after that of the operator. If a graph
of the gradients is requested (`create_graph=True`), the node returns the reference's gradients, which autograd can
differentiate.
Results are the operator's own, and so is all memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import register_multi_grad_hook

from fastgru.backends import reference, saving
from fastgru.backends.base import warn_once
from fastgru.call.request import Call, Request

Run = Callable[[Request, Call], tuple[Tensor, Tensor]]
_REASONS: dict[str, str | None] = {
    "cpu": "the core runs on the CPU",
    "aten": "cuDNN's backward pass cannot be differentiated",
}


class _Kept:
    """What stays of a call but its tensors; in a backward pass also the gradients of its results."""

    def __init__(self, request: Request, call: Call) -> None:
        self.request, self.blank = request, call.with_inputs(*[None] * len(call.inputs))
        self.outer: list[Tensor | None] = [None, None]


def run(operator: Run, request: Request, call: Call) -> tuple[Tensor, Tensor]:
    """Output and h_n of `operator`, whose gradients can be differentiated."""
    inputs = call.inputs
    wanted = [t is not None and t.requires_grad for t in inputs]
    kept = _Kept(request, call)
    passed = iter(_Guard.apply(kept, wanted, *inputs))  # type: ignore[no-untyped-call]
    own: list[Any] = [next(passed) if is_wanted else t for t, is_wanted in zip(inputs, wanted, strict=True)]
    results = operator(request, call.with_inputs(*own))
    followed = [i for i in (0, 1) if results[i].requires_grad]

    def keep(outer: Sequence[Tensor | None]) -> None:
        found = dict(zip(followed, outer, strict=True))
        kept.outer = [found.get(0), found.get(1)]

    if followed:
        register_multi_grad_hook([results[i] for i in followed], keep)
    return results


class _Guard(torch.autograd.Function):
    """The inputs that want gradients, as they are."""

    @staticmethod
    def forward(ctx: Any, kept: _Kept, wanted: list[bool], *inputs: Tensor | None) -> tuple[Tensor, ...]:
        ctx.kept, ctx.wanted = kept, wanted
        saving.keep(ctx, *inputs)
        return tuple([t.view_as(t) for t, is_wanted in zip(inputs, wanted, strict=True) if is_wanted and t is not None])

    @staticmethod
    def backward(ctx: Any, *found: Tensor | None) -> tuple[Any, ...]:
        kept, wanted = ctx.kept, ctx.wanted
        outer, kept.outer = kept.outer, [None, None]
        if not torch.is_grad_enabled():
            own = iter(found)
            return None, None, *(next(own) if is_wanted else None for is_wanted in wanted)
        warn_once(_REASONS)
        call = kept.blank.with_inputs(*saving.kept(ctx))
        return None, None, *reference.gradients(kept.request, call, outer, wanted)
