"""The benchmark: it measures, compares results first, gives no figure for wrong ones, and knows the limits."""

from __future__ import annotations

import gc
import json
import math
import os
import re
import shutil
import sys
import time
from dataclasses import replace
from itertools import groupby
from pathlib import Path

import pytest
import torch

import fastgru
import processes
from fastgru import _core, bench
from fastgru.backends.cpu import core_calls
from fastgru.bench import Case, Figure, Limits, Record, limits, measuring, plotting, records
from fastgru.bench.limits import ThreadLimits

ROOT = Path(__file__).parent.parent
LONG = [(1, 5000, 64), (16, 1000, 32)]  # B, T, H


@pytest.mark.parametrize(
    "case",
    [
        Case(batch=2, steps=5, hidden=8),
        Case(batch=1, steps=1, hidden=8),
        Case(batch=2, steps=5, hidden=8, layers=2, train=True, bidirectional=True, dtype="float64"),
    ],
)
def test_a_cell_gives_a_figure(case):
    before = torch.get_num_threads()
    figure = bench.measure(case, budget=0.01)
    assert figure.case == case
    assert figure.rounds >= 5
    assert figure.ratio == pytest.approx(figure.torch_ms / figure.fastgru_ms)
    assert min(figure.torch_ms, figure.fastgru_ms) > 0
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("train", [False, True])
def test_wrong_results_give_no_figure(train, monkeypatch):
    right = fastgru.GRU.forward

    def wrong(self, input, hx=None):
        output, h_n = right(self, input, hx)
        return output * 1.001, h_n

    monkeypatch.setattr(fastgru.GRU, "forward", wrong)
    with pytest.raises(bench.DifferentResults, match="no speed is given"):
        bench.measure(Case(batch=2, steps=5, hidden=8, train=train), budget=0.01)


def test_wrong_gradients_give_no_figure(monkeypatch):
    right = core_calls.backward_plain

    def wrong(*arguments):
        return tuple(None if g is None else g * 1.001 for g in right(*arguments))

    monkeypatch.setattr(core_calls, "backward_plain", wrong)
    with pytest.raises(bench.DifferentResults):
        bench.measure(Case(batch=2, steps=5, hidden=8, train=True), budget=0.01)


def test_the_default_grid_is_the_promised_one():
    cases = bench.default_cases([1, 2])
    grid = {(c.batch, c.hidden, c.train, c.threads) for c in cases if c.steps == 100}
    assert grid == {(b, h, t, n) for b in (1, 8, 32) for h in (32, 64, 128, 256) for t in (False, True) for n in (1, 2)}
    assert Case(batch=1, steps=1, hidden=64) in cases


def test_the_full_grid_is_the_promised_one():
    cases = bench.full_cases([1, 2])
    assert len(cases) == len(set(cases))
    plain = {replace(c, threads=1) for c in cases if c.threads == 1 and not c.frozen}
    grid = {(c.batch, c.hidden, c.train) for c in plain if c.steps == 100 and c.layers == 1}
    sizes = [(b, h) for b in (1, 8, 32, 128) for h in (32, 64, 128, 256, 512)]
    assert grid == {(b, h, t) for b, h in sizes for t in (False, True)} | {(b, 1024, False) for b in (1, 8, 32, 128)}
    others = {c for c in plain if c.steps != 100 or c.layers != 1}
    both = [{"train": False}, {"train": True}]
    assert others == {
        Case(1, 1, 64),
        Case(1, 1, 256),
        *(Case(32, 100, hidden, 2, bidirectional=True, **mode) for hidden in (128, 256) for mode in both),
        *(Case(batch, steps, hidden, **mode) for batch, steps, hidden in LONG for mode in both),
    }
    frozen = {replace(c, frozen=False) for c in cases if c.frozen}
    assert frozen == {c for c in cases if c.batch == 1 and not c.train and not c.frozen}
    assert {replace(c, threads=2) for c in cases if c.threads == 1} == {c for c in cases if c.threads == 2}


def figure(ratio=2.0, torch_ms=2.0, **case):
    return Figure(Case(**{"batch": 1, "steps": 100, "hidden": 8, **case}), torch_ms, torch_ms / ratio, ratio, 0.0, 5)


def test_summaries_take_each_mode_and_thread_count_by_itself():
    left_out = [figure(50.0, steps=1), figure(50.0, frozen=True)]
    figures = [figure(2.0), figure(8.0), figure(3.0, train=True), figure(5.0, threads=2), *left_out]
    by_kind = {(s.train, s.threads): s for s in bench.summarize(figures)}
    assert by_kind.keys() == {(False, 1), (False, 2), (True, 1)}
    assert math.isclose(by_kind[False, 1].geometric_mean, 4.0)
    assert by_kind[False, 1].minimum == 2.0


