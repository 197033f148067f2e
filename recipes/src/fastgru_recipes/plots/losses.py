"""The plot of a training: losses, and norms of the gradient."""

from __future__ import annotations

import textwrap
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fastgru_recipes.plots.figures import titled

Styles = dict[str, tuple[str, dict[str, Any]]]
# Column of the history -> its name in the legend, and a style that can be told from the others without colours.
LOSSES: Styles = {
    "training_loss": ("training part, mean during the epoch", {"color": "C1", "linestyle": "--", "marker": "^"}),
    "validation_loss": ("validation part", {"color": "C0", "linestyle": "-", "marker": "o"}),
}
NORMS: Styles = {
    "gradient_norm": ("mean of the epoch", {"color": "0.2", "linestyle": "-", "marker": "o"}),
    "gradient_norm_largest": ("largest of the epoch", {"color": "0.55", "linestyle": "--", "marker": "^"}),
}
LONGEST_LINE = 38  # letters beside an axis
MANY = 40  # epochs, of which markers would hide the line


def kept_epoch(history: pd.DataFrame) -> int:
    """The epoch whose weights a run keeps: that of the least validation loss, or the last one."""
    if "validation_loss" in history and history["validation_loss"].notna().any():
        return int(history["epoch"][history["validation_loss"].idxmin()])
    return int(history["epoch"].iloc[-1])


def learning_curve(history: pd.DataFrame, recipe: str = "training", loss: str = "loss") -> Figure:
    """Plots the losses of each epoch, and the norm of the gradient before clipping.

    Args:
        history: a row for each epoch: epoch, training_loss, and validation_loss if there is one; gradient norms.
        recipe: the name of the recipe.
        loss: the name of the loss, with its unit.
    """
    figure = Figure(figsize=(9.5, 3.9), layout="constrained")
    losses, norms = figure.subplots(1, 2)
    losses.set_ylabel(textwrap.fill(loss, LONGEST_LINE))
    norms.set_ylabel("norm of the gradient, before clipping")
    for axes, columns in ((losses, LOSSES), (norms, NORMS)):
        _draw(axes, history, columns)
    if len(history):
        kept = kept_epoch(history)
        losses.axvline(kept, color="black", linestyle="-.", linewidth=1.2, label=f"weights kept: epoch {kept}")
    for axes in (each for each in figure.axes if each.lines):
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), frameon=False, fontsize="small", ncols=2)
    return titled(figure, f"{recipe}: losses of each epoch")


def _draw(axes: Axes, history: pd.DataFrame, columns: Styles) -> None:
    """Lines over the epochs, which are whole numbers."""
    for column, (name, style) in columns.items():
        if column in history:
            marker = style["marker"] if len(history) <= MANY else ""
            axes.plot(history["epoch"], history[column], label=name, **{**style, "marker": marker}, markersize=4)
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    if len(history) == 1:  # without room on both sides there would be ticks between the whole numbers
        axes.set_xlim(history["epoch"].iloc[0] - 1, history["epoch"].iloc[0] + 1)
    axes.grid(color="0.92")
