"""Tables with times as columns: one for each time; or a row for each year, with a column for each month or quarter."""

from __future__ import annotations

import calendar
from dataclasses import replace

import pandas as pd

from fastgru_recipes.errors import DataError
from fastgru_recipes.forecast import month_names, read_times
from fastgru_recipes.forecast.series_columns import SeriesColumns
from fastgru_recipes.option_names import named

LEAST = 3  # columns of times that make a table wide
TIME, NAME = "time", "series"  # the columns of the long table
MONTHS = [
    {name.casefold(): number for number, name in enumerate(names) if number}
    for names in (calendar.month_name, calendar.month_abbr, [f"{month:02}" for month in range(13)], map(str, range(13)))
]
YEARS = ("year", "jahr", "année", "año", "ano", "anno", "jaar")  # names of the column of years
QUARTERS = [{f"q{number}": 3 * number - 2 for number in range(1, 5)}]


def long(table: pd.DataFrame, columns: SeriesColumns, where: str) -> tuple[pd.DataFrame, SeriesColumns]:
    """A table with times as columns as one with a row for each time. Another table is returned unchanged.

    Months and quarters as columns need a column of years (`columns.time`, or "year"). Missing values at both ends of a
    series are left out.

    Args:
        table: its index has the line numbers.
        columns: the meaning of columns.
        where: the file, for messages.

    Returns:
        The long table, whose index names line and column, and the meaning of its columns.

    Raises:
        DataError: for a table with times as columns and columns that have no place in it.
    """
    if columns.targets[0] in table.columns or not table.columns.is_unique:  # a column twice is told later
        return table, columns
    names = {name: str(name).strip() for name in table.columns}
    parts = _of_years(table, names, columns) or _of_times(names, columns)
    if parts is None:
        return table, columns
    year, times = parts
    others = [name for name in names if name not in times and name != year]
    others = [columns.series] if columns.series in others else others
    if len(columns.values) > 1:
        raise DataError(
            f"{where} has times as columns, such as {', '.join(map(repr, list(times)[:3]))}: it holds one value for "
            "each, and no covariates. Give a table with a row for each time."
        )
    _require_names(table, others, columns.series, may_be_whole=year is None, where=where)
    rows = [_melted(table, name, year, time, columns, others, where) for name, time in times.items()]
    found = pd.concat(rows, ignore_index=True)
    found["order"] = pd.factorize(found[NAME])[0] if others else 0
    found = found.sort_values(["order", TIME], kind="stable").set_index("place")
    return _without_ends(found, columns.targets[0]), replace(columns, time=TIME, series=NAME if others else "")


def _require_names(table: pd.DataFrame, others: list[str], series: str, may_be_whole: bool, where: str) -> None:
    """Raises for a column of numbers that would name series, such as the total of a year."""
    for name in others:
        kind = table[name].dtype.kind
        if name != series and (kind == "f" or (kind in "iu" and not may_be_whole)):
            raise DataError(
                f"{where} has times as columns, and {name!r} holds numbers but is not a time. Remove it, or name the "
                f"column of series names with {named('series')}."
            )


def _of_years(
    table: pd.DataFrame, names: dict[str, str], columns: SeriesColumns
) -> tuple[str | None, dict[str, pd.DateOffset]] | None:
    """The column of years, and the months that other columns stand for."""
    year = next((name for name, text in names.items() if name == columns.time or text.casefold() in YEARS), None)
    if year is None or not table[year].astype("str").str.fullmatch(r"\d{4}(\.0)?").all():
        return None
    for known in (*MONTHS, *QUARTERS):
        found = {name: known[text.casefold()] for name, text in names.items() if text.casefold() in known}
        if len(found) == len(known):
            return year, _offsets(found)
    foreign = month_names.numbers(list(names.values()))
    found = {name: foreign[text] for name, text in names.items() if text in foreign}
    return (year, _offsets(found)) if found else None


def _offsets(months: dict[str, int]) -> dict[str, pd.DateOffset]:
    return {name: pd.DateOffset(months=month - 1) for name, month in months.items()}


def _of_times(names: dict[str, str], columns: SeriesColumns) -> tuple[None, dict[str, pd.Timestamp]] | None:
    """The times that columns stand for."""
    if columns.time in names:
        return None
    times = read_times.of_names(list(names.values()))
    found = {name: time for name, time in zip(names, times, strict=True) if pd.notna(time)}
    return (None, found) if len(found) >= LEAST else None


def _melted(
    table: pd.DataFrame,
    name: str,
    year: str | None,
    time: pd.Timestamp | pd.DateOffset,
    columns: SeriesColumns,
    others: list[str],
    where: str,
) -> pd.DataFrame:
    """The rows of the long table for one column."""
    times = time if year is None else read_times.read(table[year], where) + time
    found = pd.DataFrame({TIME: times, columns.targets[0]: table[name]}, index=table.index)
    if others:
        found[NAME] = ["/".join(map(str, parts)) for parts in table[others].itertuples(index=False)]
    found["place"] = [f"{line}, column {name!r}" for line in table.index]
    return found


def _without_ends(found: pd.DataFrame, value: str) -> pd.DataFrame:
    groups = found[value].groupby(found["order"])
    return found[groups.bfill().notna() & groups.ffill().notna()].drop(columns="order")
