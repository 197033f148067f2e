"""Standardization of columns to mean 0 and standard deviation 1."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

ROUNDING = 16 * float(np.finfo(np.float64).eps)  # relative to the values: smaller differences are rounding


def moments(tables: Sequence[NDArray[np.float64]]) -> dict[str, list[float]]:
    """Mean and standard deviation of each column over all tables (T_i, C)."""
    columns = np.concatenate(tables)
    return {"mean": columns.mean(0).tolist(), "deviation": deviation(columns).tolist()}


def deviation(columns: NDArray[np.float64]) -> NDArray[np.float64]:
    """Standard deviation of each column of (T, C); 1 for columns that are constant up to rounding."""
    spread, size = np.ptp(columns, 0), np.abs(columns).max(0)
    return np.where(spread > ROUNDING * size, columns.std(0), 1.0)


def standardized(columns: NDArray[np.float64], moments: dict[str, list[float]]) -> NDArray[np.float64]:
    """Columns (T, C) minus their means, divided by their standard deviations."""
    scaled: NDArray[np.float64] = (columns - np.array(moments["mean"])) / np.array(moments["deviation"])
    return scaled
