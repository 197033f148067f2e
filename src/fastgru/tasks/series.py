"""Time series for forecasting: reading them, checking that their times are whole."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.types import is_datetime64_any_dtype, is_float_dtype, is_integer_dtype

from fastgru.errors import DataError
from fastgru.tasks import reading

SERIES = "series"  # the column of names that need not be there
LARGEST = 1e30  # of values: squares of larger ones are no float32 any more
NUMBERS = {4: "%Y", 6: "%Y%m", 8: "%Y%m%d"}  # how times are written that are whole numbers, by the count of digits
OFFSET = r"[T ]\d\d.*(?:Z|UTC|GMT|[+\-]\d\d(?::?\d\d)?)$"  # how times end that tell their zone
SEMI_MONTHS = ("SMS", "SME")  # twice a month, which pandas knows but does not infer
SEASONS = {"h": 24, "min": 1440, "D": 7, "B": 5, "W": 52, "SM": 24, "M": 12, "Q": 4, "Y": 1}


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
        steps = SEASONS.get(re.sub("^B(?=[MQY])|[SE]$", "", name), 1)  # days of business, starts and ends
        return max(1, steps // int(offset.n))


def read(path: Path | str, columns: Columns) -> Panel:
    """Series of a CSV, TSV or Parquet file.

    Raises:
        DataError: for columns, times or values that cannot be learned from, with file, line and column.
    """
    return from_table(_flat(reading.table(path), columns), columns, str(path))


def from_frame(table: pd.DataFrame, columns: Columns) -> Panel:
    """Series of a table that is no file; its times, and the names of series, may be its index.

    Raises:
        DataError: as `read` does, naming rows from 1.
    """
    try:
        flat = _flat(table, columns)
        return from_table(flat.set_axis(range(1, len(flat) + 1)), columns, "the table")
    except DataError as error:
        raise DataError(str(error).replace(", line ", ", row ").replace(" from line ", " from row ")) from error


def _flat(table: pd.DataFrame, columns: Columns) -> pd.DataFrame:
    """A table whose times and names of series stand in columns; an index of other things stays."""
    index = table.index
    levels = [index.get_level_values(number) for number in range(index.nlevels)]
    is_time = [isinstance(level, (pd.DatetimeIndex, pd.PeriodIndex)) for level in levels]
    if columns.time in table.columns or not any(is_time):
        return table
    times = is_time.index(True)
    names = [level for number, level in enumerate(levels) if number != times]
    found = table.reset_index(drop=True)
    found.insert(0, columns.time, levels[times].to_numpy() if is_datetime64_any_dtype(levels[times]) else levels[times])
    if names and columns.series not in found.columns:
        found.insert(0, columns.series, ["/".join(map(str, parts)) for parts in zip(*names, strict=True)])
    return found


def from_table(table: pd.DataFrame, columns: Columns, where: str) -> Panel:
    """Series of a table whose index tells the lines."""
    reading.require_columns(where, table, [columns.time, *columns.targets, *columns.covariates, *columns.known])
    if columns.series not in table.columns and columns.series != SERIES:
        reading.require_columns(where, table, [columns.series])
    if not len(table):
        raise DataError(f"{where} has no rows. Give at least one series.")
    table = table.assign(**{columns.time: _times(table[columns.time], where)})
    if columns.series in table.columns and (bad := table.index[table[columns.series].isna()]).size:
        raise DataError(f"{where}, line {bad[0]}, column {columns.series!r}: the name of the series is missing.")
    groups = (
        table.groupby(table[columns.series].astype(str), sort=False)
        if columns.series in table.columns
        else [(None, table)]
    )
    several = len(columns.targets) > 1
    series, frequency = [], ""
    for name, rows in groups:
        for target in columns.targets:
            parts = [str(part) for part in (name, target if several else None) if part is not None]
            label = " ".join(parts) or target
            place = f"{where}, series {label}" if parts else where
            frequency = frequency or _frequency(rows, columns.time, place)
            series.append(_series(label, rows, target, columns, frequency, place))
    names = [each.name for each in series]
    if twice := [name for name in names if names.count(name) > 1]:
        raise DataError(f"{where} has two series {twice[0]!r}, from their names and columns. Rename one.")
    return Panel(tuple(series), frequency)


def _times(column: pd.Series, where: str) -> pd.Series:
    """Times of any type: times, periods, texts, and numbers such as 2024, 202401 and 20240131."""
    if isinstance(column.dtype, pd.PeriodDtype):
        return column.dt.to_timestamp()
    if is_datetime64_any_dtype(column):
        times = column
    elif is_integer_dtype(column):
        texts = column.astype(str)
        forms = [form for size, form in NUMBERS.items() if texts.str.fullmatch(rf"\d{{{size}}}").all()]
        times = pd.to_datetime(texts, format=forms[0], errors="coerce") if forms else pd.Series(pd.NaT, column.index)
    elif is_float_dtype(column) and column.notna().any():
        times = pd.Series(pd.NaT, column.index)
    else:
        times = _written(column, where)
    if (bad := column.index[times.isna()]).size:
        found = column.loc[bad[0]]
        shown = "an empty field" if pd.isna(found) else repr(found) if isinstance(found, str) else found
        raise DataError(f"{where}, line {bad[0]}, column {column.name!r}: {shown} is no time such as 2024-01-31 17:00.")
    return times


def _written(column: pd.Series, where: str) -> pd.Series:
    """Times that are written as texts, day and month in one order everywhere; NaT for what is none."""
    texts = column.astype("str").str.strip()
    found = pd.to_datetime(texts, errors="coerce", format="ISO8601", utc=True)
    if (rest := texts[found.isna()]).size:
        found = found.where(found.notna(), _ordered(rest, where).reindex(found.index))
    tells = texts[found.notna()].str.contains(OFFSET)
    if tells.any() and not tells.all():
        line = tells.index[tells != tells.iloc[0]][0]
        raise DataError(
            f"{where}, line {line}, column {column.name!r}: of {texts.loc[line]!r} and {texts.loc[tells.index[0]]!r} "
            "before it one tells its zone, and the other does not. Write all times in UTC, such as 2024-01-31T17:00Z."
        )
    return found if tells.any() else found.dt.tz_localize(None)


def _ordered(texts: pd.Series, where: str) -> pd.Series:
    """Times that are not in the order of ISO 8601: the one order of day and month that suits all."""
    day_first, month_first = (
        pd.to_datetime(texts, errors="coerce", format="mixed", dayfirst=dayfirst, utc=True)
        for dayfirst in (True, False)
    )
    pairs = texts.str.extract(r"^(\d{1,2})[./\- ](\d{1,2})[./\- ]\d").astype(float)
    is_day_first, is_month_first = (bool((pairs[side] > 12).any()) for side in (0, 1))
    unclear = texts.index[(day_first != month_first) & day_first.notna()]
    if unclear.size and is_day_first == is_month_first:
        raise DataError(
            f"{where}, line {unclear[0]}, column {texts.name!r}: {texts.loc[unclear[0]]!r} may be two days, with the "
            "day or the month first. Write 2024-01-31."
        )
    no_date = ~texts.str.contains(r"\d{4}|\d+\D+\d+\D+\d", na=False)  # 17:00, or Jan, would be of today
    return (day_first if is_day_first else month_first).mask(no_date)


def _frequency(rows: pd.DataFrame, column: str, where: str) -> str:
    times = pd.DatetimeIndex(rows[column])
    _check_order(rows, times, where)
    if len(times) < 3:
        raise DataError(f"{where}: {len(times)} rows are too few to see how far apart they are. Give three or more.")
    for offset in SEMI_MONTHS:
        if (pd.date_range(times[0], periods=len(times), freq=offset) == times).all():
            return offset
    # Where there is a gap, a part without one tells; the gap is named when times are compared.
    for part in (times, *(some for count in (24, 12, 6, 3) for some in (times[:count], times[-count:]))):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that the answer will be an offset one day, which is taken too
            found = pd.infer_freq(part) if len(part) >= 3 else None
        if found:
            return str(getattr(found, "freqstr", found))
    raise DataError(
        f"{where}: times from line {rows.index[0]} on have no regular distance. Give one row each hour, day or month."
    )


def _check_order(rows: pd.DataFrame, times: pd.DatetimeIndex, where: str) -> None:
    step = np.diff(times.asi8)
    if (wrong := np.flatnonzero(step <= 0)).size:
        line, time = rows.index[wrong[0] + 1], times[wrong[0] + 1]
        kind = "is there twice" if step[wrong[0]] == 0 else f"comes after {times[wrong[0]]}"
        remedy = (
            f"{'Keep one of them' if 'twice' in kind else 'Sort the rows by time'}, or name the column of the series"
        )
        raise DataError(f"{where}, line {line}: {time} {kind}. {remedy}.")


def require_frequency(each: Series, frequency: str) -> None:
    """Raises where a series steps in another way than those of training; a few days of work may look like any days."""
    expected = pd.date_range(each.times[0], periods=len(each.times), freq=frequency)
    if (expected != pd.DatetimeIndex(each.times)).any():  # of whatever unit
        raise DataError(
            f"series {each.name} goes from {each.times[0]} to {each.times[1]}; training had a row each {frequency}. "
            "Bring it to the same times, for example with DataFrame.resample."
        )


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
    if rows[column].dtype.kind in "cmM":
        raise DataError(f"{where}, column {column!r} holds {rows[column].dtype}. Give real numbers.")
    numbers = pd.to_numeric(rows[column], errors="coerce")
    if (bad := rows.index[numbers.isna() & rows[column].notna()]).size:
        raise DataError(f"{where}, line {bad[0]}, column {column!r}: {rows[column].loc[bad[0]]!r} is no number.")
    array: NDArray[np.float64] = numbers.to_numpy(np.float64)
    return array


def _require_finite(rows: pd.DataFrame, column: str, values: NDArray[np.float64], where: str) -> None:
    if (bad := np.flatnonzero(~(np.abs(values) < LARGEST))).size:
        what = "is missing" if np.isnan(values[bad[0]]) else f"is larger than {LARGEST:g}"
        raise DataError(
            f"{where}, line {rows.index[bad[0]]}, column {column!r}: the value {what}. Fill it in, for example with "
            "DataFrame.interpolate."
        )


def begun(panel: Panel, context: int, horizon: int) -> Panel:
    """The same with a first origin in each series, as early as the context allows.

    Raises:
        DataError: for a series that is too short.
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
