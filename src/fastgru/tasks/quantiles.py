"""Quantiles of a forecast: the loss that learns them, and shifting them by the errors of late."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def pinball(forecast: Tensor, values: Tensor, shares: Sequence[float]) -> Tensor:
    """The loss whose minimum at share q is the q-quantile: q for each unit above it, 1 - q below.

    Args:
        forecast: (..., Q).
        values: (...), what came.
        shares: Q of them, such as 0.1, 0.5, 0.9.

    Returns:
        (..., Q).

    Example:
        >>> import torch
        >>> from fastgru.tasks.quantiles import pinball
        >>> pinball(torch.zeros(1), torch.tensor(2.0), (0.9,)), pinball(torch.zeros(1), torch.tensor(-2.0), (0.9,))
        (tensor([1.8000]), tensor([0.2000]))
    """
    error = values[..., None] - forecast
    share = torch.tensor(shares, dtype=forecast.dtype)
    return torch.maximum(share * error, (share - 1) * error)


def recalibrated(forecast: Tensor, values: Tensor, shares: Sequence[float], recent: int) -> Tensor:
    """Quantiles shifted by how far off they were of late, and in order.

    A network is too sure where the future differs from what it has learned from. So to each quantile but the median
    comes the same quantile of its own errors, step by step of the horizon: conformal prediction (Romano et al. 2019)
    that moves along with the series. An origin sees the errors of forecasts whose whole horizon had come by then, and
    nothing later.

    Args:
        forecast: (N, H, Q), from N origins that follow each other.
        values: (M, H), what came after the first M of them, M <= N.
        shares: Q of them.
        recent: how many times H origins back errors are looked at. With fewer than 2 H of them nothing is shifted.

    Returns:
        (N, H, Q).
    """
    horizon = forecast.shape[1]
    errors = values[..., None] - forecast[: len(values)]
    shifted = forecast.clone()
    for row in range(3 * horizon - 1, len(forecast)):
        seen = errors[max(0, row + 1 - (recent + 1) * horizon) : row + 1 - horizon]
        for index, share in enumerate(shares):
            if len(seen) >= 2 * horizon and share != 0.5:
                shifted[row, :, index] += seen[..., index].quantile(share, dim=0)
    return shifted.sort(-1).values
