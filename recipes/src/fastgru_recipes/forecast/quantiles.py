"""Quantiles of a forecast: the loss that learns them, and shifting them by the errors of late."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
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
        >>> from fastgru_recipes.forecast.quantiles import pinball
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
    horizon, window = forecast.shape[1], recent * forecast.shape[1]
    shifted = forecast.clone()
    if window < 2 * horizon:
        return shifted.sort(-1).values
    errors = values[..., None] - forecast[: len(values)]
    for index, share in enumerate(shares):
        if share != 0.5:
            each = pd.DataFrame(errors[..., index].double().numpy()).reindex(range(len(forecast)))
            shifts = each.rolling(window, min_periods=2 * horizon).quantile(share).shift(horizon).fillna(0.0)
            shifted[..., index] += torch.tensor(shifts.to_numpy())
    return shifted.sort(-1).values
