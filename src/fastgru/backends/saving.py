"""Saving of tensors in an autograd node without None, because some programs expect only tensors."""

from __future__ import annotations

from collections.abc import Container, Iterator
from typing import Any

import torch
from torch import Tensor

_READS_ONE = hasattr(torch._C._autograd.SavedTensor, "unpack")


def keep(ctx: Any, *tensors: Tensor | None) -> None:
    """Saves the tensors for the backward pass, and the positions of None."""
    gaps = tuple([place for place, tensor in enumerate(tensors) if tensor is None])
    keep_all(ctx, gaps, *[tensor for tensor in tensors if tensor is not None])


def keep_all(ctx: Any, gaps: tuple[int, ...], *tensors: Tensor) -> None:
    """The same, if the positions of None are known."""
    ctx.gaps = gaps
    ctx.save_for_backward(*tensors)


def kept(ctx: Any, needed: Container[int] | None = None) -> list[Any]:
    """The arguments of `keep`.

    Args:
        ctx: of the node.
        needed: places whose tensors must be as they were; torch's error tells of one that was written to since. Others
            are given as they are now. None: all are needed, as they are before torch 2.7, which reads all or none.
    """
    saved: list[Any] = list(_one_by_one(ctx, needed) if needed is not None and _READS_ONE else ctx.saved_tensors)
    for gap in ctx.gaps:
        saved.insert(gap, None)
    return saved


def _one_by_one(ctx: Any, needed: Container[int]) -> Iterator[Tensor]:
    own = ctx._raw_saved_tensors
    places = [place for place in range(len(own) + len(ctx.gaps)) if place not in ctx.gaps]
    for place, one in zip(places, own, strict=True):
        yield one.unpack() if place in needed else one.data
