"""The network of `forecast`: past (B, T, F) and future (B, horizon, K) in, quantiles (B, horizon, Q) out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from fastgru_recipes.recurrent_layers import recurrent, summary

if TYPE_CHECKING:
    from fastgru_recipes.forecast.recipe import Forecast


class ForecastNetwork(nn.Module):
    """Encoder of the past and head over the horizon."""

    def __init__(self, recipe: Forecast, past: int, future: int, series: int) -> None:
        super().__init__()
        self.horizon = recipe.horizon
        self.gru = recurrent(recipe.layer, past, recipe.hidden, num_layers=recipe.layers, dropout=recipe.dropout)
        self.dropout = nn.Dropout(recipe.dropout)
        self.series = nn.Embedding(series + 1, recipe.embedding, padding_idx=0) if recipe.embedding else None
        self.ahead = nn.Linear(recipe.hidden + recipe.embedding, recipe.horizon * recipe.width)
        self.head = nn.Sequential(
            nn.Linear(recipe.width + future, recipe.width), nn.ReLU(), nn.Linear(recipe.width, len(recipe.quantiles))
        )

    def forward(self, past: Tensor, future: Tensor, numbers: Tensor) -> Tensor:
        """(B, T, F) whose first feature is the scaled value, (B, horizon, K) and (B,), to quantiles (B, horizon, Q)."""
        _, state = self.gru(past)
        vector = self.dropout(summary(state))
        if self.series is not None:
            vector = torch.cat([vector, self.series(numbers)], -1)
        steps = self.ahead(vector).unflatten(1, (self.horizon, -1)).relu()
        changes: Tensor = self.head(torch.cat([steps, future], -1))
        # In order, so that quantiles never cross.
        return past[:, -1, :1, None] + changes.sort(-1).values
