"""A table of accuracies: a row for each set, a column for each method, and their mean ranks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean

from scipy.stats import rankdata

WIDTH = 10
Row = Mapping[str, float]  # the accuracy of each method on a set, and our seconds


def mean_ranks(rows: Mapping[str, Row], methods: Sequence[str]) -> dict[str, float]:
    """The mean over sets of each method's rank among the methods; 1 is best, and equal accuracies share a rank."""
    ranks = [rankdata([-row[method] for method in methods]) for row in rows.values()]
    return {method: float(fmean(rank[place] for rank in ranks)) for place, method in enumerate(methods)}


def line(name: str, values: Sequence[str]) -> str:
    """A line of the table."""
    return f"{name:24}" + "".join(f"{value:>{WIDTH}}" for value in values)


def shown(name: str, row: Row, methods: Sequence[str]) -> str:
    """The line of a set, with a star at the best accuracy."""
    best = max(row[method] for method in methods)
    marked = [f"{row[method]:.3f}{'*' if row[method] == best else ' '}" for method in methods]
    return line(name, [*marked, f"{row['seconds']:.1f}"])


def means(rows: Mapping[str, Row], methods: Sequence[str]) -> str:
    """The last lines: mean ranks and mean accuracies."""
    ranks = mean_ranks(rows, methods)
    accuracies = [f"{fmean(row[method] for row in rows.values()):.3f} " for method in methods]
    return "\n".join(
        [
            line(f"mean rank of {len(rows)} sets", [f"{ranks[method]:.2f} " for method in methods]),
            line("mean accuracy", accuracies),
        ]
    )
