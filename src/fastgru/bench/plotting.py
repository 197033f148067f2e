"""Heat maps of a run: the ratio to torch, and the percentage of the machine's limit."""

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
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ModuleNotFoundError as missing:
        raise missing_extra("matplotlib", "demo", "the plot of the benchmark") from missing
    modes = {
        mode: cells
        for mode, train in (("inference", False), ("training", True))
        if (cells := [cell for cell in _commonest_shape(record) if cell.case.train == train])
    }
    figure = Figure(figsize=(4.6 * len(panels), 3.6 * len(modes)), layout="constrained", dpi=130)
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(modes), len(panels), squeeze=False)
    for row, (mode, cells) in zip(axes, modes.items(), strict=True):
        for one, name in zip(row, panels, strict=True):
            _draw(one, record, cells, PANELS[name])
            one.set_title(f"{mode}: {PANELS[name].title}", fontsize=10)
    figure.suptitle(_caption(record, next(iter(modes.values()))[0].case), fontsize=8, wrap=True)
    with atomic_write(path) as partial:
        figure.savefig(partial, format="png")


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
