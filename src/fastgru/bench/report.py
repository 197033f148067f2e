"""The printed report: tables and the lines below them."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table

from fastgru.bench.cases import Case
from fastgru.bench.comparing import RecordComparison
from fastgru.bench.limits import Limits
from fastgru.bench.records import Record
from fastgru.bench.summaries import BestCell, best_cells, slower_with_threads, summarize

_AXES = ("mode", "threads", "layers", "H", "B", "T")


def print_record(record: Record, is_full: bool, console: Console) -> None:
    """Prints all cells and summaries, and for a full run also the ratios at the best numbers of threads."""
    console.print(" | ".join(f"{key} {value}" for key, value in record.machine.items()), soft_wrap=True)
    if record.limits is not None:
        console.print(limits_table(record.limits))
    console.print(cells_table(record))
    for summary in summarize(record.figures):
        mode = "training" if summary.train else "inference"
        console.print(
            f"{mode}, {_threads(summary.threads)}: geometric mean {summary.geometric_mean:.2f}x, "
            f"minimum {summary.minimum:.2f}x"
        )
    if is_full:
        _print_best(record, console)
    if any(figure.is_disturbed for figure in record.figures):
        console.print(
            "Cells in yellow: rounds differ much, or threads did not reach their peak. Other programs were probably "
            "running, and the ratio means little. Run this again on a quiet machine.",
            style="yellow",
        )
    if any((record.percent(figure) or 0) > 100 for figure in record.figures):
        console.print(
            "Percentages above 100: other programs were probably running while the limits were measured, and all "
            "percentages are too high. Run this again on a quiet machine.",
            style="yellow",
        )


def print_comparison(comparison: RecordComparison, name: str, console: Console) -> None:
    """Prints the changes since the earlier run in the file `name`."""
    for key, earlier, later in comparison.differences:
        console.print(f"{key} was {earlier} in {name} and is {later} now", style="yellow", markup=False, soft_wrap=True)
    table = _table(f"Changes since {name}", *_AXES, "ratio", "our time")
    for change in comparison.changes:
        table.add_row(*_axes(change.case), _change(change.ratio), _change(change.time))
    console.print(table)
    console.print(
        f"geometric mean of {len(comparison.changes)} cells: ratio {_change(comparison.ratio)}, "
        f"our time {_change(comparison.time)}"
    )
    for cases, where in ((comparison.only_earlier, f"only in {name}"), (comparison.only_later, f"not in {name}")):
        if cases:
            console.print(f"{where}: {'; '.join(map(_words, cases))}", markup=False, soft_wrap=True)


def limits_table(limits: Limits) -> Table:
    """A table of the machine's limits."""
    sizes = {name: f"{name} {size >> 10} KiB" for name, size in limits.caches.items()}
    names = list(limits.by_threads[0].read_gbs)
    rates = (f"{sizes.get(name, name)} GB/s" for name in names)
    title = f"Limits of this machine at level {limits.level}, measured"
    table = _table(title, "threads", f"{limits.dtype} GF/s", *rates)
    for own in limits.by_threads:
        table.add_row(str(own.threads), f"{own.peak_gflops:.0f}", *(f"{own.read_gbs[name]:.0f}" for name in names))
    return table


def cells_table(record: Record) -> Table:
    """A table with a row for each cell; ratios below 1 in red, disturbed cells in yellow."""
    title = "torch.nn.GRU against fastgru.GRU, medians of interleaved rounds"
    table = _table(title, *_AXES, "torch ms", "fastgru ms", "ratio", "±", "% of limit")
    for figure in record.figures:
        percent = record.percent(figure)
        table.add_row(
            *_axes(figure.case),
            f"{figure.torch_ms:.3f}",
            f"{figure.fastgru_ms:.3f}",
            f"{figure.ratio:.2f}",
            f"{figure.spread:.2f}",
            "" if percent is None else f"{percent:.0f}",
            style="red" if figure.ratio < 1 else "yellow" if figure.is_disturbed else None,
        )
    return table


def best_table(cells: list[BestCell]) -> Table:
    """A table of ratios at the best number of threads of each side: a row for each shape, a column for each B."""
    batches = sorted({cell.case.batch for cell in cells})
    rows: dict[tuple[str, ...], dict[int, float]] = {}
    for cell in cells:
        mode, _, layers, hidden, _, steps = _axes(cell.case)
        rows.setdefault((mode, layers, hidden, steps), {})[cell.case.batch] = cell.ratio
    title = "Ratios, each side at its best number of threads"
    table = _table(title, "mode", "layers", "H", "T", *(f"B={batch}" for batch in batches))
    for row, ratios in rows.items():
        table.add_row(*row, *(_ratio(ratios.get(batch)) for batch in batches))
    return table


def _print_best(record: Record, console: Console) -> None:
    cells = best_cells(record.figures)
    console.print(best_table(cells))
    losses = [cell for cell in cells if cell.ratio < 1]
    console.print(f"losses: {len(losses)} of {len(cells)} cells", style="red" if losses else None)
    for one, more in slower_with_threads(record.figures):
        note = " (disturbed)" if one.is_disturbed or more.is_disturbed else ""
        console.print(
            f"slower with {_threads(more.case.threads)} than with one: {_words(one.case, with_threads=False)}: "
            f"{more.fastgru_ms:.3f} ms instead of {one.fastgru_ms:.3f} ms{note}",
            style="yellow",
            soft_wrap=True,
        )


def _table(title: str, *columns: str) -> Table:
    """A narrow table: the cells of a full run must fit into 80 columns with all digits."""
    table = Table(title=title, box=box.SIMPLE_HEAD, padding=(0, 0), pad_edge=False)
    for column in columns:
        table.add_column(column, justify="left" if column == "mode" else "right")
    return table


def _axes(case: Case) -> tuple[str, ...]:
    mode = "train" if case.train else "frozen" if case.frozen else "infer"
    layers = f"{case.layers}{' x 2' if case.bidirectional else ''}"
    return mode, str(case.threads), layers, str(case.hidden), str(case.batch), str(case.steps)


def _words(case: Case, with_threads: bool = True) -> str:
    mode, threads, layers, hidden, batch, steps = _axes(case)
    parts = [mode, f"L={layers}", f"H={hidden}", f"B={batch}", f"T={steps}"]
    return " ".join(parts + ([f"threads={threads}"] if with_threads else []))


def _threads(count: int) -> str:
    return f"{count} thread{'s' if count > 1 else ''}"


def _change(factor: float) -> str:
    return f"{factor - 1:+.1%}"


def _ratio(ratio: float | None) -> str:
    if ratio is None:
        return ""
    return f"[red]{ratio:.2f}[/red]" if ratio < 1 else f"{ratio:.2f}"
