"""What a node of autograd keeps, without gaps: programs that look at `saved_tensors` take each for a tensor."""

from __future__ import annotations

from collections.abc import Container, Iterator
from typing import Any

from torch import Tensor


def keep(ctx: Any, *tensors: Tensor | None) -> None:
    """Saves those that are there for the backward pass, and remembers where they stood."""
    ctx.is_there = [tensor is not None for tensor in tensors]
    ctx.save_for_backward(*[tensor for tensor in tensors if tensor is not None])


def kept(ctx: Any, needed: Container[int] | None = None) -> list[Any]:
    """What `keep` was given.

    Args:
        ctx: of the node.
        needed: places whose tensors must be as they were; torch's error tells of one that was written to since. Others
            are given as they are now. None: all are needed.
    """
    saved = iter(ctx.saved_tensors if needed is None else _one_by_one(ctx, needed))
    return [next(saved) if is_there else None for is_there in ctx.is_there]


def _one_by_one(ctx: Any, needed: Container[int]) -> Iterator[Tensor]:
    places = (place for place, is_there in enumerate(ctx.is_there) if is_there)
    for place, one in zip(places, ctx._raw_saved_tensors, strict=True):
        yield one.unpack() if place in needed else one.data
