"""The plot of what each token of a text costs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from fastgru_recipes.plots.figures import legend_below, titled, visible


def token_costs(bits: NDArray[np.float64], tokens: Sequence[str], title: str) -> Figure:
    """Plots a bar for each token of a text: how many bits it costs, given all tokens before it.

    Args:
        bits: (N,).
        tokens: N texts.
        title: what is shown, and of which part of the data.
    """
    names = [visible(token) for token in tokens]
    turned = max(map(len, names), default=0) > 1
    figure = Figure(figsize=(min(16.0, max(5.0, 1.2 + 0.17 * len(names))), 3.4), layout="constrained")
    axes = figure.subplots()
    axes.bar(range(len(names)), bits, color="0.55", edgecolor="0.2", linewidth=0.5)
    axes.axhline(float(np.mean(bits)), color="C3", linestyle="--", label=f"mean of these: {np.mean(bits):.2f} bits")
    axes.set_xticks(range(len(names)), names, rotation=90 if turned else 0, fontsize="small")
    axes.set_xlim(-0.7, len(names) - 0.3)
    axes.set_xlabel("tokens of the text, in their order (␣ is a space, ⏎ the end of a line)")
    axes.set_ylabel("cost (bits per token)")
    legend_below(figure, axes)
    return titled(figure, title)
