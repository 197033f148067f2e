"""Weights of the forecaster that are computed and not trained: the linear path, its quantiles, the share of the GRU."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from fastgru_recipes.forecast import linear_path
from fastgru_recipes.forecast.network import ForecastNetwork, moments

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)  # of the GRU's changes
FEW = 2.0  # horizons of validation data on which the share is halved
DOUBT = 1.0  # of the gain on one horizon of validation data; on n of them it is an nth of that


def start(model: nn.Module, series: Sequence[NDArray[np.float64]], season: int, quantiles: Sequence[float]) -> None:
    """Sets the linear path, and the quantiles of its errors in deviations of the window. The GRU counts in full."""
    assert isinstance(model, ForecastNetwork)
    set_share(model, 1.0)  # an earlier training may have left less
    set_linear_path(model, series, season)
    context, horizon = model.linear.in_features, model.horizon
    known = linear_path.windows(series, context, horizon, linear_path.ALL, 0, linear_path.MOST_WINDOWS)
    past, ahead = (torch.from_numpy(each).to(model.spread.dtype) for each in known)
    with torch.no_grad():
        errors = (ahead - model.linear(past)) / moments(past)[1]
        shares = torch.tensor(quantiles, dtype=errors.dtype)
        model.spread.copy_(torch.quantile(errors, shares, 0).T)
        model.spread[:, list(quantiles).index(0.5)] = 0


def set_linear_path(model: nn.Module, series: Sequence[NDArray[np.float64]], season: int) -> None:
    """Fits the linear path to these values, each (T_i,), scaled as the network reads them."""
    assert isinstance(model, ForecastNetwork)
    weights = linear_path.fitted(series, model.linear.in_features, model.horizon, season)
    with torch.no_grad():
        model.linear.weight.copy_(torch.from_numpy(weights.T))


def set_share(model: nn.Module, share: float) -> None:
    """Sets how much of the GRU's changes counts."""
    assert isinstance(model, ForecastNetwork)
    model.share.fill_(share)


def choose_share(model: nn.Module, error: Callable[[float], float], horizons: float) -> None:
    """Sets the share of the least error on validation data, reduced where these are few.

    It is 0 unless the gain is larger than chance makes it.

    Args:
        model: the network.
        error: the error on validation data with a share.
        horizons: how many horizons the validation part of a series has, without overlap. The same data have chosen the
            best epoch, so a gain on few of them says little; and so do many series at the same times.
    """
    errors = {share: error(share) for share in SHARES}
    best = min(errors, key=lambda share: errors[share])
    worth = 1 - DOUBT / max(1.0, horizons)
    set_share(model, best * horizons / (horizons + FEW) if errors[best] < worth * errors[0.0] else 0.0)
