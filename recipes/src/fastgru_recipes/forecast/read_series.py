"""Reading of time series, with checks that their times are regular and their values complete."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.types import is_datetime64_any_dtype, is_float_dtype, is_integer_dtype

from fastgru_recipes import numerals, read_table
from fastgru_recipes.errors import DataError
from fastgru_recipes.forecast import calendars
from fastgru_recipes.read_table import USUAL, TableFormat

VALUE = "value"  # the default column of values
SERIES = "series"  # the default column of names, which is optional
LARGEST_VALUE = 1e30  # of values: squares of larger ones overflow float32
NUMBERS = {4: "%Y", 6: "%Y%m", 8: "%Y%m%d"}  # formats of times that are integers, by their number of digits
OFFSET = r"[T ]\d\d.*(?:Z|UTC|GMT|[+\-]\d\d(?::?\d\d)?)$"  # the end of a time with a zone


@dataclass(frozen=True)
class SeriesColumns:
    """Names of the columns with a meaning.

    Attributes:
        time: the column of times.
        series: the column of series names in a long table, which is optional; empty if that name means something else.
        targets: the column of values, or several columns of a wide table.
        covariates: columns known up to the present.
        known: columns known in advance.
    """

    time: str
    series: str
    targets: tuple[str, ...]
    covariates: tuple[str, ...]
    known: tuple[str, ...]


@dataclass(frozen=True)
class Series:
    """A time series without gaps.

    Attributes:
        name: the name of the series.
        times: (T,), followed by the future times for which `known` has rows.
        values: (T,).
        covariates: (T, C).
        known: (T + future rows, K).
        start: the index of the first value to forecast; earlier ones are history. None: as early as the context allows.
    """

    name: str
    times: pd.DatetimeIndex
    values: NDArray[np.float64]
    covariates: NDArray[np.float64]
    known: NDArray[np.float64]
    start: int | None = None

    def until(self, end: int) -> Series:
        """The first `end` values of the series."""
        return replace(
            self,
            times=self.times[:end],
            values=self.values[:end],
            covariates=self.covariates[:end],
            known=self.known[:end],
        )

    def ahead(self, steps: int, frequency: str) -> pd.DatetimeIndex:
        """The times of the next `steps` values."""
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
    table = read_table.table(path, how, texts=[columns.series], as_written=[columns.time])
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
        return from_table(flat.set_axis(range(1, len(flat) + 1)), columns, "the table")
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
    read_table.require_columns(where, table, [columns.time, *columns.targets, *columns.covariates, *columns.known])
    if columns.series not in table.columns and columns.series not in ("", SERIES):
        read_table.require_columns(where, table, [columns.series])
    if not len(table):
        raise DataError(f"{where} has no rows. Give at least one series.")
    table = table.copy(deep=False)
    table[columns.time] = _times(table[columns.time], where)
    if columns.series in table.columns and (bad := table.index[table[columns.series].isna()]).size:
        raise DataError(f"{where}, line {bad[0]}, column {columns.series!r}: the name of the series is missing.")
    groups: list[tuple[Any, pd.DataFrame]] = [(None, table)]
    if columns.series in table.columns:
        groups = list(table.groupby(table[columns.series].astype(str), sort=False))
    longest, rows = max(groups, key=lambda group: len(group[1]))
    frequency = _frequency(rows, columns.time, where if longest is None else f"{where}, series {longest}")
    several = len(columns.targets) > 1
    series = []
    for name, rows in groups:
        for target in columns.targets:
            parts = [str(part) for part in (name, target if several else None) if part is not None]
            label = " ".join(parts) or target
            place = f"{where}, series {label}" if parts else where
            series.append(_series(label, rows, target, columns, frequency, place))
    names = [each.name for each in series]
    if twice := [name for name in names if names.count(name) > 1]:
        raise DataError(f"{where} has two series {twice[0]!r}, from their names and columns. Rename one.")
    return Panel(tuple(series), frequency)


def _times(column: pd.Series, where: str) -> pd.Series:
    """Converts times, periods, texts, and integers such as 2024, 202401 and 20240131 to times."""
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
        raise DataError(
            f"{where}, line {bad[0]}, column {column.name!r}: {shown} is not a time such as 2024-01-31 17:00."
        )
    return times


def _written(column: pd.Series, where: str) -> pd.Series:
    """Parses texts, with one order of day and month for all of them; NaT for texts that are not times."""
    texts = column.astype("str").str.strip()
    found = pd.to_datetime(texts, errors="coerce", format="ISO8601", utc=True)
    if (rest := texts[found.isna()]).size:
        found = found.where(found.notna(), _ordered(rest, where).reindex(found.index))
    tells = texts[found.notna()].str.contains(OFFSET)
    if tells.any() and not tells.all():
        line = tells.index[tells != tells.iloc[0]][0]
        raise DataError(
            f"{where}, line {line}, column {column.name!r}: of {texts.loc[line]!r} and {texts.loc[tells.index[0]]!r} "
            "before it one has a time zone, and the other does not. Write all times in UTC, such as 2024-01-31T17:00Z."
        )
    return found if tells.any() else found.dt.tz_localize(None)


def _ordered(texts: pd.Series, where: str) -> pd.Series:
    """Parses texts that are not ISO 8601, with the one order of day and month that fits all of them."""
    day_first, month_first = (
        pd.to_datetime(texts, errors="coerce", format="mixed", dayfirst=dayfirst, utc=True)
        for dayfirst in (True, False)
    )
    pairs = texts.str.extract(r"^(\d{1,2})[./\- ](\d{1,2})[./\- ]\d").astype(float)
    is_day_first, is_month_first = (bool((pairs[side] > 12).any()) for side in (0, 1))
    unclear = texts.index[(day_first != month_first) & day_first.notna()]
    if unclear.size and is_day_first == is_month_first:
        raise DataError(
            f"{where}, line {unclear[0]}, column {texts.name!r}: {texts.loc[unclear[0]]!r} is ambiguous: the day or "
            "the month may come first. Write 2024-01-31."
        )
    no_date = ~texts.str.contains(
        r"\d{4}|\d+\D+\d+\D+\d", na=False
    )  # 17:00 or Jan would be completed with today's date
    return (day_first if is_day_first else month_first).mask(no_date)


def _frequency(rows: pd.DataFrame, column: str, where: str) -> str:
    times = pd.DatetimeIndex(rows[column])
    _check_order(rows, times, where)
    if len(times) < 3:
        raise DataError(f"{where}: {len(times)} rows are too few to infer the frequency. Give three or more.")
    # If there is a gap, a part without one shows the frequency. The gap is reported when times are compared.
    for part in (times, *(some for count in (24, 12, 6, 3) for some in (times[:count], times[-count:]))):
        if found := calendars.find_frequency(part):
            return found
    steps = np.diff(times.asi8)
    index = int(np.flatnonzero(steps != steps[0])[0]) + 1
    _check_clocks(rows, times, where)
    shown = ", ".join(str(time) for time in times[max(0, index - 2) : index + 2])
    raise DataError(
        f"{where}, line {rows.index[index]}: times are not regular: {shown}. Give one row for each hour or day, "
        "or for the same day of each month."
    )


def _check_order(rows: pd.DataFrame, times: pd.DatetimeIndex, where: str) -> None:
    step = np.diff(times.asi8)
    if not (wrong := np.flatnonzero(step <= 0)).size:
        return
    index = int(wrong[0]) + 1
    _check_clocks(rows, times, where)
    is_twice = times[index] == times[index - 1]
    kind = "appears twice" if is_twice else f"comes after {times[index - 1]}"
    remedy = "keep one row, or their mean" if is_twice else "sort the rows by time"
    raise DataError(
        f"{where}, line {rows.index[index]}: {times[index]} {kind}. If the rows belong to several series, name the "
        f"column of series names; else {remedy}."
    )


def _check_clocks(rows: pd.DataFrame, times: pd.DatetimeIndex, where: str) -> None:
    """Raises if local times cross a change of clocks: then no row is extra, and none is missing."""
    if (found := calendars.change_of_clocks(times)) is None:
        return
    before, after = times[found.after - 1], times[found.after]
    local = after.tz_localize(found.zone, ambiguous=False)
    what, remedy, other = (
        ("repeat an hour", "Keep both rows", "extra") if found.is_back else ("skip an hour", "Add no row", "missing")
    )
    raise DataError(
        f"{where}, line {rows.index[found.after]}: {after} follows {before}, as at a change of clocks (for example in "
        f"{found.zone}), where local times {what}. {remedy}: write all times in UTC, such as "
        f"{local.tz_convert('UTC').isoformat()}, or with their offset, {local.isoformat()}; in pandas "
        f"times.dt.tz_localize({found.zone!r}, ambiguous='infer'). If these are not local times, a row is {other}."
    )


def require_frequency(each: Series, frequency: str) -> None:
    """Raises if a series has another frequency than the training data. A few business days may look like any days."""
    if not calendars.has(frequency, each.times):
        raise DataError(
            f"series {each.name} goes from {each.times[0]} to {each.times[1]}; training had a row each {frequency}. "
            "Convert it to the same frequency, for example with DataFrame.resample."
        )


def _series(name: str, rows: pd.DataFrame, target: str, columns: SeriesColumns, frequency: str, where: str) -> Series:
    times = pd.DatetimeIndex(rows[columns.time])
    _check_order(rows, times, where)
    _check_steps(rows, times, frequency, where)
    values = _numbers(rows, target, where)
    count = len(values)
    if columns.known:  # rows without a value at the end give the known future
        count = int(np.flatnonzero(~np.isnan(values)).max(initial=-1)) + 1
    for column, array in [(target, values[:count])] + [
        (c, _numbers(rows, c, where)[:count]) for c in columns.covariates
    ]:
        _require_finite(rows, column, array, where)
    for column in columns.known:
        _require_finite(rows, column, _numbers(rows, column, where), where)
    covariates = rows[list(columns.covariates)].to_numpy(np.float64)[:count]
    return Series(name, times, values[:count], covariates, rows[list(columns.known)].to_numpy(np.float64))


def _check_steps(rows: pd.DataFrame, times: pd.DatetimeIndex, frequency: str, where: str) -> None:
    """Raises for the first time that does not follow the frequency."""
    expected = calendars.steps(times[0], len(times), frequency)
    if not (wrong := np.flatnonzero(expected != times)).size:
        return
    index = int(wrong[0])
    _check_clocks(rows, times, where)
    if times[index] not in calendars.steps(expected[index], 1000, frequency):
        remedy = "Write the time of each row like the others, or convert all to equal steps with DataFrame.resample"
    elif calendars.is_of_pandas(frequency):
        remedy = "Fill the gap, for example with DataFrame.asfreq and interpolate"
    else:
        remedy = "Fill the gap: add a row for each time that is missing"
    raise DataError(
        f"{where}, line {rows.index[index]}: {times[index]} was found where {expected[index]} was expected (a row each "
        f"{frequency}). {remedy}."
    )


def _numbers(rows: pd.DataFrame, column: str, where: str) -> NDArray[np.float64]:
    if rows[column].dtype.kind in "cmM":
        raise DataError(f"{where}, column {column!r} holds {rows[column].dtype}. Give real numbers.")
    numbers = pd.to_numeric(rows[column], errors="coerce")
    if (bad := rows.index[numbers.isna() & rows[column].notna()]).size:
        found = rows[column].loc[bad[0]]
        raise DataError(
            f"{where}, line {bad[0]}, column {column!r}: {found!r} is not a number.{numerals.remedy(found)}"
        )
    array: NDArray[np.float64] = numbers.to_numpy(np.float64)
    return array


def _require_finite(rows: pd.DataFrame, column: str, values: NDArray[np.float64], where: str) -> None:
    if (bad := np.flatnonzero(~(np.abs(values) < LARGEST_VALUE))).size:
        what = "is missing" if np.isnan(values[bad[0]]) else f"is larger than {LARGEST_VALUE:g}"
        raise DataError(
            f"{where}, line {rows.index[bad[0]]}, column {column!r}: the value {what}. Fill it in, for example with "
            "DataFrame.interpolate."
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
