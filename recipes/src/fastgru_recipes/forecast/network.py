"""The network of `forecast`: it maps past (B, T, F) and future (B, horizon, K) to quantiles (B, horizon, Q).

    values (B, T) -> a fixed weighted sum -> forecast (B, horizon)                                the linear path
    the same, also minus mean and divided by deviation of the window, and the other features
        -> GRU -> h_n, with mean, deviation and what is static -> one vector per future step
        -> with its calendar and known columns -> changes of each quantile

The changes are in deviations of the window, and 0 at first: the network starts where the linear path is. Windows are
normalized one by one (RevIN, Kim et al. 2022, without learned scales), so that levels may drift.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fastgru_recipes.dropout import Dropout
from fastgru_recipes.forecast.inputs import Inputs
from fastgru_recipes.recurrent_layers import RecurrentOptions, recurrent, summary

LEAST_DEVIATION = 0.05  # of a window, in deviations of its series: flat windows would divide by 0


class ForecastNetwork(nn.Module):
    """A linear path, and a GRU whose head writes changes of its forecast.

    Attributes:
        linear: the linear path: weights (horizon, context), which training does not change.
        share: how much of the GRU's changes counts, from 0 to 1.
        spread: (horizon, Q), the quantiles of the errors of the linear path.

    Args:
        layer: options of the recurrent layer.
        context: past steps, T.
        inputs: what it reads of each past step, each future step, and each series.
        series: number of series that may have an embedding.
        embedding: size of the embedding of a series; 0 for none.
        horizon: steps to forecast.
        width: size of the vector of each future step.
        quantiles: how many quantiles to write, Q.
    """

    spread: Tensor
    share: Tensor

    def __init__(
        self,
        layer: RecurrentOptions,
        *,
        context: int,
        inputs: Inputs,
        series: int,
        embedding: int,
        horizon: int,
        width: int,
        quantiles: int,
    ) -> None:
        super().__init__()
        self.horizon = horizon
        self.linear = nn.Linear(context, horizon, bias=False).requires_grad_(False)
        self.inputs = inputs
        self.gru = recurrent(layer, 1 + inputs.past)
        self.dropout = Dropout(layer.dropout)
        self.series = nn.Embedding(series + 1, embedding, padding_idx=0) if embedding else None
        self.ahead = nn.Linear(layer.hidden + 2 + embedding + inputs.static, horizon * width)
        last = nn.Linear(width, quantiles)
        self.head = nn.Sequential(nn.Linear(width + inputs.future, width), nn.ReLU(), last)
        self.register_buffer("spread", torch.zeros(horizon, quantiles))
        self.register_buffer("share", torch.ones(()))
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def forward(self, past: Tensor, future: Tensor, numbers: Tensor) -> Tensor:
        """Quantiles (B, horizon, Q), sorted along the last dimension.

        Args:
            past: (B, T, F), whose first feature is the scaled value.
            future: (B, horizon, K).
            numbers: (B,), the number of each series.
        """
        values = past[..., 0]
        mean, deviation = moments(values)
        past, future, static = self.inputs(past, future)
        normalized = torch.cat([(values[..., None] - mean[:, None]) / deviation[:, None], past], -1)
        _, state = self.gru(normalized)
        parts = [self.dropout(summary(state)), mean, deviation.log(), static]
        if self.series is not None:
            parts.append(self.series(numbers))
        steps = self.ahead(torch.cat(parts, -1)).unflatten(1, (self.horizon, -1)).relu()
        changes: Tensor = self.share * self.head(torch.cat([steps, future], -1)) + self.spread
        # Sorted, so that quantiles never cross.
        forecast: Tensor = self.linear(values)[..., None]
        return forecast + deviation[..., None] * changes.sort(-1).values


def moments(values: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each window (B, T): (B, 1) and (B, 1)."""
    deviation = values.std(1, correction=0, keepdim=True).clamp_min(LEAST_DEVIATION)
    return values.mean(1, keepdim=True), deviation
