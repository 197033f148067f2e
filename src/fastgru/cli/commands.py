"""The commands `demo`, `bench`, `convert` and `info`.

Modules that import torch are imported inside the commands, so that `fastgru --help` starts fast.
"""

from __future__ import annotations

import json
import os
import platform
import shlex
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

import fastgru
from fastgru.cli.console import EXTRAS, QuietOption, app, examples_text, need, one_sentence, progress

if TYPE_CHECKING:
    from fastgru.bench import Case, Record
    from fastgru.cli.demo import Comparison

# More threads than cores only wait for each other, and many more crash torch.
CORES = os.cpu_count() or 1


# ---- demo


@app.command(epilog=examples_text(("fastgru demo", "fastgru demo --epochs 2 --json")))
def demo(
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the training hours.")] = 8,
    hidden: Annotated[int, typer.Option(min=1, help="Size of the GRU's state.")] = 64,
    stride: Annotated[int, typer.Option(min=1, help="Hours between training windows; more is faster.")] = 3,
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Seed of weights and batches.")] = 0,
    # One by default: torch's threads spin while they wait. With two of them and other programs running, training with
    # torch.nn.GRU took 236 s instead of 14 s.
    threads: Annotated[int, typer.Option(min=1, max=CORES, help="Threads of both runs.")] = 1,
    out: Annotated[Path, typer.Option(file_okay=False, help="Directory for the plot.")] = Path("demo-output"),
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    quiet: QuietOption = False,
) -> None:
    """Train a forecaster with torch.nn.GRU, replace the layer in one line, train again and compare."""
    with one_sentence():
        need("fastgru[demo]", "fastgru demo")
        out.mkdir(parents=True, exist_ok=True)
        import torch

        from fastgru.cli import demo as demonstration

        torch.set_num_threads(threads)
        settings = demonstration.Settings(epochs=epochs, hidden=hidden, seed=seed, stride=stride)
        steps = demonstration.batches(settings)
        with progress(quiet) as bars:
            tasks = {name: bars.add_task(f"training on {name}", total=steps) for name in demonstration.NAMES}
            comparison = demonstration.compare(settings, lambda name: bars.advance(tasks[name]))
        path = out / "forecast.png"
        demonstration.plot(comparison, path)
    if as_json:
        typer.echo(json.dumps({**comparison.facts(), "threads": torch.get_num_threads(), "plot": str(path)}, indent=2))
    else:
        console = Console()
        console.print(_demo_table(comparison))
        console.print(f"Threads: {torch.get_num_threads()}. Forecast plot: {path}", soft_wrap=True)
        _print_verdict(comparison, console)
    if not (comparison.agrees and comparison.wins):
        raise typer.Exit(1)


def _print_verdict(comparison: Comparison, console: Console) -> None:
    from fastgru.cli.demo import LOSS_TOLERANCE

    if comparison.agrees:
        console.print(f"The losses of the two runs agree within {LOSS_TOLERANCE:g} of their size.")
    else:
        console.print(
            f"The losses of the two runs differ by more than {LOSS_TOLERANCE:g}: please report this.", style="red"
        )
    if not comparison.wins:
        console.print("The GRU does not beat the naive forecasts: train for more epochs.", style="red")
    if not comparison.is_undisturbed:
        console.print(
            f"The runs got {comparison.share:.0%} of the processor time of their threads: other programs took the "
            "rest, and the ratio means little. Run this again on a quiet machine.",
            style="yellow",
        )


