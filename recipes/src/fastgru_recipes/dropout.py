"""Dropout whose masks do not depend on the number of processes that share a batch.

The mask of a batch is drawn for all of its examples, from the seed, the epoch and the batch; each process takes the
rows of its own examples. It is drawn step by step, so that padding, which may be shorter in a process, changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Rows(NamedTuple):
    """Which examples of a batch a process has: every `step`-th one from `first`, of `whole` examples."""

    whole: int
    first: int = 0
    step: int = 1


class _Draws:
    """The masks of one batch, one after the other."""

    def __init__(self, seed: int, rows: Rows) -> None:
        self.generator, self.rows = torch.Generator().manual_seed(seed), rows

    def mask(self, values: Tensor, keep: float) -> Tensor:
        """Ones with probability `keep`, and zeros, for values (B, ...) or (B, T, ...)."""
        whole, first, step = self.rows
        batch, *others = values.shape
        steps = others[:-1] or [1]
        generator = torch.Generator().manual_seed(int(torch.randint(2**62, (), generator=self.generator)))
        every = torch.empty(*steps, whole, others[-1], dtype=values.dtype).bernoulli_(keep, generator=generator)
        own = every[..., first::step, :][..., :batch, :].movedim(-2, 0)
        return own if len(others) > 1 else own[:, 0]


_draws: ContextVar[_Draws | None] = ContextVar("masks of the batch that is trained on", default=None)


@contextmanager
def masks(seed: int, rows: Rows | None) -> Iterator[None]:
    """Inside the block, the masks are those of the examples `rows` of a batch. None: any masks.

    Example:
        >>> import torch
        >>> from fastgru_recipes.dropout import Dropout, Rows, masks
        >>> layer, batch = Dropout(0.5), torch.ones(4, 3, 8)
        >>> with masks(seed=7, rows=Rows(4)):
        ...     whole = layer(batch)
        >>> with masks(seed=7, rows=Rows(4, first=1, step=2)):
        ...     half = layer(batch[1::2, :2])
        >>> torch.equal(half, whole[1::2, :2])
        True
    """
    token = _draws.set(None if rows is None else _Draws(seed, rows))
    try:
        yield
    finally:
        _draws.reset(token)


class Dropout(nn.Module):
    """Zeroes elements of (B, ...) in training, and scales the others by 1 / (1 - rate).

    Args:
        rate: the probability of zeroing an element.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, values: Tensor) -> Tensor:
        if not self.training or self.rate in (0.0, 1.0) or (draws := _draws.get()) is None:
            return F.dropout(values, self.rate, self.training)
        return values * draws.mask(values, 1 - self.rate).div_(1 - self.rate)

    def extra_repr(self) -> str:
        """For `print`."""
        return f"rate={self.rate}"
