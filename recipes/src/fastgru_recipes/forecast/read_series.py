"""Reading of time series, with checks that their times are regular and their values complete."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.types import is_integer_dtype

from fastgru_recipes import numerals, read_table
from fastgru_recipes.errors import DataError, FilledWarning
from fastgru_recipes.forecast import calendars, categories, counts, read_times, regular_times, time_zones, wide_tables
from fastgru_recipes.forecast.series_columns import SeriesColumns
from fastgru_recipes.option_names import given, named
from fastgru_recipes.read_table import USUAL, TableFormat

VALUE = "value"  # the default column of values
SERIES = "series"  # the default column of names, which is optional
LARGEST_VALUE = 1e30  # of values: squares of larger ones overflow float32
STEP = "step"  # the column of rows that were numbered


@dataclass(frozen=True)
class Series:
    """A time series without gaps.

    Attributes:
        name: the name of the series.
        times: (T,), followed by the future times for which `known` has rows.
        values: (T,).
        covariates: (T, C).
        known: (T + future rows, K).
        categories: (T + future rows, C), as texts.
        start: the index of the first value to forecast; earlier ones are history. None: as early as the context allows.
    """

    name: str
    times: pd.DatetimeIndex
    values: NDArray[np.float64]
    covariates: NDArray[np.float64]
    known: NDArray[np.float64]
    categories: NDArray[np.str_]
    start: int | None = None

    def until(self, end: int) -> Series:
        """The first `end` values of the series."""
        return replace(
            self,
            times=self.times[:end],
            values=self.values[:end],
            covariates=self.covariates[:end],
            known=self.known[:end],
            categories=self.categories[:end],
        )

    def ahead(self, steps: int, frequency: str) -> pd.DatetimeIndex:
        """The times of the next `steps` values; `counts.shown` makes them those that users know."""
        return calendars.steps(self.times[len(self.values) - 1], steps + 1, frequency)[1:]


@dataclass(frozen=True)
class Panel:
    """Series of one frequency, given by pandas' name or as days of months, such as "month on day 15"."""

    series: tuple[Series, ...]
    frequency: str

    @property
    def season(self) -> int:
        """The usual season of the frequency in steps: a day of hours, a week of days, a year of months."""
        return calendars.season(self.frequency)


def read(path: Path | str, columns: SeriesColumns, how: TableFormat = USUAL) -> Panel:
    """Reads series from a CSV, TSV, JSON lines or Parquet file.

    Raises:
        DataError: for columns, times or values that cannot be used, with file, line and column.
    """
    table = read_table.table(path, how, texts=[columns.series, *columns.categories], as_written=[columns.time])
    return from_table(_flat(table, columns), columns, str(path))


def from_frame(table: pd.DataFrame, columns: SeriesColumns) -> Panel:
    """Reads series from a DataFrame. Times and names of series may be in its index.

    Raises:
        DataError: like `read`, with row numbers from 1.
    """
    try:
        table = read_table.one_level("the table", table)
        flat = _flat(table, columns)
        if table.shape[1] == 1 and columns.time in flat and columns.time not in table and columns.targets == (VALUE,):
            flat = flat.rename(columns={table.columns[0]: VALUE})  # the only other column, whatever its name
        flat, columns = wide_tables.long(flat.set_axis(range(1, len(flat) + 1)), columns, "the table")
        if is_integer_dtype(table.index.dtype):
            flat, columns = _with_times(flat, columns, table.index.to_numpy())
        return from_table(flat, columns, "the table")
    except DataError as error:
        raise DataError(str(error).replace(", line ", ", row ").replace(" from line ", " from row ")) from error


