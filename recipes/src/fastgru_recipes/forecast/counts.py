"""Whole numbers in the place of times, such as the numbers of rows: they count, and have no calendar."""

from __future__ import annotations

import re

import pandas as pd

LARGEST_COUNT = 10**12  # nanoseconds: counts are within a quarter of an hour of 1970, where no real times are


def counts(numbers: pd.Series) -> pd.Series:
    """Whole numbers that are no times as nanoseconds since 1970, NaT if too large. `told` shows them as numbers."""
    found = pd.to_datetime(numbers.where(numbers.abs() < LARGEST_COUNT), unit="ns", errors="coerce")
    return found.astype("datetime64[ns]")


def is_count(time: pd.Timestamp) -> bool:
    """Whether a time is a number that counts."""
    return time.unit == "ns" and time.tz is None and abs(time.value) < LARGEST_COUNT


def told(time: pd.Timestamp) -> str:
    """A time, or a number that counts, for messages.

    Example:
        >>> import pandas as pd
        >>> from fastgru_recipes.forecast.counts import counts, told
        >>> told(counts(pd.Series([7]))[0])
        '7'
    """
    return str(time.value) if is_count(time) else str(time)


def shown(times: pd.DatetimeIndex) -> pd.Index:
    """Times as users know them: numbers if they count."""
    return pd.Index(times.asi8) if len(times) and all(map(is_count, times[[0, -1]])) else times


def told_step(frequency: str) -> str:
    """The name of a frequency for messages: "step" and "5 steps" for numbers."""
    count, unit = re.fullmatch(r"(\d*)(.*)", frequency, re.DOTALL).groups()  # type: ignore[union-attr]
    return frequency if unit != "ns" else f"{count} steps" if count else "step"
