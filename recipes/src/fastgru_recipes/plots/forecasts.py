"""The plot of forecasts: each series with its median and bands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from fastgru_recipes.plots.figures import legend_below, short, titled

MOST_SERIES = 6  # in one figure


class SeriesForecast(NamedTuple):
    """A series and its forecast.

    Attributes:
        name: the name of the series.
        times: (T,), the times of the values; whole numbers if the rows are counted.
        values: (T,), including those at the times of the forecast.
        table: the forecast: columns time and q0.1, q0.5 and so on.
    """

    name: str
    times: pd.Index
    values: NDArray[np.float64]
    table: pd.DataFrame


def chosen(count: int) -> list[int]:
    """Which of `count` series are shown: all, or six at even distances in the order of the data.

    Example:
        >>> from fastgru_recipes.plots.forecasts import chosen
        >>> chosen(3), chosen(101)
        ([0, 1, 2], [0, 20, 40, 60, 80, 100])
    """
    shown = min(count, MOST_SERIES)
    return [round(number * (count - 1) / max(1, shown - 1)) for number in range(shown)]


def forecasts(series: Sequence[SeriesForecast], of: int, value: str, time: str, part: str) -> Figure:
    """Plots series and their forecasts, with a band between each pair of quantiles.

    Args:
        series: those that are `chosen`.
        of: how many series there are.
        value: the name of the values.
        time: the name of the times.
        part: of which part of the data, such as "test part".
    """
    columns = 1 if len(series) == 1 else 2
    rows = -(-len(series) // columns)
    figure = Figure(figsize=(9.5, 1.6 + 2.1 * rows + (0.6 if rows == 1 else 0)), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, each in zip(grid, series, strict=False):
        _draw(axes, each)
        axes.set_ylabel(short(value if value != each.name else each.name))
        if len(series) > 1:
            axes.set_title(short(each.name), fontsize="small")
    for axes in grid[len(series) :]:
        axes.remove()
    for axes in grid[max(0, len(series) - columns) : len(series)]:
        axes.set_xlabel(time)
    legend_below(figure, grid[0])
    return titled(figure, _title(series, of, part))


def _title(series: Sequence[SeriesForecast], of: int, part: str) -> str:
    steps = len(series[0].table)
    what = f"forecast: the last {steps} steps of the {part}"
    if of == 1:
        return what
    if of == len(series):
        return f"{what}, all {of} series"
    return f"{what}, {len(series)} of {of} series, at even distances in the order of the data"


def _draw(axes: Axes, each: SeriesForecast) -> None:
    """One series: values, quantiles, and a line where the forecast begins."""
    table = each.table
    quantiles = [column for column in table if str(column).startswith("q")]
    bands = [*zip(quantiles[: len(quantiles) // 2], reversed(quantiles), strict=False)]  # the widest comes first
    for shade, (low, high) in zip(np.linspace(0.2, 0.55, len(bands)), bands, strict=True):
        label = f"quantiles {low[1:]} to {high[1:]}"
        axes.fill_between(table["time"], table[low], table[high], color=colormaps["Blues"](shade), label=label)
    axes.plot(each.times, each.values, color="black", linewidth=1, label="values")
    axes.plot(table["time"], table["q0.5"], "--", color="#08306b", linewidth=1.6, label="median of the forecast")
    known = np.asarray(each.times < table["time"].iloc[0])
    axes.axvline(each.times[known][-1], color="0.4", linestyle=":", label="last value that was known")
    axes.margins(x=0.01)
    _set_times(axes, each.times)
    _set_floor(axes, each)


def _set_times(axes: Axes, times: pd.Index) -> None:
    """Few ticks with dates that can be read, in the zone of the times; or whole numbers."""
    if not isinstance(times, pd.DatetimeIndex):
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        return
    locator = AutoDateLocator(tz=times.tz, minticks=3, maxticks=7)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, tz=times.tz))  # type: ignore[no-untyped-call]


def _set_floor(axes: Axes, each: SeriesForecast) -> None:
    """No room below zero where nothing is drawn there, nor for counts, which cannot be there."""
    drawn = [each.values, each.table.filter(regex="^q").to_numpy().ravel()]
    is_count = bool((each.values >= 0).all() and (each.values == each.values.round()).all())
    if is_count or min(float(part.min()) for part in drawn) >= 0:
        axes.set_ylim(bottom=max(0.0, axes.get_ylim()[0]))
