"""Heat maps of a run: the ratio to torch, and the percentage of the machine's limit; the ratios as lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from fastgru.atomic_files import atomic_write
from fastgru.bench.cases import Case
from fastgru.bench.records import Record
from fastgru.bench.summaries import BestCell, best_cells
from fastgru.errors import missing_extra

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class _Panel:
    """One kind of heat map.

    Attributes:
        title: the title.
        value: returns the value of a cell, or None to leave it empty.
        text: formats a value.
        colours: the name of a matplotlib colour map.
        scale: the scale of the colours, ``"linear"`` or ``"log"``.
        low: the value of the first colour.
        high: the value of the last colour.
    """

    title: str
    value: Callable[[Record, BestCell], float | None]
    text: Callable[[float], str]
    colours: str
    scale: str
    low: float
    high: float


# A ratio of 1 is in the middle of the colours, and lower ones are red.
PANELS = {
    "ratio": _Panel("speedup over torch.nn.GRU", lambda _, cell: cell.ratio, "{:.1f}".format, "RdYlGn", "log", 0.1, 10),
    "limit": _Panel(
        "% of the machine's limit", lambda r, c: r.percent(c.fastgru), "{:.0f}".format, "viridis", "linear", 0, 100
    ),
}

_LABEL = {"boxstyle": "round,pad=0.15", "facecolor": "white", "alpha": 0.7, "linewidth": 0}  # readable on any colour


def plot(record: Record, path: Path, panels: Sequence[str] = ("ratio", "limit")) -> None:
    """Writes the panels for inference and training over H and B as a PNG, atomically.

    Each side uses its best number of threads. Only cells of the most common shape (T, layers, directions) are shown.

    Raises:
        MissingExtra: if matplotlib is not installed.
    """
    modes = {
        mode: cells
        for mode, train in (("inference", False), ("training", True))
        if (cells := [cell for cell in _commonest_shape(record) if cell.case.train == train])
    }
    figure, save = _figure(4.6 * len(panels), 3.6 * len(modes))
    axes = figure.subplots(len(modes), len(panels), squeeze=False)
    for row, (mode, cells) in zip(axes, modes.items(), strict=True):
        for one, name in zip(row, panels, strict=True):
            _draw(one, record, cells, PANELS[name])
            one.set_title(f"{mode}: {PANELS[name].title}", fontsize=10)
    figure.suptitle(_caption(record, next(iter(modes.values()))[0].case), fontsize=8, wrap=True)
    save(path)


def plot_lines(record: Record, path: Path) -> None:
    """Writes the ratio to torch over H as a PNG, atomically: a line for each B, inference beside training.

    Each side uses its best number of threads. Only cells of the most common shape (T, layers, directions) are shown.

    Raises:
        MissingExtra: if matplotlib is not installed.
    """
    figure, save = _figure(8.6, 3.4)
    cells = _commonest_shape(record)
    for axes, (mode, train) in zip(
        figure.subplots(1, 2, sharey=True), (("inference", False), ("training", True)), strict=True
    ):
        _draw_lines(axes, [cell for cell in cells if cell.case.train == train])
        axes.set_title(mode, fontsize=10)
    figure.axes[0].set_ylabel("times as fast as torch.nn.GRU")
    figure.suptitle(_caption(record, cells[0].case), fontsize=8, wrap=True)
    save(path)


def _draw_lines(axes: Axes, cells: Sequence[BestCell]) -> None:
    hidden = sorted({cell.case.hidden for cell in cells})
    for marker, batch in zip("os^D", sorted({cell.case.batch for cell in cells}), strict=False):
        line = sorted((cell.case.hidden, cell.ratio) for cell in cells if cell.case.batch == batch)
        places = [hidden.index(size) for size, _ in line]
        axes.plot(places, [ratio for _, ratio in line], marker=marker, markersize=4, label=f"B = {batch}")
    axes.axhline(1, color="black", linewidth=1)
    axes.set_yscale("log")
    ticks = [1, 2, 5, 10, 20, 50]
    axes.set_yticks(ticks, [f"{tick}x" for tick in ticks])
    axes.minorticks_off()
    axes.set_xticks(range(len(hidden)), [str(size) for size in hidden])
    axes.set_xlabel("H = I")
    axes.grid(axis="y", alpha=0.3)
    axes.legend(fontsize=8, frameon=False)


def _figure(width: float, height: float) -> tuple[Figure, Callable[[Path], None]]:
    """An empty figure of this size in inches, and the function that writes it."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ModuleNotFoundError as missing:
        raise missing_extra("matplotlib", "demo", "the plot of the benchmark") from missing
    figure = Figure(figsize=(width, height), layout="constrained", dpi=130)
    FigureCanvasAgg(figure)

    def save(path: Path) -> None:
        with atomic_write(path) as partial:
            figure.savefig(partial, format="png")

    return figure, save


def _commonest_shape(record: Record) -> list[BestCell]:
    def shape(case: Case) -> Case:
        return replace(case, batch=0, hidden=0, threads=0, train=False)

    cells = best_cells(record.figures)
    most, _ = Counter(shape(cell.case) for cell in cells).most_common(1)[0]
    return [cell for cell in cells if shape(cell.case) == most]


def _draw(axes: Axes, record: Record, cells: Sequence[BestCell], panel: _Panel) -> None:
    hidden = sorted({cell.case.hidden for cell in cells})
    batches = sorted({cell.case.batch for cell in cells})
    grid = [[float("nan")] * len(batches) for _ in hidden]
    for cell in cells:
        value = panel.value(record, cell)
        if value is not None:
            y, x = hidden.index(cell.case.hidden), batches.index(cell.case.batch)
            grid[y][x] = value
            axes.text(x, y, panel.text(value), ha="center", va="center", bbox=_LABEL, fontsize=9)
    axes.imshow(
        grid, cmap=panel.colours, norm=panel.scale, vmin=panel.low, vmax=panel.high, aspect="auto", origin="lower"
    )
    axes.set_xticks(range(len(batches)), [str(batch) for batch in batches])
    axes.set_yticks(range(len(hidden)), [str(size) for size in hidden])
    axes.set(xlabel="B", ylabel="H = I")


def _caption(record: Record, case: Case) -> str:
    machine = record.machine
    return (
        f"T = {case.steps}, {case.dtype}, each side at its best number of threads; {machine.get('processor')}, "
        f"{machine.get('cores')} cores, {machine.get('level')}, torch {machine.get('torch')}"
    )
