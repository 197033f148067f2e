"""The time series of the package; README.md in this folder gives source and licence."""

from __future__ import annotations

import csv
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray


def temperature() -> tuple[NDArray[np.datetime64], NDArray[np.float32]]:
    """Hourly air temperature at JFK airport, New York, in 2013.

    Returns:
        times (N,), datetime64[h] in UTC, hourly without gaps, and degrees Celsius (N,), float32. N = 8730.

    Example:
        >>> from fastgru.data import temperature
        >>> times, celsius = temperature()
        >>> len(times), str(times[0])
        (8730, '2013-01-01T06')
    """
    with files(__package__).joinpath("temperature.csv").open(encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    times = np.array([row["hour_utc"] for row in rows], dtype="datetime64[h]")
    return times, np.array([row["celsius"] for row in rows], dtype=np.float32)