def test_the_best_of_a_cell_takes_each_side_where_it_is_fastest():
    figures = [figure(2.0, torch_ms=6.0), figure(8.0, torch_ms=16.0, threads=2), figure(3.0, hidden=16)]
    first, second = bench.best_cells(figures)
    assert (first.torch.case.threads, first.fastgru.case.threads) == (1, 2)
    assert first.ratio == 6.0 / 2.0
    assert second.ratio == 3.0


def test_cells_that_more_threads_slow_down_are_found():
    figures = [figure(2.0, hidden=hidden, torch_ms=2.0) for hidden in (8, 16, 32)]
    figures += [figure(2.0, hidden=hidden, torch_ms=ms, threads=2) for hidden, ms in ((8, 2.2), (16, 2.05), (32, 1.0))]
    assert [(one.case.hidden, more.case.threads) for one, more in bench.slower_with_threads(figures)] == [(8, 2)]


@pytest.fixture
def record():
    return Record(bench.machine(), LIMITS, [bench.measure(Case(batch=1, steps=3, hidden=4), budget=0.01)])


def test_json_is_whole_and_says_what_machine(tmp_path, record):
    path = tmp_path / "figures.json"
    bench.write_json(path, record)
    content = json.loads(path.read_text())
    assert content.keys() == {"machine", "limits", "cells", "summary"}
    assert content["machine"]["torch"] == torch.__version__
    assert content["machine"]["threads"] == torch.get_num_threads()
    assert content["cells"][0]["case"]["hidden"] == 4
    assert content["cells"][0]["case"]["frozen"] is False
    assert content["cells"][0]["percent_of_limit"] == record.percent(record.figures[0]) > 0
    assert [p.name for p in tmp_path.iterdir()] == ["figures.json"]


def test_json_is_read_as_it_was_written(tmp_path, record):
    bench.write_json(tmp_path / "figures.json", record)
    assert bench.read_json(tmp_path / "figures.json") == record


def test_the_published_figures_are_read():
    record = bench.read_json(ROOT / "benchmarks/results/full.json")
    assert record.percent(record.figures[0]) > 0
    assert all(figure.ratio > 0 for figure in record.figures)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text[:-20],
        lambda text: "[]",
        lambda text: '{"machine": {}, "cells": []}',
        lambda text: text.replace('"hidden": 4', '"hidden": "4"'),
        lambda text: text.replace('"hidden": 4', '"size": 4'),
        lambda text: text.replace('"torch_ms": ', '"torch_ms": -'),
        lambda text: text.replace('"by_threads"', '"by_cores"'),
        lambda text: text.replace('"L1"', '"level 1"', 1),
        lambda text: re.sub(r'"threads": 1(?=,\s+"bidirectional")', '"threads": 3', text),
        lambda text: text.replace('"peak_gflops": 1000.0', '"peak_gflops": 0.0'),
    ],
)
def test_a_foreign_file_is_refused(tmp_path, record, change):
    path = tmp_path / "figures.json"
    bench.write_json(path, record)
    path.write_text(change(path.read_text()))
    with pytest.raises(bench.ForeignFile, match=r"figures\.json is not a complete file from `fastgru bench --json`"):
        bench.read_json(path)


def test_the_revision_is_of_our_own_checkout(monkeypatch, tmp_path):
    revision = records.revision()
    assert revision is None or re.fullmatch(r"[0-9a-f]{12,}(-dirty)?", revision)
    monkeypatch.setattr(fastgru, "__file__", str(tmp_path / "__init__.py"))
    assert records.revision() is None


def test_comparing_tells_changes_and_what_is_missing():
    earlier = Record({"level": "avx2"}, None, [figure(2.0), figure(4.0, hidden=16), figure(1.0, hidden=32)])
    later = Record({"level": "avx512"}, None, [figure(4.0), figure(4.0, hidden=16), figure(1.0, hidden=64)])
    comparison = bench.compare(earlier, later)
    assert [(c.case.hidden, c.ratio, c.time) for c in comparison.changes] == [(8, 2.0, 0.5), (16, 1.0, 1.0)]
    assert comparison.ratio == pytest.approx(2**0.5)
    assert comparison.time == pytest.approx(0.5**0.5)
    assert [case.hidden for case in comparison.only_earlier] == [32]
    assert [case.hidden for case in comparison.only_later] == [64]
    assert comparison.differences == [("level", "avx2", "avx512")]


