"""Frequencies of time series: those of pandas, and days of months. Also detects changes of clocks."""

from __future__ import annotations

import re
import warnings
import zoneinfo
from collections.abc import Iterator
from datetime import timedelta, timezone
from itertools import product
from typing import NamedTuple

import numpy as np
import pandas as pd

# Such as "month on day 15" or "3 months on days 1, 11, 21". In a shorter month the last day replaces a missing one.
DAYS_OF_MONTHS = re.compile(r"(?:(\d+) months|month) on days? ([\d, ]+)")
MOST = 6  # most days of a month in one frequency
TWICE = ("SMS", "SME")  # twice a month, which pandas knows but does not infer
LAST_WEEKDAYS = [
    f"LWOM-{day}" for day in ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
]  # the last Friday of a month
SEASONS = {"h": 24, "min": 1440, "D": 7, "B": 5, "W": 52, "SM": 24, "M": 12, "Q": 4, "Y": 1, "WOM": 12, "LWOM": 12}
# Populous zones, to name one of them if a change of clocks fits several.
ZONES = ("Europe/Berlin", "Europe/London", "Europe/Athens", "America/New_York", "America/Santiago", "Australia/Sydney")


def steps(first: pd.Timestamp, count: int, frequency: str) -> pd.DatetimeIndex:
    """Times of a frequency from the first one on. For steps of a day or more the local time of day stays the same.

    Example:
        >>> import pandas as pd
        >>> from fastgru_recipes.forecast.calendars import steps
        >>> steps(pd.Timestamp("2024-01-30 12:00"), 3, "month on day 30").strftime("%d.%m. %H:%M").tolist()
        ['30.01. 12:00', '29.02. 12:00', '30.03. 12:00']
    """
    wall = first.tz_localize(None) if first.tz is not None and not _is_span(frequency) else first
    rule = _rule(frequency)
    found = _on_days(wall, count, *rule) if rule else pd.date_range(wall, periods=count, freq=frequency)
    if first.tz is None or found.tz is not None:
        return found
    return found.tz_localize(first.tz, ambiguous=np.ones(len(found), bool), nonexistent="shift_forward")


def _is_span(frequency: str) -> bool:
    """Whether steps are hours or less, which a change of clocks does not affect."""
    if _rule(frequency):
        return False
    offset = pd.tseries.frequencies.to_offset(frequency)
    return isinstance(offset, pd.offsets.Tick) and offset.rule_code != "D"


def _rule(frequency: str) -> tuple[int, list[int]] | None:
    """The number of months in a step, and the days of the month; None for a frequency of pandas."""
    if (match := DAYS_OF_MONTHS.fullmatch(frequency)) is None:
        return None
    return int(match[1] or 1), [int(day) for day in match[2].split(",")]


def is_of_pandas(frequency: str) -> bool:
    """Whether pandas has a name for this frequency."""
    return _rule(frequency) is None


def _on_days(first: pd.Timestamp, count: int, months: int, days: list[int]) -> pd.DatetimeIndex:
    date = first.to_datetime64().astype("datetime64[D]")
    starts = date.astype("datetime64[M]") + months * np.arange(count // len(days) + 2)
    lengths = ((starts + 1).astype("datetime64[D]") - starts.astype("datetime64[D]")).astype(int)
    dates = starts[:, None].astype("datetime64[D]") + np.minimum(days, lengths[:, None]) - 1
    dates = dates.flatten()
    times = pd.DatetimeIndex(dates[dates >= date][:count]).as_unit(first.unit)
    return times + (first - first.normalize())


def season(frequency: str) -> int:
    """The usual season of a frequency in steps: a day of hours, a week of days, a year of months."""
    if rule := _rule(frequency):
        months, days = rule
        return max(1, 12 * len(days) // months)
    offset = pd.tseries.frequencies.to_offset(frequency)
    name = offset.rule_code.split("-")[0]
    count = SEASONS.get(re.sub("^B(?=[MQY])|[SE]$", "", name), 1)  # without business days, starts and ends
    return max(1, count // int(offset.n))


# ---- inferring the frequency


def find_frequency(times: pd.DatetimeIndex) -> str | None:
    """The frequency with exactly these times, by pandas' name or as days of months; None if there is none."""
    if len(times) < 3:
        return None
    return next((name for name in _candidates(times) if has(name, times[:50]) and has(name, times)), None)


def has(frequency: str, times: pd.DatetimeIndex) -> bool:
    """Whether a frequency has exactly these times."""
    return bool((steps(times[0], len(times), frequency) == times).all())


def _candidates(times: pd.DatetimeIndex) -> Iterator[str]:
    yield from TWICE
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a deprecation: the result will be an offset, which is handled
        inferred = pd.infer_freq(times)
    name = str(getattr(inferred, "freqstr", inferred)) if inferred else ""
    of_many_days = re.fullmatch(r"(\d+)D", name)
    if name and not (of_many_days and int(of_many_days[1]) >= 28):  # which may be a number of months
        yield name
    yield from _days(times)
    if of_many_days:
        yield name
    if (times[1] - times[0]).days in (28, 35):
        yield from LAST_WEEKDAYS


def _days(times: pd.DatetimeIndex) -> Iterator[str]:
    """Frequencies of one day of the month, or of a few days that occur at least twice."""
    longest = times.days_in_month
    days = sorted({*times[(times.day < longest)].day, times.day.max()})
    months = (times.year * 12 + times.month).to_numpy()
    distances = np.diff(np.unique(months))
    if not len(distances) or len(days) > MOST or (len(days) > 1 and len(times) < 2 * len(days)):
        return
    of = "month" if distances.min() == 1 else f"{distances.min()} months"
    yield f"{of} on day{'s' * (len(days) > 1)} {', '.join(map(str, days))}"


# ---- changes of clocks


class ClockChange(NamedTuple):
    """A change of clocks: the index of the first time after it, the zone, and whether an hour occurs twice."""

    after: int
    zone: str
    is_back: bool


def change_of_clocks(times: pd.DatetimeIndex) -> ClockChange | None:
    """The first irregular step that a change of clocks explains; None if no zone explains one."""
    if times.tz is not None or len(times) < 3:
        return None
    steps = np.diff(times.as_unit("s").asi8)
    lengths, counts = np.unique(steps, return_counts=True)
    changes = steps - lengths[counts.argmax()]
    places = np.flatnonzero((changes != 0) & ((abs(changes) <= 7200) | (steps == 0))).tolist()
    rest = sorted(zoneinfo.available_timezones() - {*ZONES})
    for zones, count in ((ZONES, 500), (rest, 5)):  # all other zones take long
        for place, zone in product(places[:count], zones):
            turned = _turned(zone, times[place], times[place + 1])
            if turned and (turned == changes[place] or (turned < 0 and not steps[place])):
                return ClockChange(place + 1, zone, turned < 0)
    return None


def _turned(zone: str, before: pd.Timestamp, after: pd.Timestamp) -> int:
    """The change of a zone's UTC offset in seconds from one local time to a later one."""
    try:
        info = zoneinfo.ZoneInfo(zone)
    except (zoneinfo.ZoneInfoNotFoundError, OSError):  # a zone without rules on this system
        return 0
    offsets = []
    for fold, time in enumerate((before, after)):
        local = time.to_pydatetime(warn=False).replace(tzinfo=info, fold=fold)
        if local.astimezone(timezone.utc).astimezone(info).replace(tzinfo=None) != local.replace(tzinfo=None):
            return 0  # this local time does not exist in the zone
        offsets.append(local.utcoffset() or timedelta(0))
    return int((offsets[1] - offsets[0]).total_seconds())
