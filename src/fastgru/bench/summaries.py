"""What the figures of many cells say together."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from fastgru.bench.cases import Case
from fastgru.bench.measuring import Figure

_MOST_SLOWDOWN = 1.05  # what repeated runs of one cell differ by


@dataclass(frozen=True)
class Summary:
    """All cells of one kind: same mode, same number of threads.

    Attributes:
        train: forward and backward.
        threads: of both layers.
        geometric_mean: of the ratios.
        minimum: of the ratios.
    """

    train: bool
    threads: int
    geometric_mean: float
    minimum: float


@dataclass(frozen=True)
class BestCell:
    """A cell with each layer at the number of threads at which it is fastest.

    Attributes:
        case: the cell; its `threads` means nothing.
        torch: where torch.nn.GRU is fastest.
        fastgru: where ours is.
    """

    case: Case
    torch: Figure
    fastgru: Figure

    @property
    def ratio(self) -> float:
        """Torch's best time over ours."""
        return self.torch.torch_ms / self.fastgru.fastgru_ms


def geometric_mean(values: Iterable[float]) -> float:
    """Of positive values."""
    return math.exp(statistics.fmean(map(math.log, values)))


def summarize(figures: Sequence[Figure]) -> list[Summary]:
    """Geometric mean and minimum of each mode and thread count, without cells of a single step and frozen ones."""
    groups: dict[tuple[bool, int], list[float]] = {}
    for figure in figures:
        if figure.case.steps > 1 and not figure.case.frozen:
            key = (figure.case.train, figure.case.threads)
            groups.setdefault(key, []).append(figure.ratio)
    return [
        Summary(train, threads, geometric_mean(ratios), min(ratios))
        for (train, threads), ratios in sorted(groups.items())
    ]


def best_cells(figures: Iterable[Figure]) -> list[BestCell]:
    """One for each cell, whatever the numbers of threads it was measured with."""
    return [
        BestCell(case, min(own, key=lambda f: f.torch_ms), min(own, key=lambda f: f.fastgru_ms))
        for case, own in _by_cell(figures).items()
    ]


def slower_with_threads(figures: Iterable[Figure]) -> list[tuple[Figure, Figure]]:
    """Pairs of one cell, with one thread and with more, where our layer is more than 5 % slower with more."""
    return [
        (one, more)
        for own in _by_cell(figures).values()
        for one in own
        for more in own
        if one.case.threads == 1 and more.fastgru_ms > _MOST_SLOWDOWN * one.fastgru_ms
    ]


def _by_cell(figures: Iterable[Figure]) -> dict[Case, list[Figure]]:
    cells: dict[Case, list[Figure]] = {}
    for figure in figures:
        cells.setdefault(replace(figure.case, threads=1), []).append(figure)
    return cells
