"""Regular times: the frequency of rows, errors for the first row that breaks it, and filling of gaps on request."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
import pandas as pd

from fastgru_recipes.errors import DataError
from fastgru_recipes.forecast import calendars
from fastgru_recipes.forecast.counts import told, told_step
from fastgru_recipes.option_names import given

Fill = Literal["none", "previous", "linear", "zero"]
MOST_FILLED = 20  # rows that may be filled for each row that is there; more gaps mean another frequency


def frequency(rows: pd.DataFrame, column: str, where: str, may_have_gaps: bool) -> str:
    """The frequency of the times in a column, by pandas' name or as days of months.

    A gap does not hide it: a part without one shows the frequency, and `check_steps` names the gap.

    Raises:
        DataError: for times that are not regular, with the line.
    """
    times = pd.DatetimeIndex(rows[column])
    check_order(rows, column, where)
    if len(times) < 3:
        few = "1 row is" if len(times) == 1 else f"{len(times)} rows are"
        raise DataError(f"{where}: {few} too few to infer the frequency. Give three or more.")
    first = None
    for part in _parts(times, may_have_gaps):
        found = calendars.find_frequency(part)
        if found and (not may_have_gaps or _fits(found, times)):
            return found
        first = first or found
    if may_have_gaps and (found := _common_step(times)):
        return found
    if first:
        return first
    steps = np.diff(times.asi8)
    index = int(np.flatnonzero(steps != steps[0])[0]) + 1
    _check_clocks(rows, times, where)
    shown = ", ".join(told(time) for time in times[max(0, index - 2) : index + 2])
    raise DataError(
        f"{where}, line {rows.index[index]}: times are not regular: {shown}. Give one row for each hour or day, "
        "or for the same day of each month."
    )


def _parts(times: pd.DatetimeIndex, may_have_gaps: bool) -> Iterator[pd.DatetimeIndex]:
    yield times
    for count in (24, 12, 6, 3):
        yield from (times[:count], times[-count:])
    if may_have_gaps:
        for count in (12, 6, 4):
            starts = range(0, len(times) - count, max(1, len(times) // 50))
            yield from (times[start : start + count] for start in starts)


def _fits(frequency: str, times: pd.DatetimeIndex) -> bool:
    """Whether all times are of a frequency, with gaps that are not too many."""
    whole = _until(times, frequency)
    return whole is not None and bool(times.isin(whole).all())


def _common_step(times: pd.DatetimeIndex) -> str | None:
    """The largest step that divides all distances between times."""
    step = int(np.gcd.reduce(np.diff(times.asi8)))
    found = pd.tseries.frequencies.to_offset(pd.Timedelta(step, times.unit))
    return found.freqstr if found is not None and _fits(found.freqstr, times) else None


def _until(times: pd.DatetimeIndex, frequency: str) -> pd.DatetimeIndex | None:
    """All times of a frequency from the first to the last one; None if they are too many."""
    count = len(times) + 1
    while (found := calendars.steps(times[0], count, frequency))[-1] < times[-1]:
        if count > MOST_FILLED * len(times):
            return None
        count *= 2
    return found[found <= times[-1]]


# ---- errors


def check_order(rows: pd.DataFrame, column: str, where: str) -> None:
    """Raises for the first time that is not after the one before it."""
    times = pd.DatetimeIndex(rows[column])
    step = np.diff(times.asi8)
    if not (wrong := np.flatnonzero(step <= 0)).size:
        return
    index = int(wrong[0]) + 1
    _check_clocks(rows, times, where)
    is_twice = times[index] == times[index - 1]
    kind = "appears twice" if is_twice else f"comes after {told(times[index - 1])}"
    remedy = "keep one row, or their mean" if is_twice else "sort the rows by time"
    raise DataError(
        f"{where}, line {rows.index[index]}: {told(times[index])} {kind}. If the rows belong to several series, name "
        f"the column of series names; else {remedy}."
    )


def check_steps(rows: pd.DataFrame, column: str, frequency: str, where: str) -> None:
    """Raises for the first time that does not follow the frequency."""
    times = pd.DatetimeIndex(rows[column])
    expected = calendars.steps(times[0], len(times), frequency)
    if not (wrong := np.flatnonzero(expected != times)).size:
        return
    index = int(wrong[0])
    _check_clocks(rows, times, where)
    if times[index] not in calendars.steps(expected[index], 1000, frequency):
        remedy = "Write the time of each row like the others, or convert all to equal steps with DataFrame.resample"
    else:
        by_hand = ", for example with DataFrame.asfreq and interpolate" if calendars.is_of_pandas(frequency) else ""
        remedy = f"Fill the gap{by_hand or ': add a row for each time that is missing'}, or let gaps be filled: "
        remedy += given("fill", "linear")
    raise DataError(
        f"{where}, line {rows.index[index]}: {told(times[index])} was found where {told(expected[index])} was expected "
        f"(a row each {told_step(frequency)}). {remedy}."
    )


def _check_clocks(rows: pd.DataFrame, times: pd.DatetimeIndex, where: str) -> None:
    """Raises if local times cross a change of clocks: then no row is extra, and none is missing."""
    if (found := calendars.change_of_clocks(times)) is None:
        return
    before, after = times[found.after - 1], times[found.after]
    local, zone = after.tz_localize(found.zone, ambiguous=False), given("zone", found.zone)
    what, remedy, other = (
        ("repeat an hour", "Keep both rows", "extra") if found.is_back else ("skip an hour", "Add no row", "missing")
    )
    raise DataError(
        f"{where}, line {rows.index[found.after]}: {after} follows {before}, as at a change of clocks (for example in "
        f"{found.zone}), where local times {what}. {remedy}: name the zone with {zone}, or write all "
        f"times in UTC, such as {local.tz_convert('UTC').isoformat()}, or with their offset, {local.isoformat()}; in "
        f"pandas times.dt.tz_localize({found.zone!r}, ambiguous='infer'). If these are not local, a row is {other}."
    )


# ---- filling


def filled(
    rows: pd.DataFrame, column: str, values: Sequence[str], frequency: str, how: Fill, where: str
) -> tuple[pd.DataFrame, int]:
    """The rows with one for each time of the frequency, and no missing values between two that are there.

    Args:
        rows: the rows of one series, in the order of their times.
        column: the column of times.
        values: the columns of numbers.
        frequency: of the times.
        how: "previous" repeats the value before a gap, "linear" draws a line across it, and "zero" writes 0.
        where: the file, for messages.

    Returns:
        The rows, of which the new ones have the line of the next row, and the number of values that were filled.

    Raises:
        DataError: for a time that is not of the frequency.
    """
    times = pd.DatetimeIndex(rows[column])
    whole = _until(times, frequency)
    if whole is None or not times.isin(whole).all():
        check_steps(rows, column, frequency, where)
        raise DataError(f"{where}: more than {MOST_FILLED} rows are missing for each that is there. Resample the data.")
    found = rows.set_index(times).reindex(whole)
    before = found[list(values)].isna().sum().sum()
    for name in values:
        inside = found[name].bfill().notna() & found[name].ffill().notna()
        drawn = {"previous": found[name].ffill, "linear": lambda name=name: found[name].interpolate("linear")}
        fills = drawn[how]() if how in drawn else found[name].fillna(0.0)
        found[name] = found[name].where(~inside, fills)
    lines = pd.Series(rows.index, times).reindex(whole).bfill()
    found[column] = whole
    return found.set_axis(lines.to_numpy()), int(before - found[list(values)].isna().sum().sum())
