"""The mean loss of an epoch, over all batches and processes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric


class MeanLoss(Metric):
    """The sum of losses divided by the number of their terms, in 64 bits whatever the precision of the network.

    torchmetrics' MeanMetric multiplies in a precision that differs between a run and its continuation.

    Example:
        >>> import torch
        >>> from fastgru_recipes.training.mean_loss import MeanLoss
        >>> loss = MeanLoss()
        >>> loss.update(torch.tensor(6.0), 2)
        >>> loss.update(torch.tensor(1.0), 5)
        >>> loss.compute()
        tensor(1., dtype=torch.float64)
    """

    total: Tensor
    terms: Tensor

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        for name in ("total", "terms"):
            self.add_state(name, torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, total: Tensor, terms: int) -> None:
        """Adds a sum of losses, and how many they are."""
        self.total += total.detach().double()
        self.terms += terms

    def compute(self) -> Tensor:
        """The mean; NaN if there were no terms."""
        return self.total / self.terms
