"""Batched gradients of `is_grads_batched=True` and `vectorize=True`, which use torch's older vmap.

These tensors have no memory and do not use the rules of Functions. If nothing follows, their values are unwrapped, and
the rules of `torch.func.vmap` are used.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

_is_batch = torch._C._functorch.is_legacy_batchedtensor
_Maybe = Tensor | None


def serves(tensors: Sequence[_Maybe]) -> bool:
    """Whether there are such batches, of one level, and autograd does not follow further."""
    if torch.is_grad_enabled() or torch._C._are_functorch_transforms_active() or _level() != 1:
        return False
    return any(t is not None and _is_batch(t) for t in tensors)


def _level() -> int:
    """The number of nested batches."""
    level = torch._C._vmapmode_increment_nesting() - 1
    torch._C._vmapmode_decrement_nesting()
    return level


def values(tensors: Sequence[_Maybe]) -> tuple[list[_Maybe], list[int | None]]:
    """The values with the batch dimension first, and the dimension: 0 for batches, None for others."""
    dims = [0 if t is not None and _is_batch(t) else None for t in tensors]
    found = [t if dim is None else torch._remove_batch_dim(t, 1, 1, 0) for t, dim in zip(tensors, dims, strict=True)]  # type: ignore[arg-type]
    return found, dims


def batches(found: Sequence[_Maybe]) -> list[_Maybe]:
    """Wraps values with the batch dimension first as batches."""
    return [None if t is None else torch._add_batch_dim(t, 0, 1) for t in found]


def through(run: Callable[[Sequence[_Maybe]], Sequence[_Maybe]], tensors: Sequence[_Maybe]) -> list[_Maybe]:
    """The results of `run` for every element of the batch."""
    given, dims = values(tensors)
    there: list[bool] = []

    def one(*given: _Maybe) -> tuple[Tensor, ...]:
        found = run(given)
        there[:] = [t is not None for t in found]
        return tuple([t for t in found if t is not None])

    found = iter(torch.func.vmap(one, in_dims=tuple(dims))(*given))
    return batches([next(found) if is_one else None for is_one in there])
