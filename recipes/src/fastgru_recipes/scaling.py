"""Columns of numbers, scaled to mean 0 and deviation 1."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

ROUNDING = 16 * float(np.finfo(np.float64).eps)  # of values: what they differ by less is rounding


def moments(tables: Sequence[NDArray[np.float64]]) -> dict[str, list[float]]:
    """Mean and deviation of each column of all tables together."""
    columns = np.concatenate(tables)
    return {"mean": columns.mean(0).tolist(), "deviation": deviation(columns).tolist()}


def deviation(columns: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of each column (T, C); 1 where it is constant but for rounding, so that nothing is divided by that."""
    spread, size = np.ptp(columns, 0), np.abs(columns).max(0)
    return np.where(spread > ROUNDING * size, columns.std(0), 1.0)


def standardized(columns: NDArray[np.float64], moments: dict[str, list[float]]) -> NDArray[np.float64]:
    """Columns less their means, by their deviations."""
    scaled: NDArray[np.float64] = (columns - np.array(moments["mean"])) / np.array(moments["deviation"])
    return scaled
