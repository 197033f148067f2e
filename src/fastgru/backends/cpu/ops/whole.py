"""A computation of many operators as one function, for torch.func: its levels then cost once, not for every operator.

A batch is computed in pieces whose tensors stay in the caches. As a whole, each operator would need new memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_unflatten

from fastgru.backends import saving
from fastgru.backends.cpu.ops import calls
from fastgru.backends.cpu.ops.recurrence import keep, rule
from fastgru.call.request import Call

# Size of the largest tensors of a piece; around it, times differ little.
_PIECE_BYTES = 16 << 20


def run(compute: Callable[..., tuple[Tensor, ...]], call: Call, *parts: Sequence[Tensor | None]) -> tuple[Tensor, ...]:
    """`compute` on a call and on lists of tensors, for every model where there are many.

    Args:
        compute: takes the call of one model, and `parts`; it holds no tensors itself.
        call: of one model, or of many.
        parts: lists of tensors, likewise.
    """
    is_transformed = torch._C._are_functorch_transforms_active()
    is_of_many = calls.is_of_many_models(call)
    if not is_transformed and not is_of_many:
        return compute(call, *parts)
    leaves, structure = tree_flatten((call, *parts))
    places = [i for i, leaf in enumerate(leaves) if isinstance(leaf, Tensor)]
    blank = [None if isinstance(leaf, Tensor) else leaf for leaf in leaves]

    def direct(*tensors: Tensor) -> tuple[Tensor, ...]:
        filled = list(blank)
        for place, tensor in zip(places, tensors, strict=True):
            filled[place] = tensor
        return compute(*tree_unflatten(filled, structure))

    function = torch.vmap(direct) if is_of_many else direct
    tensors = [leaves[place] for place in places]
    if is_transformed:
        return _Whole.apply(function, calls.bytes_of_gates(call), *tensors)  # type: ignore[no-any-return, no-untyped-call]
    return function(*tensors)


class _Whole(torch.autograd.Function):
    @staticmethod
    def forward(function: Callable[..., tuple[Tensor, ...]], _: int, *tensors: Tensor) -> tuple[Tensor, ...]:
        return function(*tensors)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        ctx.function, _, *tensors = inputs
        keep(ctx, *tensors)

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> tuple[Tensor | None, ...]:
        function, values = _of_floating(ctx.function, saving.kept(ctx))
        _, back = torch.func.vjp(function, *values)  # type: ignore[misc]
        found = iter(back(outer))
        return None, None, *[next(found) if t.is_floating_point() else None for t in saving.kept(ctx)]

    @staticmethod
    @rule
    def jvp(ctx: Any, saved: list[Tensor], _: None, __: None, *given: Tensor | None) -> tuple[Tensor, ...]:
        function, values = _of_floating(ctx.function, saved)
        there = [d for d, t in zip(given, saved, strict=True) if t.is_floating_point()]
        moving = [torch.zeros_like(t) if d is None else d for d, t in zip(there, values, strict=True)]
        return torch.func.jvp(function, tuple(values), tuple(moving))[1]  # type: ignore[no-any-return]

    @staticmethod
    def vmap(info: Any, in_dims: Sequence[Any], function: Any, size: int, *tensors: Tensor) -> tuple[Any, Any]:
        piece = min(info.batch_size, max(1, _PIECE_BYTES // max(1, size)))
        batched = torch.vmap(function, in_dims=tuple(in_dims[2:]), chunk_size=piece)
        found = _Whole.apply(batched, size * info.batch_size, *tensors)  # type: ignore[no-untyped-call]
        return found, (0,) * len(found)


def _of_floating(function: Any, tensors: Sequence[Tensor]) -> tuple[Any, list[Tensor]]:
    """The function of those tensors alone that have derivatives."""

    def of(*values: Tensor) -> tuple[Tensor, ...]:
        left = iter(values)
        return function(*[next(left) if t.is_floating_point() else t for t in tensors])  # type: ignore[no-any-return]

    return of, [t for t in tensors if t.is_floating_point()]