def _flat(table: pd.DataFrame, columns: SeriesColumns) -> pd.DataFrame:
    """The table with times and names of series as columns. An index of something else is kept."""
    index = table.index
    levels = [index.get_level_values(number) for number in range(index.nlevels)]
    is_time = [isinstance(each, (pd.DatetimeIndex, pd.PeriodIndex)) or each.name == columns.time for each in levels]
    if columns.time in table.columns or not any(is_time):
        return table
    times = is_time.index(True)
    names = [level for number, level in enumerate(levels) if number != times]
    found = table.reset_index(drop=True)
    found.insert(0, columns.time, levels[times])
    if names and columns.series not in found.columns:
        found.insert(0, columns.series, ["/".join(map(str, parts)) for parts in zip(*names, strict=True)])
    return found


def from_table(table: pd.DataFrame, columns: SeriesColumns, where: str) -> Panel:
    """Reads series from a table whose index has the line numbers."""
    table, columns = wide_tables.long(table, columns, where)
    table, columns = _with_times(table, columns)
    read_table.require_columns(where, table, [columns.time, *columns.values], _time_hint())
    if columns.series not in table.columns and columns.series not in ("", SERIES):
        read_table.require_columns(where, table, [columns.series])
    if not len(table):
        raise DataError(f"{where} has no rows. Give at least one series.")
    table = table.copy(deep=False)
    if columns.series in table.columns and (bad := table.index[table[columns.series].isna()]).size:
        raise DataError(f"{where}, line {bad[0]}, column {columns.series!r}: the name of the series is missing.")
    names = table[columns.series].astype(str) if columns.series in table.columns else None
    times = read_times.read(table[columns.time], where)
    if columns.zone and len(times) and counts.is_count(times.iloc[0]):
        raise DataError(f"{where}: times are numbers that count, and have no zone. Leave out the zone.")
    table[columns.time] = time_zones.localized(times, names, columns.zone, where) if columns.zone else times
    return _panel([(None, table)] if names is None else list(table.groupby(names, sort=False)), columns, where)


def _with_times(
    table: pd.DataFrame, columns: SeriesColumns, numbers: NDArray[np.int64] | None = None
) -> tuple[pd.DataFrame, SeriesColumns]:
    """The table with numbers as times, by default those of rows, if no other column may hold its times."""
    if columns.time in table.columns:
        return table, columns
    named = {columns.series, *columns.values}
    if columns.time and not ({*table.columns} <= named and {*columns.targets} <= {*table.columns}):
        return table, columns
    if numbers is None:
        groups = table[columns.series].astype(str) if columns.series in table.columns else [0] * len(table)
        numbers = table.groupby(groups, sort=False).cumcount().to_numpy()
    name = STEP
    while name in table.columns:
        name = f"{name} "
    table = table.copy(deep=False)
    table[name] = numbers
    return table, replace(columns, time=name)


def _panel(groups: Sequence[tuple[Any, pd.DataFrame]], columns: SeriesColumns, where: str) -> Panel:
    longest, rows = max(groups, key=lambda group: len(group[1]))
    place = where if longest is None else f"{where}, series {longest}"
    frequency = regular_times.frequency(rows, columns.time, place, columns.fill != "none")
    several = len(columns.targets) > 1
    series, filled = [], 0
    for name, rows in groups:
        for target in columns.targets:
            parts = [str(part) for part in (name, target if several else None) if part is not None]
            label = " ".join(parts) or target
            place = f"{where}, series {label}" if parts else where
            whole, count = _whole(rows, target, columns, frequency, place)
            series.append(_series(label, whole, target, columns, place))
            filled += count
    names = [each.name for each in series]
    if twice := [name for name in names if names.count(name) > 1]:
        raise DataError(f"{where} has two series {twice[0]!r}, from their names and columns. Rename one.")
    if filled:
        warnings.warn(
            FilledWarning(f"{where}: values that were missing and are filled ({columns.fill}): {filled}."), stacklevel=4
        )
    return Panel(tuple(series), frequency)