def _demo_table(comparison: Comparison) -> Table:
    stock, swapped = comparison.stock, comparison.swapped
    table = Table(title="Air temperature of the next 24 hours, from the last 96")
    for column in ("", "torch.nn.GRU", "fastgru.GRU"):
        table.add_column(column, justify="right" if column else "left")
    for epoch, losses in enumerate(zip(stock.losses, swapped.losses, strict=True), start=1):
        table.add_row(f"training loss, epoch {epoch}", *(f"{loss:.6f}" for loss in losses))
    table.add_section()
    table.add_row("test error, °C", f"{stock.error:.3f}", f"{swapped.error:.3f}")
    table.add_row("  seasonal naive: as yesterday", f"{comparison.daily_naive:.3f}", f"{comparison.daily_naive:.3f}")
    table.add_row("  naive: as the last hour", f"{comparison.last_naive:.3f}", f"{comparison.last_naive:.3f}")
    table.add_section()
    table.add_row("training, seconds", f"{stock.seconds:.1f}", f"{swapped.seconds:.1f}")
    table.add_row("ratio", "1.0", f"[bold]{comparison.ratio:.1f}[/bold]")
    return table


# ---- bench


def _numbers(text: str | None, name: str) -> list[int]:
    if text is None:
        return []
    try:
        values = [int(part) for part in text.split(",")]
    except ValueError:
        values = [0]
    if min(values) < 1:
        raise typer.BadParameter(f"{text!r} is not a list of positive integers such as 1,8,32", param_hint=name)
    return values


TrainOption = Annotated[
    bool | None, typer.Option("--train/--infer", help="Forward and backward, or forward only. Default: both.")
]
JsonOption = Annotated[Path | None, typer.Option("--json", dir_okay=False, help="Write all figures to this file.")]
CompareOption = Annotated[
    Path | None, typer.Option(exists=True, dir_okay=False, help="Show what changed since this --json file.")
]


@app.command(
    epilog=examples_text(
        (
            "fastgru bench",
            "fastgru bench --batch 1,32 --hidden 128 --json now.json",
            "fastgru bench --compare then.json",
        )
    )
)
def bench(
    batch: Annotated[str | None, typer.Option(help="Batch sizes, such as 1,8,32.")] = None,
    steps: Annotated[str | None, typer.Option(help="Sequence lengths.")] = None,
    hidden: Annotated[str | None, typer.Option(help="Hidden sizes; the input has the same size.")] = None,
    layers: Annotated[str | None, typer.Option(help="Numbers of stacked layers.")] = None,
    bidirectional: Annotated[bool, typer.Option("--bidirectional", help="With a second direction.")] = False,
    train: TrainOption = None,
    threads: Annotated[str | None, typer.Option(help="Threads of both layers. Default: 1 and all.")] = None,
    dtype: Annotated[str, typer.Option(help="float32 or float64.")] = "float32",
    budget: Annotated[float, typer.Option(min=0.0, help="Measured seconds per cell.")] = 0.6,
    full: Annotated[bool, typer.Option("--full", help="The large grid, which takes minutes.")] = False,
    frozen: Annotated[bool, typer.Option("--frozen", help="Inference only, with our layer frozen first.")] = False,
    level: Annotated[str | None, typer.Option(help="Instruction-set level of both layers, such as avx2.")] = None,
    json_file: JsonOption = None,
    compare: CompareOption = None,
    plot: Annotated[Path | None, typer.Option(dir_okay=False, help="Draw the figures to this PNG file.")] = None,
    quiet: QuietOption = False,
) -> None:
    """Measure fastgru.GRU against torch.nn.GRU and this machine's limits. Results are compared first."""
    if dtype not in ("float32", "float64"):
        raise typer.BadParameter(f"{dtype!r} is neither float32 nor float64", param_hint="--dtype")
    if frozen and train:
        raise typer.BadParameter("a frozen layer is for inference", param_hint="--frozen")
    grid = _grid({"batch": batch, "steps": steps, "hidden": hidden, "layers": layers, "threads": threads})
    if full and _is_own(grid, bidirectional):
        raise typer.BadParameter("its grid is fixed; leave out sizes, or --full", param_hint="--full")
    with one_sentence():
        need("fastgru[torch]", "fastgru bench")
        _check_outputs({"--json": json_file, "--plot": plot})
        from fastgru.bench import read_json, report

        earlier = None if compare is None else read_json(compare)
        cases = _chosen(_cases(grid, bidirectional, dtype, full), train, frozen)
        record = _measure(cases, dtype, budget, level, quiet)
        _write_record(record, json_file, plot)
        report.print_record(record, full, Console())
        if compare is not None and earlier is not None:
            _print_changes(earlier, record, compare.name)