def test_a_frozen_cell_measures_the_frozen_layer(monkeypatch):
    """And compares the results of that one, not of the layer before."""
    frozen = []
    monkeypatch.setattr(fastgru.GRU, "freeze", lambda self: frozen.append(self) or self, raising=False)
    assert bench.measure(Case(batch=1, steps=3, hidden=4), budget=0.01).rounds >= 5
    assert frozen == []
    bench.measure(Case(batch=1, steps=3, hidden=4, frozen=True), budget=0.01)
    assert len(frozen) == 1

    def break_it(self):
        self.weight_hh_l0 = torch.nn.Parameter(self.weight_hh_l0 + 1)

    monkeypatch.setattr(fastgru.GRU, "freeze", break_it)
    with pytest.raises(bench.DifferentResults):
        bench.measure(Case(batch=1, steps=3, hidden=4, frozen=True), budget=0.01)


def test_slow_cells_have_fewer_rounds(monkeypatch):
    monkeypatch.setattr(measuring, "_SLOW_SECONDS", 0.0)
    assert bench.measure(Case(batch=1, steps=3, hidden=4), budget=0.0).rounds == 3


# ---- limits


def test_the_limits_of_this_machine_are_possible_ones():
    count = max(bench.all_threads())
    found = bench.machine_limits([1, count, count])
    assert [own.threads for own in found.by_threads] == sorted({1, count})
    for own in found.by_threads:
        # From a slow core without fused instructions to more than any core of today.
        assert 2 < own.peak_gflops / own.threads < 1000
        assert own.read_gbs.keys() == {"L1", "L2", "L3", "memory"}
        assert 0.2 < own.read_gbs["memory"] < 5000
        assert own.read_gbs["L1"] > own.read_gbs["memory"]


@pytest.mark.usefixtures("level")
@pytest.mark.parametrize("is_double", [False, True])
def test_multiply_adds_count_themselves(is_double):
    each = _core.fma_chains(is_double, 1)
    assert each > 8  # several vectors of two at least
    assert each == int(each)
    assert _core.fma_chains(is_double, 0) == 0
    assert _core.fma_chains(is_double, 1001) == 1001 * each


@pytest.mark.usefixtures("level")
@pytest.mark.parametrize("n", [0, 1, 127, 128, 1003])
def test_reading_reads_every_value_every_time(n):
    values = torch.arange(n, dtype=torch.float32)
    assert _core.read_all(values.data_ptr(), n, 3) == 3 * values.sum()


LIMITS = Limits(
    "avx512",
    "float32",
    {"L1": 32 << 10, "L2": 1 << 20, "L3": 32 << 20},
    (
        ThreadLimits(1, 1000.0, {"L1": 200.0, "L2": 100.0, "L3": 50.0, "memory": 20.0}),
        ThreadLimits(2, 2000.0, {"L1": 400.0, "L2": 200.0, "L3": 80.0, "memory": 25.0}),
    ),
)


@pytest.mark.parametrize(
    ("case", "milliseconds"),
    [
        # Arithmetic: 2 * 3H * 2H operations of each row and step.
        (Case(32, 100, 128), 12 * 128**2 * 3200 / 1000e6),
        (Case(32, 100, 128, threads=2), 12 * 128**2 * 3200 / 2000e6),
        (Case(32, 100, 128, train=True), 3 * 12 * 128**2 * 3200 / 1000e6),
        # Two layers, two directions: the upper layer's input is twice as wide.
        (Case(32, 100, 128, layers=2, bidirectional=True), 2 * (12 + 18) * 128**2 * 3200 / 1000e6),
        # Reading 12 * H * H bytes a step, from L1, L2, L3 and memory.
        (Case(1, 100, 32), 12 * 32**2 * 100 / 200e6),
        (Case(1, 100, 64), 12 * 64**2 * 100 / 100e6),
        (Case(1, 100, 64, threads=2), 12 * 64**2 * 100 / 400e6),
        (Case(1, 100, 512), 12 * 512**2 * 100 / 50e6),
        (Case(1, 100, 2048, threads=2), 12 * 2048**2 * 100 / 25e6),
        (Case(1, 100, 512, layers=3, bidirectional=True), 6 * 12 * 512**2 * 100 / 50e6),
        (Case(1, 100, 512, train=True), 2 * 12 * 512**2 * 100 / 50e6),
        (Case(1, 100, 512, dtype="float64"), 24 * 512**2 * 100 / 50e6),
    ],
)
def test_the_limit_of_a_cell_is_as_modelled(case, milliseconds):
    assert bench.limit_ms(case, LIMITS) == pytest.approx(milliseconds)