def _whole(
    rows: pd.DataFrame, target: str, columns: SeriesColumns, frequency: str, where: str
) -> tuple[pd.DataFrame, int]:
    """The rows of a series, checked, with numbers in its columns of numbers; and how many of them were filled."""
    needed = [target, *columns.covariates, *columns.known]
    regular_times.check_order(rows, columns.time, where)
    if columns.fill == "none":
        regular_times.check_steps(rows, columns.time, frequency, where)
    rows = rows.assign(**{column: _numbers(rows, column, where) for column in needed})
    if columns.fill == "none":
        return rows, 0
    found, count = regular_times.filled(rows, columns.time, needed, frequency, columns.fill, where)
    return found.assign(**{column: found[column].ffill() for column in columns.categories}), count


def require_frequency(each: Series, frequency: str) -> None:
    """Raises if a series has another frequency than the training data. A few business days may look like any days."""
    if not calendars.has(frequency, each.times):
        raise DataError(
            f"series {each.name} goes from {counts.told(each.times[0])} to {counts.told(each.times[1])}; training had "
            f"a row each {counts.told_step(frequency)}. "
            "Convert it to the same frequency, for example with DataFrame.resample."
        )


def _series(name: str, rows: pd.DataFrame, target: str, columns: SeriesColumns, where: str) -> Series:
    times = pd.DatetimeIndex(rows[columns.time])
    values = rows[target].to_numpy(np.float64)
    count = len(values)
    if columns.reach_ahead:  # rows without a value at the end give the known future
        count = int(np.flatnonzero(~np.isnan(values)).max(initial=-1)) + 1
    for column in (target, *columns.covariates):
        _require_finite(rows[:count], column, where)
    for column in columns.known:
        _require_finite(rows, column, where)
    covariates = rows[list(columns.covariates)].to_numpy(np.float64)[:count]
    known = rows[list(columns.known)].to_numpy(np.float64)
    return Series(
        name, times, values[:count], covariates, known, categories.read(rows, columns.categorical, count, where)
    )


def _numbers(rows: pd.DataFrame, column: str, where: str) -> NDArray[np.float64]:
    if rows[column].dtype.kind in "cmM":
        raise DataError(f"{where}, column {column!r} holds {rows[column].dtype}. Give real numbers.")
    numbers = pd.to_numeric(rows[column], errors="coerce")
    if (bad := rows.index[numbers.isna() & ~numerals.is_missing(rows[column])]).size:
        found = rows[column].loc[bad[0]]
        raise DataError(
            f"{where}, line {bad[0]}, column {column!r}: {found!r} is not a number.{numerals.remedy(found)}"
        )
    array: NDArray[np.float64] = numbers.to_numpy(np.float64)
    return array


def _time_hint() -> str:
    columns = f"Name the column of times with {named('time')}, and that of values with {named('target')}"
    return f"{columns}; {given('time', '')} numbers the rows."


def _require_finite(rows: pd.DataFrame, column: str, where: str) -> None:
    values = rows[column].to_numpy(np.float64)
    if (bad := np.flatnonzero(~(np.abs(values) < LARGEST_VALUE))).size:
        place = f"{where}, line {rows.index[bad[0]]}, column {column!r}: the value"
        if not np.isnan(values[bad[0]]):
            raise DataError(f"{place} is larger than {LARGEST_VALUE:g}. Correct it, or divide the column by a number.")
        raise DataError(
            f"{place} is missing. Fill it in, for example with DataFrame.interpolate, or let gaps be filled: "
            f"{given('fill', 'linear')}."
        )


def begun(panel: Panel, context: int, horizon: int) -> Panel:
    """The panel with a first origin in each series: `start`, or as early as the context allows.

    Raises:
        DataError: if a series is too short.
    """
    found = []
    for each in panel.series:
        start = context if each.start is None else each.start
        if not context <= start <= len(each.values) - horizon:
            raise DataError(
                f"series {each.name} has {min(start, len(each.values))} values of history and "
                f"{max(0, len(each.values) - start)} to forecast; the context of {context} and the horizon of "
                f"{horizon} need more."
            )
        found.append(replace(each, start=start))
    return replace(panel, series=tuple(found))