def _write_record(record: Record, json_file: Path | None, plot: Path | None) -> None:
    from fastgru.bench import plotting, write_json

    if json_file is not None:
        write_json(json_file, record)
    if plot is not None:
        plotting.plot(record, plot)


def _print_changes(earlier: Record, record: Record, name: str) -> None:
    from fastgru.bench import compare, report

    report.print_comparison(compare(earlier, record), name, Console())


def _grid(texts: dict[str, str | None]) -> dict[str, list[int]]:
    grid = {name: _numbers(text, f"--{name}") for name, text in texts.items()}
    if max(grid["threads"], default=1) > CORES:
        raise typer.BadParameter(f"{texts['threads']} is more than the {CORES} cores here", param_hint="--threads")
    return grid


def _is_own(grid: dict[str, list[int]], bidirectional: bool) -> bool:
    """Whether sizes were given, which replace the fixed grids."""
    return bidirectional or any(values for name, values in grid.items() if name != "threads")


def _check_outputs(files: dict[str, Path | None]) -> None:
    for option, file in files.items():
        if file is not None and not file.parent.is_dir():
            raise FileNotFoundError(f"there is no directory {file.parent} for {option}. Create it first.")
    if files["--plot"] is not None:
        need("fastgru[demo]", "fastgru bench --plot")


def _measure(cases: Sequence[Case], dtype: str, budget: float, level: str | None, quiet: bool) -> Record:
    from fastgru import bench as measuring
    from fastgru.levels import use_level

    if level is not None:
        measuring.hold_torch(level)
    with nullcontext() if level is None else use_level(level), progress(quiet) as bar:
        task = bar.add_task("measuring", total=len(cases) + 1)
        counts = {case.threads for case in cases}
        limits = measuring.machine_limits(counts, dtype)
        figures = []
        for case in cases:
            bar.advance(task)
            figures.append(measuring.measure_at_peak(case, limits, budget))
        limits = measuring.better(limits, measuring.machine_limits(counts, dtype))
        return measuring.Record(measuring.machine(), limits, figures)


def _cases(grid: dict[str, list[int]], bidirectional: bool, dtype: str, full: bool) -> list[Case]:
    from itertools import product

    from fastgru.bench import Case, all_threads, default_cases, full_cases

    counts = grid["threads"] or all_threads()
    if not _is_own(grid, bidirectional):
        return (full_cases if full else default_cases)(counts, dtype)
    axes = (
        counts,
        (False, True),
        grid["layers"] or [1],
        grid["hidden"] or [64],
        grid["steps"] or [100],
        grid["batch"] or [1, 8, 32],
    )
    return [
        Case(batch, steps, hidden, layers, mode, count, bidirectional, dtype)
        for count, mode, layers, hidden, steps, batch in product(*axes)
    ]


def _chosen(cases: Iterable[Case], train: bool | None, frozen: bool) -> list[Case]:
    """The cases of the requested modes, each once."""
    if frozen:
        cases = dict.fromkeys(replace(case, frozen=True) for case in cases if not case.train)
    return [case for case in cases if train is None or case.train == train]


# ---- convert