def test_the_percentage_is_of_the_limit():
    one = figure(2.0, torch_ms=8.0, batch=32, hidden=128)  # 4 ms, where 0.63 are the least
    assert Record({}, LIMITS, [one]).percent(one) == pytest.approx(100 * 0.6291456 / 4)
    assert Record({}, None, [one]).percent(one) is None


def test_limits_of_other_threads_are_not_made_up():
    with pytest.raises(ValueError, match="no limits were measured for 3 threads, only for 1, 2"):
        bench.limit_ms(Case(1, 100, 32, threads=3), LIMITS)


def test_cache_sizes_have_a_value_where_the_system_is_silent(monkeypatch):
    assert limits.cache_sizes().keys() == {"L1", "L2", "L3"}
    monkeypatch.setattr(limits.Path, "glob", lambda *_: iter(()))
    sizes = limits.cache_sizes()
    assert 0 < sizes["L1"] < sizes["L2"] < sizes["L3"]


# ---- torch at the same level

HELD = """
import fastgru.bench, torch
fastgru.bench.hold_torch("baseline")
print(torch.backends.cpu.get_cpu_capability(), fastgru.bench.machine()["torch_level"])
"""


def test_torch_is_held_to_a_level():
    settings = ("ATEN_CPU_CAPABILITY", "MKL_ENABLE_INSTRUCTIONS", "ONEDNN_MAX_CPU_ISA")
    environment = {name: value for name, value in os.environ.items() if name not in settings}
    finished = processes.run([sys.executable, "-c", HELD], env=environment)
    assert finished.stdout.split() == ["DEFAULT", "DEFAULT"], finished.stderr
    finished = processes.run([sys.executable, "-c", HELD], env=environment | {"ATEN_CPU_CAPABILITY": "avx2"})
    assert "DEFAULT" not in finished.stdout, finished.stderr  # what the user set stays


# ---- what is made of the files


def run_script(name, tree, *paths):
    """In a tree of its own, so that it writes there."""
    (tree / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / name, tree / "scripts")
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, str(tree / "scripts" / name), *map(str, paths)]
    return processes.run(command, env=environment)


@pytest.fixture
def full_file(tmp_path):
    """Both sides at 1 and 2 threads; the second size is a loss, and what the table does not show is there too."""
    cells = [figure(3.0, torch_ms=6.0), figure(8.0, torch_ms=16.0, threads=2), figure(0.9, hidden=16)]
    others = [figure(4.5, hidden=64, steps=1), figure(9.0, frozen=True), figure(7.0, layers=2), figure(5.0, train=True)]
    machine = bench.machine() | {"level": "avx512"}
    bench.write_json(tmp_path / "full.json", Record(machine, LIMITS, [*cells, *others]))
    return tmp_path / "full.json"


def test_the_tables_show_the_best_of_both_and_losses(tmp_path, full_file):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "performance.md").write_text("before\n<!-- bench:begin -->\nold\n<!-- bench:end -->\nafter\n")
    content = json.loads(full_file.read_text())
    content["machine"]["level"] = "avx2"
    other = tmp_path / "other.json"
    other.write_text(json.dumps(content))
    finished = run_script("speed-tables", tmp_path, full_file, other)
    assert finished.returncode == 0, finished.stderr
    page = (tmp_path / "docs" / "performance.md").read_text()
    assert page.index("**With AVX-512**") < page.index("**With AVX2**")
    assert "| H | inference B=1 | training B=1 |" in page
    assert "| 8 | 3.0x | 5.0x |\n| 16 | **0.90x** |  |\n\n" in page
    words = " ".join(page.split())
    assert "each side at its better number of threads (1 or 2)" in words
    assert "1 of the 5 cells measured is slower than torch." in words
    assert "A single step, B = 1, H = 64, through the module: 4.5x." in words
    assert page.startswith("before\n")
    assert page.endswith("<!-- bench:end -->\nafter\n")
    assert "old" not in page


def test_the_plots_of_the_documentation_are_drawn(tmp_path, full_file):
    finished = run_script("plots", tmp_path, full_file)
    assert finished.returncode == 0, finished.stderr
    plots = sorted((tmp_path / "docs" / "plots").iterdir())
    assert [plot.name for plot in plots] == ["limit-avx512.png", "ratio-avx512.png", "speedup-avx512.png"]
    assert all(plot.read_bytes().startswith(b"\x89PNG") for plot in plots)


