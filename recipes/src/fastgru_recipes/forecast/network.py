"""The network of `forecast`: it maps past (B, T, F) and future (B, horizon, K) to quantiles (B, horizon, Q)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fastgru_recipes.recurrent_layers import RecurrentOptions, recurrent, summary


class ForecastNetwork(nn.Module):
    """An encoder of the past, and a head that writes the horizon.

    Args:
        layer: options of the recurrent layer.
        past: features of each past step, F.
        future: features of each future step, K.
        series: number of series that may have an embedding.
        embedding: size of the embedding of a series; 0 for none.
        horizon: steps to forecast.
        width: size of the vector of each future step.
        quantiles: how many quantiles to write, Q.
    """

    def __init__(
        self,
        layer: RecurrentOptions,
        *,
        past: int,
        future: int,
        series: int,
        embedding: int,
        horizon: int,
        width: int,
        quantiles: int,
    ) -> None:
        super().__init__()
        self.horizon = horizon
        self.gru = recurrent(layer, past)
        self.dropout = nn.Dropout(layer.dropout)
        self.series = nn.Embedding(series + 1, embedding, padding_idx=0) if embedding else None
        self.ahead = nn.Linear(layer.hidden + embedding, horizon * width)
        self.head = nn.Sequential(nn.Linear(width + future, width), nn.ReLU(), nn.Linear(width, quantiles))

    def forward(self, past: Tensor, future: Tensor, numbers: Tensor) -> Tensor:
        """Quantiles (B, horizon, Q), sorted along the last dimension.

        Args:
            past: (B, T, F), whose first feature is the scaled value.
            future: (B, horizon, K).
            numbers: (B,), the number of each series.
        """
        _, state = self.gru(past)
        vector = self.dropout(summary(state))
        if self.series is not None:
            vector = torch.cat([vector, self.series(numbers)], -1)
        steps = self.ahead(vector).unflatten(1, (self.horizon, -1)).relu()
        changes: Tensor = self.head(torch.cat([steps, future], -1))
        # Sorted, so that quantiles never cross.
        return past[:, -1, :1, None] + changes.sort(-1).values
