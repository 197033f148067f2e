"""Plots of matrices: which classes are confused, and what attention reads."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from fastgru_recipes.plots.figures import short, titled, visible

MOST_CLASSES = 12  # of a confusion matrix, so that its numbers can be read
MOST_TOKENS = 60  # of an attention matrix, so that its labels can be read


def confusion(counts: NDArray[np.float64], names: Sequence[str], kind: str, title: str) -> Figure:
    """Plots a confusion matrix: colours are shares of the true class, numbers are counts.

    Of more than 12 classes it has the 12 that are confused most: those with the most wrong answers, given or missed.

    Args:
        counts: (K, K), rows are true classes, columns predicted ones. Classes that do not occur are left out.
        names: the K classes.
        kind: "label" or "tag".
        title: what is scored, and which part of the data.

    Example:
        >>> import numpy as np
        >>> from fastgru_recipes.plots.matrices import confusion
        >>> axes = confusion(np.array([[8, 2], [0, 9]]), ["cat", "dog"], "label", "pets").axes[0]
        >>> [text.get_text() for text in axes.texts]
        ['8', '2', '0', '9']
    """
    chosen, said = _chosen(counts, kind)
    shown = counts[np.ix_(chosen, chosen)]
    shares = shown / counts[chosen].sum(1, keepdims=True).clip(1)
    size = 2.6 + 0.52 * len(chosen)
    figure = Figure(figsize=(size + 1.0, size), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(shares, cmap="Greys", vmin=0, vmax=1)
    figure.colorbar(image, label=f"share of the true {kind}", shrink=0.85)
    for (row, column), count in np.ndenumerate(shown):
        tone = "white" if shares[row, column] > 0.55 else "black" if count else "0.75"
        size_of_text = 9 if shown.max() < 1000 else 7
        axes.text(column, row, f"{count:.0f}", ha="center", va="center", color=tone, fontsize=size_of_text)
    _name(axes, [short(names[i]) for i in chosen], [short(names[i]) for i in chosen])
    axes.set_ylabel(f"true {kind}")
    axes.set_xlabel(f"predicted {kind}")
    return titled(figure, f"{title}{said}. Numbers are counts")


def _chosen(counts: NDArray[np.float64], kind: str) -> tuple[NDArray[np.intp], str]:
    """The classes to show, in their order, and what to say if these are not all."""
    met = np.flatnonzero(counts.sum(0) + counts.sum(1))
    if len(met) <= MOST_CLASSES:
        return met, ""
    wrong = counts.sum(0) + counts.sum(1) - 2 * counts.diagonal()
    most = met[np.argsort(-wrong[met], kind="stable")[:MOST_CLASSES]]
    return np.sort(most), f", the {MOST_CLASSES} of {len(met)} {kind}s that are confused most"


def attention(weights: NDArray[np.float64], written: Sequence[str], read: Sequence[str], title: str) -> Figure:
    """Plots how much each written token looks at each token that was read.

    Args:
        weights: (T, S). Of longer sentences the first 60 tokens are shown.
        written: T tokens.
        read: S tokens.
        title: what is shown, and of which part of the data.
    """
    weights, written, read = weights[:MOST_TOKENS, :MOST_TOKENS], written[:MOST_TOKENS], read[:MOST_TOKENS]
    figure = Figure(figsize=(3.0 + 0.24 * len(read), 1.5 + 0.24 * len(written)), layout="constrained")
    axes = figure.subplots()
    figure.colorbar(axes.imshow(weights, cmap="Greys", vmin=0, vmax=1, aspect="auto"), label="attention weight")
    _name(axes, [visible(token) for token in written], [visible(token) for token in read])
    axes.set_ylabel("written token")
    axes.set_xlabel("token that is read")
    return titled(figure, title)


def _name(axes: Axes, rows: Sequence[str], columns: Sequence[str]) -> None:
    """Names of rows and columns; those of columns are turned where they would overlap."""
    axes.set_yticks(range(len(rows)), list(rows))
    axes.set_xticks(range(len(columns)), list(columns), rotation=90 if max(map(len, columns), default=0) > 3 else 0)
