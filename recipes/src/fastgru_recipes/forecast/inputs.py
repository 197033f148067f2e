"""The part of the forecaster's network that reads columns: numbers as they are, categories by learned vectors.

Inputs are tensors of numbers, of which the last ones are codes of categories. What is the same in all steps of a series
goes past the GRU: it reads what changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from fastgru_recipes.forecast.series_columns import Known

WIDEST = 16  # vector of a category
REPLACED = 0.05  # of the categories of training windows are replaced by "other", which so learns to be any of them


class Category(NamedTuple):
    """The number of values of a column of categories in the training part, and when they are known."""

    values: int
    known: Known


class Inputs(nn.Module):
    """What the network reads: of past steps, of future steps, and of the series.

    Attributes:
        past: features of a past step in the result.
        future: features of a future step in the result.
        static: features of a series in the result.

    Args:
        past: numbers of each past step, before the codes.
        future: numbers of each future step, before the codes.
        static: which of the numbers of a past step are the same in all steps of a series.
        categories: the columns of categories, in the order of their codes. The past has all of them, the future
            those that are known ahead.
    """

    def __init__(self, past: int, future: int, static: Sequence[int], categories: Sequence[Category]) -> None:
        super().__init__()
        self.numbers, self.numbers_ahead = past, future
        self.fixed, self.changing = [*static], [each for each in range(past) if each not in static]
        self.known = [each.known for each in categories]
        self.vectors = nn.ModuleList(nn.Embedding(each.values + 1, _width(each.values)) for each in categories)
        widths = {"past": 0, "ahead": 0, "static": 0}
        for each in categories:
            widths[each.known] += _width(each.values)
        self.past = len(self.changing) + widths["past"] + widths["ahead"]
        self.future = future + widths["ahead"]
        self.static = len(self.fixed) + widths["static"]

    def forward(self, past: Tensor, future: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Features of past steps (B, T, past), of future steps (B, H, future), and of series (B, static).

        Args:
            past: (B, T, numbers and codes).
            future: (B, H, numbers and codes of categories known ahead).
        """
        last = past[:, -1]
        if not self.fixed and not self.known:
            return past, future, last[:, :0]
        parts, ahead, static = [past[..., self.changing]], [future[..., : self.numbers_ahead]], [last[:, self.fixed]]
        place_ahead = self.numbers_ahead
        for place, (known, vectors) in enumerate(zip(self.known, self.vectors, strict=True), self.numbers):
            kept = self._kept(last)
            if known == "static":
                static.append(vectors((last[:, place] * kept).long()))
                continue
            parts.append(vectors((past[..., place] * kept[:, None]).long()))
            if known == "ahead":
                ahead.append(vectors((future[..., place_ahead] * kept[:, None]).long()))
                place_ahead += 1
        return torch.cat(parts, -1), torch.cat(ahead, -1), torch.cat(static, -1)

    def _kept(self, rows: Tensor) -> Tensor:
        """(B,): 1, or 0 for the windows of training whose category is replaced by "other", of code 0."""
        return (torch.rand(len(rows)) >= REPLACED).to(rows) if self.training else torch.ones_like(rows[:, 0])


def _width(values: int) -> int:
    """The size of the vectors of a column with so many values."""
    return min(WIDEST, values // 2 + 1)
