"""Summaries of the figures of many cells."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from fastgru.bench.cases import Case
from fastgru.bench.measuring import Figure

_MOST_SLOWDOWN = 1.05  # repeated runs of one cell differ by less


@dataclass(frozen=True)
class Summary:
    """Summary of all cells with the same mode and number of threads.

    Attributes:
        train: whether the cells are forward and backward.
        threads: the number of threads of both layers.
        geometric_mean: the geometric mean of the ratios.
        minimum: the smallest ratio.
    """

    train: bool
    threads: int
    geometric_mean: float
    minimum: float


@dataclass(frozen=True)
class BestCell:
    """A cell with each layer at its fastest number of threads.

    Attributes:
        case: the cell; its `threads` has no meaning.
        torch: the figure in which torch.nn.GRU is fastest.
        fastgru: the figure in which our layer is fastest.
    """

    case: Case
    torch: Figure
    fastgru: Figure

    @property
    def ratio(self) -> float:
        """Torch's best time divided by ours."""
        return self.torch.torch_ms / self.fastgru.fastgru_ms


def geometric_mean(values: Iterable[float]) -> float:
    """Geometric mean of positive values."""
    return math.exp(statistics.fmean(map(math.log, values)))


def summarize(figures: Sequence[Figure]) -> list[Summary]:
    """Geometric mean and minimum for each mode and number of threads, without single steps and frozen layers."""
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
    """The best figures of each cell over all numbers of threads."""
    return [
        BestCell(case, min(own, key=lambda f: f.torch_ms), min(own, key=lambda f: f.fastgru_ms))
        for case, own in _by_cell(figures).items()
    ]


def slower_with_threads(figures: Iterable[Figure]) -> list[tuple[Figure, Figure]]:
    """Pairs of figures of a cell, with one thread and with more, in which our layer is over 5 % slower with more."""
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
