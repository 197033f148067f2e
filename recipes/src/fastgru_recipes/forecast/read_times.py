"""Reading of times: texts in many forms, years, quarters, weeks, seconds since 1970, whole numbers that only count."""

from __future__ import annotations

import re
from datetime import datetime

import pandas as pd
from pandas.api.types import is_datetime64_any_dtype, is_float_dtype, is_integer_dtype

from fastgru_recipes.errors import DataError
from fastgru_recipes.forecast import counts, month_names

# Formats of times that are integers, by their number of digits.
NUMBERS = {4: "%Y", 6: "%Y%m", 8: "%Y%m%d", 10: "%Y%m%d%H", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
SECONDS = re.compile(r"\d{9,10}\.\d+")  # since 1970, with a fraction
YEARS = range(1500, 2201)  # of such times; others count
# Times since 1970 by their number of digits: the times from 1973 to 2286, which 8 and fewer digits do not reach.
EPOCHS = {9: "s", 10: "s", 12: "ms", 13: "ms", 15: "us", 16: "us", 18: "ns", 19: "ns"}
OFFSET = r"[T ]\d\d.*(?:Z|UTC|GMT|[+\-]\d\d(?::?\d\d)?)$"  # the end of a time with a zone
QUARTER = re.compile(r"(?:(\d{4})[\s\-./]?Q([1-4])|Q([1-4])[\s\-./]?(\d{4}))", re.IGNORECASE)  # 1970 Q1, Q1/1970
WEEK = re.compile(r"(\d{4})-?W(\d\d)(?:-?([1-7]))?", re.IGNORECASE)  # of ISO 8601: 2021-W05, 2021W053
# Of calendars: KW 5 2021, W5/2021, 2021 week 5, 5. KW 2021.
NAMED_WEEK = re.compile(
    r"(?:(?:KW|W|week)\s?(\d\d?)|(\d\d?)\. ?KW)[\s\-./,]+(\d{4})|(\d{4})[\s\-./,]*(?:KW|week)\s?(\d\d?)", re.IGNORECASE
)
MONTH = re.compile(r"(\d{4})[\s\-./]?M(\d\d?)", re.IGNORECASE)  # 2021M05
EXAMPLES = "2024-01-31 17:00, 2024-01-31, 2024-01, 2024, 2024-Q1 or 2024-W05"


def read(column: pd.Series, where: str) -> pd.Series:
    """Converts times, periods, texts and numbers to times.

    Args:
        column: times or periods of pandas; texts; numbers such as 2024, 202401, 20240131, seconds, milli-, micro- or
            nanoseconds since 1970, or whole numbers that only count, which become nanoseconds (see `counts.counts`).
        where: the file, for messages.

    Returns:
        Times, in UTC if they have a zone or count from 1970, and without a zone otherwise. The first day stands for a
        year, quarter or month, and Monday for a week.

    Raises:
        DataError: for the first value that is not a time, or is ambiguous, with its line.
    """
    if (empty := column.index[column.isna()]).size:
        raise _no_time(column, empty[0], "an empty field", where)
    if isinstance(column.dtype, pd.PeriodDtype):
        return column.dt.to_timestamp()
    if is_datetime64_any_dtype(column):
        return column
    if (numbers := _whole(column)) is not None:
        times = _of_numbers(numbers)
    elif all(SECONDS.fullmatch(text) for text in column.astype("str")):
        times = pd.to_datetime((column.astype("float64") * 1e6).round().astype("int64"), unit="us", utc=True)
    elif is_float_dtype(column):
        times = pd.Series(pd.NaT, column.index)
    else:
        times = _written(column, where)
    if (bad := column.index[times.isna()]).size:
        found = column.loc[bad[0]]
        raise _no_time(column, bad[0], repr(found) if isinstance(found, str) else str(found), where)
    return times


def _no_time(column: pd.Series, line: object, found: str, where: str) -> DataError:
    return DataError(
        f"{where}, line {line}, column {column.name!r}: {found} is not a time such as 2024-01-31 17:00. Write all "
        f"times in one form: {EXAMPLES}, seconds since 1970, or whole numbers.{month_names.hint(found)}"
    )


# ---- numbers


def _whole(column: pd.Series) -> pd.Series | None:
    """The column as integers; None if it has other values."""
    if is_integer_dtype(column):
        return column.astype("int64")
    if is_float_dtype(column):
        return column.astype("int64") if ((column % 1 == 0) & (column.abs() < 2**53)).all() else None
    texts = column.astype("str").str.strip()
    if not len(texts) or not texts.str.fullmatch(r"-?\d{1,19}(\.0+)?").all():
        return None
    texts = texts.str.replace(r"\.0+$", "", regex=True)
    return pd.Series([min(int(text), 2**63 - 1) for text in texts], column.index, dtype="int64", name=column.name)


def _of_numbers(numbers: pd.Series) -> pd.Series:
    size = len(str(numbers.iloc[0])) if len(numbers) else 0
    texts = numbers.astype(str)
    if size in NUMBERS:
        dates = pd.to_datetime(texts, format=NUMBERS[size], errors="coerce")
        dates = dates.where((texts.str.len() == size) & dates.dt.year.isin(YEARS))
        if 2 * dates.notna().sum() > len(dates):  # of numbers that count, few are dates
            return dates
    if size in EPOCHS and numbers.min() > 0 and texts.str.len().isin([size, size + 1]).all():
        return pd.to_datetime(numbers, unit=EPOCHS[size], utc=True)
    return counts.counts(numbers)


# ---- texts


def _written(column: pd.Series, where: str) -> pd.Series:
    """Parses texts, with one order of day and month for all of them; NaT for texts that are not times."""
    texts = column.astype("str").str.strip()
    if (periods := _periods(texts)).notna().any():
        return periods
    found = pd.to_datetime(texts, errors="coerce", format="ISO8601", utc=True)
    if (rest := month_names.in_english(texts[found.isna()])).size:
        found = found.where(found.notna(), _ordered(rest, where).reindex(found.index))
    tells = texts[found.notna()].str.contains(OFFSET)
    if tells.any() and not tells.all():
        line = tells.index[tells != tells.iloc[0]][0]
        raise DataError(
            f"{where}, line {line}, column {column.name!r}: of {texts.loc[line]!r} and {texts.loc[tells.index[0]]!r} "
            "before it one has a time zone, and the other does not. Write all times in UTC, such as 2024-01-31T17:00Z."
        )
    return found if tells.any() else found.dt.tz_localize(None)


def _periods(texts: pd.Series) -> pd.Series:
    """The first days of quarters, weeks and months in forms that pandas does not read; NaT for other texts."""
    return pd.Series([_period(text) for text in texts], texts.index, dtype="datetime64[us]")


def _period(text: str) -> datetime | None:
    try:
        if found := QUARTER.fullmatch(text):
            year, quarter = found[1] or found[4], found[2] or found[3]
            return datetime(int(year), 3 * int(quarter) - 2, 1)
        if found := WEEK.fullmatch(text):
            return datetime.fromisocalendar(int(found[1]), int(found[2]), int(found[3] or 1))
        if found := NAMED_WEEK.fullmatch(text):
            return datetime.fromisocalendar(int(found[3] or found[4]), int(found[1] or found[2] or found[5]), 1)
        if found := MONTH.fullmatch(text):
            return datetime(int(found[1]), int(found[2]), 1)
    except ValueError:  # week 53 of a year that has 52, month 13
        return None
    return None


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
    # 17:00 or Jan would be completed with today's date.
    no_date = ~texts.str.contains(r"\d{4}|\d+\D+\d+\D+\d|\d\W+[^\W\d_]{3,}\W+\d\d", na=False)
    return (day_first if is_day_first else month_first).mask(no_date)


def of_names(names: list[str]) -> pd.Series:
    """The times (N,) that names of columns are, NaT for other names. Numbers that count are no times here.

    Example:
        >>> from fastgru_recipes.forecast.read_times import of_names
        >>> of_names(["shop", "2024 Q1", "2024 Q2"]).notna().tolist()
        [False, True, True]
    """
    found: list[pd.Timestamp] = []
    for name in names:
        try:
            time = read(pd.Series([name]), "").iloc[0]
        except DataError:
            time = pd.NaT
        found.append(pd.NaT if pd.isna(time) or counts.is_count(time) or time.tz is not None else time)
    return pd.Series(found, dtype="datetime64[us]")
