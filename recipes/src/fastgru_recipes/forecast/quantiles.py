"""Quantiles of forecasts: the pinball loss, and recalibration by recent errors."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import torch
from torch import Tensor


def pinball(forecast: Tensor, values: Tensor, shares: Sequence[float]) -> Tensor:
    """The pinball loss: q times the error for values above the forecast, 1 - q times the error for values below.

    Its minimum at level q is the q-quantile.

    Args:
        forecast: (..., Q).
        values: (...), the actual values.
        shares: the Q levels, such as 0.1, 0.5, 0.9.

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
    """Quantiles shifted by their recent errors, and sorted.

    A network is overconfident if the future differs from the training data. So the q-quantile of its recent errors is
    added to each q-quantile but the median, separately for each step of the horizon. This is conformal prediction
    (Romano et al. 2019) in a moving window. An origin uses only forecasts whose complete horizon lies before it.

    Args:
        forecast: (N, H, Q), from N consecutive origins.
        values: (M, H), the actual values after the first M origins, M <= N.
        shares: the Q levels.
        recent: the window has recent * H origins. With fewer than 2 * H origins nothing is shifted.

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