@app.command(
    epilog=examples_text(
        (
            "fastgru convert model.onnx model.safetensors",
            "fastgru convert weights.npz gru.safetensors --framework keras",
        )
    )
)
def convert(
    source: Annotated[
        Path, typer.Argument(help="An ONNX or Keras file; or, with --framework, weights (.npz, .safetensors).")
    ],
    target: Annotated[Path, typer.Argument(help="The file to write, for fastgru.runtime.load.")],
    framework: Annotated[str | None, typer.Option(help="The framework of the weights, such as keras or mlx.")] = None,
    reset_after: Annotated[
        bool | None,
        typer.Option(
            "--reset-after/--reset-before", help="Where the reset gate acts, for weights that do not show it."
        ),
    ] = None,
    inputs: Annotated[
        list[str] | None, typer.Option(help="For an ONNX file: a value at which to begin. Repeat it for several.")
    ] = None,
    outputs: Annotated[
        list[str] | None, typer.Option(help="For an ONNX file: a value to compute. Repeat it for several.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    quiet: QuietOption = False,
) -> None:
    """Convert a trained model to a file that runs without its framework and without PyTorch."""
    with one_sentence():
        from fastgru.convert.files import convert_file

        part = {"inputs": inputs or None, "outputs": outputs or None}
        graph = convert_file(source, target, framework=framework, reset_after=reset_after, **part)
    shapes = {
        "input": {port.name: _told_axes(port.axes, port.size) for port in graph.inputs},
        "output": {each.name: _told_axes(each.axes, graph.values[each.value].size) for each in graph.outputs},
        "state": {name: f"({rows}, batch, {size})" for name, (rows, size) in graph.recurrent.items()},
    }
    size = target.stat().st_size
    if as_json:
        facts = {f"{kind}s": found for kind, found in shapes.items()}
        typer.echo(json.dumps({"file": str(target), **facts, "nodes": len(graph.nodes), "bytes": size}, indent=2))
        return
    if quiet:  # the file is the result
        return
    for kind, found in shapes.items():
        for name, shape in found.items():
            typer.echo(f"{kind} {name}: {shape}")
    typer.echo(f"{target}: {len(graph.nodes)} nodes, {size / 2**20:.1f} MB")


def _told_axes(axes: str, size: int | None) -> str:
    names = {"1": "1", "T": "steps", "B": "batch", "F": str(size)}
    return f"({', '.join(names[axis] for axis in axes)}{',' if len(axes) == 1 else ''})"


# ---- info


@app.command(epilog=examples_text(("fastgru info --json",)))
def info(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    quiet: QuietOption = False,
) -> None:
    """Show versions, processor, instruction-set levels, threads, backends and installed extras."""
    with one_sentence():
        facts = _facts()
    if as_json:
        typer.echo(json.dumps(facts, indent=2))
        return
    table = Table(show_header=False)
    for key in ("fastgru", "python", "numpy", "torch", "processor", "cores", "threads"):
        table.add_row(key, str(facts[key]))
    for level in facts["levels"]:
        state = "active" if level["active"] else "available" if level["available"] else "not on this processor"
        table.add_row(f"level {level['name']}", state)
    table.add_row("backends", ", ".join(facts["backends"]) or "none without torch")
    for extra, missing in facts["extras"].items():
        note = f"missing {', '.join(missing)}: pip install {shlex.quote(extra)}" if missing else "installed"
        table.add_row(escape(extra), escape(note))
    Console().print(table)


def _facts() -> dict[str, Any]:
    import numpy as np

    extras = {extra: [name for name in names if find_spec(name) is None] for extra, names in EXTRAS.items()}
    facts: dict[str, Any] = {
        "fastgru": fastgru.__version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "torch": None,
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "threads": None,
        "levels": [level._asdict() for level in fastgru.cpu_info()],
        "backends": [],
        "extras": extras,
    }
    if not extras["fastgru[torch]"]:
        import torch

        from fastgru import bench, dispatch

        facts["torch"] = torch.__version__
        facts["processor"] = bench.processor_name()
        facts["threads"] = torch.get_num_threads()
        facts["backends"] = [backend.name for backend in dispatch.BACKENDS]
    return facts


# ---- commands of other packages

for _entry in entry_points(group="fastgru.commands"):
    _entry.load()(app)
