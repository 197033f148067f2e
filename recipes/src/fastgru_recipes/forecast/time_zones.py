"""Local times of a zone: both hours of autumn, and the one that spring leaves out."""

from __future__ import annotations

import difflib
import zoneinfo

import pandas as pd

from fastgru.errors import ArgumentError
from fastgru_recipes.errors import DataError
from fastgru_recipes.option_names import given


def require_zone(zone: str) -> None:
    """Raises for a zone that is not in the database of zones.

    Example:
        >>> from fastgru_recipes.forecast.time_zones import require_zone
        >>> require_zone("Europe/Berlin")
    """
    known = zoneinfo.available_timezones()
    if zone in known:
        return
    names = {name.casefold(): name for name in known} | {name.casefold().split("/")[-1]: name for name in sorted(known)}
    close = [names[each] for each in difflib.get_close_matches(zone.casefold(), names, n=1)]
    hint = f"Did you mean {close[0]!r}?" if close else "Give a name such as Europe/Berlin or UTC."
    raise ArgumentError(f"{given('zone', zone)} is not a time zone. {hint}")


def localized(times: pd.Series, names: pd.Series | None, zone: str, where: str) -> pd.Series:
    """Local times with their zone. Times that have a zone are converted.

    Args:
        times: (N,), in the order of the rows.
        names: (N,), the names of series; None for one series. The first of two equal times of a series is in summer
            time, and the second is not.
        zone: the name of the zone.
        where: the file, for messages.

    Returns:
        (N,), times in the zone.

    Raises:
        DataError: for a time that the clocks of the zone leave out, with its line.
    """
    if times.dt.tz is not None:
        return times.dt.tz_convert(zone)
    keys = pd.DataFrame({"time": times} if names is None else {"time": times, "name": names.astype(str)})
    is_first = ~keys.duplicated().to_numpy()
    found = times.dt.tz_localize(zone, ambiguous=is_first, nonexistent="NaT")
    if (missing := times.index[found.isna()]).size:
        raise DataError(
            f"{where}, line {missing[0]}: {times.loc[missing[0]]} does not exist in {zone}, where clocks leave out "
            "this hour. If the times are not local times of that zone, leave out the zone or give another one."
        )
    return found
