"""Plots that several recipes share."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib import font_manager
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from fastgru.atomic_files import atomic_write

# Matplotlib's own font has no Chinese, Japanese or Korean; the first of these that is installed has.
FONTS = (
    *("DejaVu Sans", "Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans SC", "Source Han Sans SC", "WenQuanYi Zen Hei"),
    *("WenQuanYi Micro Hei", "Microsoft YaHei", "SimHei", "PingFang SC", "Hiragino Sans", "Arial Unicode MS"),
)


def save(figure: Figure, path: Path) -> None:
    """Writes a figure as PNG, atomically. Letters without a font are drawn as boxes, and $a$ is not a formula."""
    path.parent.mkdir(parents=True, exist_ok=True)
    installed = set(font_manager.get_font_names())
    for text in figure.findobj(Text):
        text.set_fontfamily([name for name in FONTS if name in installed])
        text.set_parse_math(False)
    with atomic_write(path) as partial, warnings.catch_warnings():
        for words in ("Glyph .* missing from", "constrained_layout not applied"):  # the latter if there is no room
            warnings.filterwarnings("ignore", message=words)
        figure.savefig(partial, dpi=120)


def learning_curve(history: pd.DataFrame) -> Figure:
    """Plots the losses of each epoch, and the norm of the gradient before clipping."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    losses, norms = figure.subplots(1, 2)
    for axes, columns in (
        (losses, ("training_loss", "validation_loss")),
        (norms, ("gradient_norm", "gradient_norm_largest")),
    ):
        for column in columns:
            if column in history:
                axes.plot(history["epoch"], history[column], marker=".", label=column.replace("_", " "))
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend()
    losses.set_title("loss")
    norms.set_title("norm of the gradient, before clipping")
    return figure


def matrix(values: NDArray[np.float64], rows: Sequence[str], columns: Sequence[str], labels: tuple[str, str]) -> Figure:
    """Plots a matrix in colours, such as a confusion matrix or attention weights.

    Args:
        values: (R, C).
        rows: R names.
        columns: C names.
        labels: titles of the rows and of the columns.
    """
    figure = Figure(figsize=(2.4 + 0.3 * min(len(columns), 60), 2.0 + 0.26 * min(len(rows), 60)), layout="constrained")
    axes = figure.subplots()
    figure.colorbar(axes.imshow(values, cmap="Blues", aspect="auto"))
    axes.set_yticks(range(len(rows)), rows)
    axes.set_xticks(range(len(columns)), columns, rotation=90)
    axes.set_ylabel(labels[0])
    axes.set_xlabel(labels[1])
    return figure


def bars(values: NDArray[np.float64], names: Sequence[str], label: str) -> Figure:
    """Plots one bar for each of N values."""
    figure = Figure(figsize=(max(4.0, 0.16 * len(names)), 2.4), layout="constrained")
    axes = figure.subplots()
    axes.bar(range(len(names)), values, color="#4878a8")
    axes.set_xticks(range(len(names)), names)
    axes.set_xlim(-0.7, len(names) - 0.3)
    axes.set_ylabel(label)
    return figure


def bands(times: pd.Index, values: NDArray[np.float64], forecast: pd.DataFrame, name: str) -> Figure:
    """Plots a series and its forecast, with a band between each pair of quantiles.

    Args:
        times: (T,).
        values: (T,), including those at the times of the forecast.
        forecast: columns time and q0.1, q0.5 and so on.
        name: the name of the series.
    """
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    axes = figure.subplots()
    axes.plot(times, values, color="0.4", linewidth=1, label=name)
    quantiles = [column for column in forecast if column.startswith("q")]
    for low, high in zip(quantiles[: len(quantiles) // 2], reversed(quantiles), strict=False):
        label = f"{low[1:]} to {high[1:]}"
        axes.fill_between(
            forecast["time"], forecast[low], forecast[high], color="C0", alpha=0.25, linewidth=0, label=label
        )
    axes.plot(forecast["time"], forecast["q0.5"], color="C0", label="median")
    if isinstance(times, pd.DatetimeIndex):  # others are numbers
        locator = AutoDateLocator()  # type: ignore[no-untyped-call]
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", frameon=False, ncols=4)
    return figure