def test_the_plot_shows_the_commonest_shape_alone(full_file):
    cells = plotting._commonest_shape(bench.read_json(full_file))
    assert {(cell.case.hidden, cell.case.train, round(cell.ratio, 3)) for cell in cells} == {
        (8, False, 3.0),
        (8, True, 5.0),
        (16, False, 0.9),
    }


# ---- how it is measured


def test_the_layers_take_turns_without_old_gradients_or_garbage_collection():
    calls, leaf = [], torch.ones(3, requires_grad=True)

    def call(name):
        def record():
            calls.append((name, leaf.grad is None, gc.isenabled()))
            leaf.grad = torch.ones(3)

        return record

    rounds = list(measuring._rounds([call("stock"), call("ours")], [[leaf], [leaf]], budget=0.0))
    assert len(rounds) == 5
    turns = [name for name, _ in groupby(name for name, _, _ in calls)]
    assert turns == ["stock", "ours"] * (len(turns) // 2)
    assert all(is_cleared and not collects for _, is_cleared, collects in calls)
    assert gc.isenabled()


def test_results_of_another_shape_give_no_figure(monkeypatch):
    right = fastgru.GRU.forward
    monkeypatch.setattr(fastgru.GRU, "forward", lambda self, x: tuple(part[:1] for part in right(self, x)))
    with pytest.raises(bench.DifferentResults, match="have shape"):
        bench.measure(Case(batch=2, steps=5, hidden=8), budget=0.01)


def test_nan_is_not_agreement(monkeypatch):
    right = fastgru.GRU.forward
    monkeypatch.setattr(fastgru.GRU, "forward", lambda self, x: tuple(part * math.nan for part in right(self, x)))
    with pytest.raises(bench.DifferentResults, match="differ by nan"):
        bench.measure(Case(batch=2, steps=5, hidden=8), budget=0.01)


@pytest.mark.parametrize(("spread", "is_disturbed"), [(0.1, False), (3.0, True)])
def test_rounds_that_differ_much_are_noticed(spread, is_disturbed):
    assert Figure(Case(1, 100, 8), 4.0, 1.0, 4.0, spread, 5).is_disturbed == is_disturbed


@pytest.mark.parametrize(
    ("shares", "times", "is_disturbed"), [([1.0], 1, False), ([0.5, 1.0], 2, False), ([0.5], 5, True)]
)
def test_a_cell_is_measured_again_while_cores_are_shared(monkeypatch, shares, times, is_disturbed):
    measured, pauses = [], []
    figure = Figure(Case(1, 100, 8, threads=2), 4.0, 1.0, 4.0, 0.1, 5)
    monkeypatch.setattr(measuring, "measure", lambda *_: measured.append(1) or figure)
    monkeypatch.setattr(measuring, "share_of_peak", lambda *_: shares[min(len(pauses), len(shares) - 1)])
    monkeypatch.setattr(time, "sleep", pauses.append)
    found = bench.measure_at_peak(figure.case, Limits("avx2", "float32", {}, ()))
    assert len(measured) == times == len(pauses) + 1
    assert found.is_disturbed == is_disturbed


def test_the_better_of_two_measurements_of_the_limits_counts():
    slow, fast = (
        bench.Limits("avx2", "float32", {}, (ThreadLimits(2, peak, {"L1": 3 - peak}),)) for peak in (1.0, 2.0)
    )
    assert bench.better(slow, fast).of(2) == ThreadLimits(2, 2.0, {"L1": 2.0})


def test_the_share_of_the_peak_is_what_threads_do_now_over_what_they_did(monkeypatch):
    before = Limits("avx2", "float32", {}, (ThreadLimits(1, 10.0, {}), ThreadLimits(2, 20.0, {})))
    monkeypatch.setattr(limits, "_best_rate", lambda threads, work, attempts: 5e9)
    assert [limits.share_of_peak(before, threads) for threads in (1, 2)] == [0.5, 0.25]


@pytest.mark.parametrize(("worth", "per_turn"), [(1e9, 501), (0.0, 500)])
def test_a_turn_begins_with_a_call_that_does_not_count(monkeypatch, worth, per_turn):
    calls = []
    monkeypatch.setattr(measuring, "_SECONDS_WORTH_WARMING", worth)
    rounds = list(measuring._rounds([lambda: calls.append(0), lambda: calls.append(1)], [[], []], budget=0.0))
    assert calls.count(0) == calls.count(1) == 3 + len(rounds) * per_turn


def test_json_that_fails_leaves_the_old_file(tmp_path):
    path = tmp_path / "figures.json"
    path.write_text("old")
    with pytest.raises(TypeError):
        bench.write_json(path, Record({"not": "JSON", "at": object()}, None, []))
    assert path.read_text() == "old"
