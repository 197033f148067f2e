"""Time series for forecasting: reading them, checking that their times are whole, calendar columns."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import Tensor

from fastgru.errors import DataError
from fastgru.tasks import reading

Transform = Literal["none", "sqrt", "log"]

ONLY = "value"  # the name of a series that has none
DAY = pd.Timedelta(days=1)
# What a calendar column counts: the cycle's length, and where in it a time stands, from 0 to 1.
CYCLES = {
    "hour of day": (DAY, lambda t: (t - t.floor("D")) / DAY),
    "day of week": (7 * DAY, lambda t: t.day_of_week / 7),
    "day of year": (365.25 * DAY, lambda t: (t.day_of_year - 1) / 365.25),
}
SEASONS = {"h": 24, "min": 1440, "D": 7, "B": 5, "W": 52, "M": 12, "Q": 4, "Y": 1}


@dataclass(frozen=True)
class Columns:
    """Names of the columns that mean something.

    Attributes:
        time: of the times.
        series: of the series' names in a long table; need not be there.
        targets: of the values: one, or several of a wide table.
        covariates: known until the present.
        known: covariates that are known ahead.
    """

    time: str
    series: str
    targets: tuple[str, ...]
    covariates: tuple[str, ...]
    known: tuple[str, ...]


@dataclass(frozen=True)
class Series:
    """One series without gaps.

    Attributes:
        name: of the series.
        times: (T,), then as many of the future as `known` has rows.
        values: (T,).
        covariates: (T, C).
        known: (T + future rows, K).
        start: the first value that is to be forecast; before it is history. None: as early as the context allows.
    """

    name: str
    times: pd.DatetimeIndex
    values: NDArray[np.float64]
    covariates: NDArray[np.float64]
    known: NDArray[np.float64]
    start: int | None = None

    def until(self, end: int) -> Series:
        """The series as it was after `end` values."""
        return replace(
            self,
            times=self.times[:end],
            values=self.values[:end],
            covariates=self.covariates[:end],
            known=self.known[:end],
        )

    def ahead(self, steps: int, frequency: str) -> pd.DatetimeIndex:
        """The times of the next values."""
        return pd.date_range(self.times[len(self.values) - 1], periods=steps + 1, freq=frequency)[1:]


@dataclass(frozen=True)
class Panel:
    """Series of one frequency, as pandas names it."""

    series: tuple[Series, ...]
    frequency: str

    @property
    def season(self) -> int:
        """Steps after which such series tend to repeat: a day of hours, a week of days, a year of months."""
        offset = pd.tseries.frequencies.to_offset(self.frequency)
        name = offset.rule_code.split("-")[0]
        steps = next((steps for unit, steps in SEASONS.items() if name.rstrip("SE") == unit), 1)
        return max(1, steps // int(offset.n))


def read(path: Path, columns: Columns) -> Panel:
    """Series of a CSV, TSV or Parquet file.

    Raises:
        DataError: for columns, times or values that cannot be learned from, with file, line and column.
    """
    table = reading.table(path)
    table.index = table.index + 2  # lines of the file, after the names of the columns
    return from_table(table, columns, str(path))


def from_table(table: pd.DataFrame, columns: Columns, where: str) -> Panel:
    """Series of a table whose index tells the lines."""
    reading.require_columns(where, table, [columns.time, *columns.targets, *columns.covariates, *columns.known])
    if not len(table):
        raise DataError(f"{where} has no rows. Give at least one series.")
    times = pd.to_datetime(
        table[columns.time], errors="coerce", format="mixed" if table[columns.time].dtype == object else None
    )
    if (bad := table.index[times.isna()]).size:
        found = table[columns.time].loc[bad[0]]
        raise DataError(
            f"{where}, line {bad[0]}, column {columns.time!r}: {found!r} is no time such as 2024-01-31 17:00"
        )
    table = table.assign(**{columns.time: times})
    groups = table.groupby(columns.series, sort=False) if columns.series in table.columns else [(None, table)]
    several = len(columns.targets) > 1
    series, frequency = [], ""
    for name, rows in groups:
        for target in columns.targets:
            label = " ".join(str(part) for part in (name, target if several else None) if part is not None) or ONLY
            place = where if label == ONLY else f"{where}, series {label}"
            frequency = frequency or _frequency(rows, columns.time, place)
            series.append(_series(label, rows, target, columns, frequency, place))
    return Panel(tuple(series), frequency)


def _frequency(rows: pd.DataFrame, column: str, where: str) -> str:
    times = pd.DatetimeIndex(rows[column])
    _check_order(rows, times, where)
    for count in (len(times), 24, 12, 6, 3):  # a gap further on is found, and named, when times are compared
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that the answer will be an offset one day, which is taken too
            found = pd.infer_freq(times[:count]) if len(times) >= 3 else None
        if found:
            return str(getattr(found, "freqstr", found))
    raise DataError(
        f"{where}: times from line {rows.index[0]} on have no regular distance. Give one row each hour, day or month."
    )


def _check_order(rows: pd.DataFrame, times: pd.DatetimeIndex, where: str) -> None:
    step = np.diff(times.to_numpy())
    if (wrong := np.flatnonzero(step <= np.timedelta64(0))).size:
        line, time = rows.index[wrong[0] + 1], times[wrong[0] + 1]
        kind = "is there twice" if step[wrong[0]] == np.timedelta64(0) else f"comes after {times[wrong[0]]}"
        remedy = "Keep one of them, or name the column of the series" if "twice" in kind else "Sort the rows by time"
        raise DataError(f"{where}, line {line}: {time} {kind}. {remedy}.")


def _series(name: str, rows: pd.DataFrame, target: str, columns: Columns, frequency: str, where: str) -> Series:
    times = pd.DatetimeIndex(rows[columns.time])
    _check_order(rows, times, where)
    expected = pd.date_range(times[0], periods=len(times), freq=frequency)
    if expected[0] != times[0] or (gaps := np.flatnonzero(expected != times)).size:
        index = 0 if expected[0] != times[0] else int(gaps[0])
        raise DataError(
            f"{where}, line {rows.index[index]}: {times[index]} came where {expected[index]} was expected (a row each "
            f"{frequency}). Fill the gap, for example with DataFrame.asfreq and interpolate."
        )
    values = _numbers(rows, target, where)
    count = len(values)
    if columns.known:  # rows without a value at the end tell what is known of the future
        count = int(np.flatnonzero(~np.isnan(values)).max(initial=-1)) + 1
    for column, array in [(target, values[:count])] + [
        (c, _numbers(rows, c, where)[:count]) for c in columns.covariates
    ]:
        _require_finite(rows, column, array, where)
    for column in columns.known:
        _require_finite(rows, column, _numbers(rows, column, where), where)
    covariates = rows[list(columns.covariates)].to_numpy(np.float64)[:count]
    return Series(name, times, values[:count], covariates, rows[list(columns.known)].to_numpy(np.float64))


def _numbers(rows: pd.DataFrame, column: str, where: str) -> NDArray[np.float64]:
    numbers = pd.to_numeric(rows[column], errors="coerce")
    if (bad := rows.index[numbers.isna() & rows[column].notna()]).size:
        raise DataError(f"{where}, line {bad[0]}, column {column!r}: {rows[column].loc[bad[0]]!r} is no number.")
    array: NDArray[np.float64] = numbers.to_numpy(np.float64)
    return array


def _require_finite(rows: pd.DataFrame, column: str, values: NDArray[np.float64], where: str) -> None:
    if (bad := np.flatnonzero(~np.isfinite(values))).size:
        what = "is missing" if np.isnan(values[bad[0]]) else "is infinite"
        raise DataError(
            f"{where}, line {rows.index[bad[0]]}, column {column!r}: the value {what}. Fill it in, for example with "
            "DataFrame.interpolate."
        )


def transformed(each: Series, transform: Transform) -> NDArray[np.float64]:
    """Values of a series whose spread grows with them, made even."""
    if transform == "none":
        return each.values
    if (least := each.values.min()) < 0:
        raise DataError(f"series {each.name} has the value {least:g}: {transform} is for values that are not negative.")
    values: NDArray[np.float64] = np.sqrt(each.values) if transform == "sqrt" else np.log1p(each.values)
    return values


def restored(values: Tensor, transform: Transform) -> Tensor:
    """And back."""
    if transform == "none":
        return values
    return values.clamp(min=0) ** 2 if transform == "sqrt" else values.expm1().clamp(min=0)


def calendar(times: pd.DatetimeIndex, names: Sequence[str]) -> NDArray[np.float64]:
    """Where times stand in cycles, as points on circles: (T, 2 * names)."""
    angles = [2 * np.pi * np.asarray(CYCLES[name][1](times), np.float64) for name in names]
    return (
        np.stack([f(angle) for angle in angles for f in (np.sin, np.cos)], 1) if angles else np.zeros((len(times), 0))
    )


def cycles(panel: Panel) -> list[str]:
    """The cycles that calendar columns are made of: longer than a step, and seen at least twice."""
    longest = max(panel.series, key=lambda each: len(each.values)).times
    step = longest[1] - longest[0]
    return [name for name, (length, _) in CYCLES.items() if step < length <= (longest[-1] - longest[0]) / 2]


def moments(columns: NDArray[np.float64]) -> dict[str, list[float]]:
    """Mean and deviation of each column."""
    deviation = columns.std(0)
    return {"mean": columns.mean(0).tolist(), "deviation": np.where(deviation, deviation, 1).tolist()}


def standardized(columns: NDArray[np.float64], moments: dict[str, list[float]]) -> NDArray[np.float64]:
    """Columns less their means, by their deviations."""
    scaled: NDArray[np.float64] = (columns - np.array(moments["mean"])) / np.array(moments["deviation"])
    return scaled
