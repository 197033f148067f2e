"""The command line: exit codes, output, written files."""

from __future__ import annotations

import io
import json
import math
import os
import re
import sys
import time
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

import fastgru
import processes
from fastgru import _core, bench
from fastgru.bench import Case, Figure, Limits, Record, report
from fastgru.bench.limits import ThreadLimits
from fastgru.cli import commands, console

MISSING_OPACUS = [] if find_spec("opacus") else ["opacus"]  # it is in no extra for developers
QUICK_BENCH = ["bench", "--batch", "1,2", "--hidden", "8", "--steps", "4", "--threads", "1", "--budget", "0.01"]


@pytest.fixture
def run(monkeypatch, tmp_path):
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("fastgru.bench.limits._SLICE", 1e-4)  # rough limits in less time
    return lambda *arguments: CliRunner().invoke(commands.app, [*arguments])


def test_version(run):
    assert run("--version").output.strip() == f"fastgru {fastgru.__version__}"


@pytest.mark.parametrize("command", [[], ["demo"], ["bench"], ["info"]])
def test_help_tells_of_every_option(run, command):
    result = run(*command, "--help")
    assert result.exit_code == 0
    assert "--help" in result.output


@pytest.mark.parametrize("quiet", [False, True])
def test_quiet_shows_no_progress(quiet):
    assert console.progress(quiet).disable is quiet


def test_info_as_a_table(run):
    result = run("info")
    assert result.exit_code == 0
    for word in ("torch", "active", "onnx, cpu, aten, reference", "fastgru[demo]"):
        assert word in result.output


def test_info_as_json(run):
    facts = json.loads(run("info", "--json").output)
    assert facts["fastgru"] == fastgru.__version__
    assert [level["name"] for level in facts["levels"]] == [level.name for level in fastgru.cpu_info()]
    assert facts["backends"] == ["onnx", "cpu", "aten", "reference"]
    extras = {f"fastgru[{name}]": [] for name in ("torch", "cli", "demo", "onnx")}
    assert own_extras(facts) == {**extras, "fastgru[opacus]": MISSING_OPACUS}
    assert "fastgru-recipes" in facts["extras"]


def own_extras(facts):
    """Without those of other packages, which may be installed."""
    return {name: missing for name, missing in facts["extras"].items() if name.startswith("fastgru[")}


def test_info_knows_every_extra_for_users():
    text = (Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8")
    table = text.partition("[project.optional-dependencies]\n")[2].partition("\n[")[0]
    known = set(re.findall(r"^(\w+) = \[", table, re.MULTILINE)) - {"dev", "docs", "all"}
    assert {name for name in commands.EXTRAS if "recipes" not in name} == {f"fastgru[{name}]" for name in known}


def test_info_tells_how_to_get_what_is_missing(run, monkeypatch):
    monkeypatch.setitem(commands.EXTRAS, "fastgru[demo]", ("torch", "no_such_module"))
    assert "missing no_such_module: pip install 'fastgru[demo]'" in run("info").output


def test_bench_prints_a_row_for_each_cell(run, tmp_path):
    result = run(*QUICK_BENCH, "--json", "figures.json")
    assert result.exit_code == 0, result.output
    assert result.output.count("infer") >= 2
    assert "training, 1 thread: geometric mean" in result.output
    assert "Limits of this machine at level" in result.output
    assert "% of limit" in result.output
    assert "Ratios, each side" not in result.output
    assert len(json.loads((tmp_path / "figures.json").read_text())["cells"]) == 4


@pytest.mark.parametrize(("option", "cells"), [("--train", 2), ("--infer", 2)])
def test_bench_of_one_mode(run, tmp_path, option, cells):
    run(*QUICK_BENCH, option, "--json", "figures.json")
    assert len(json.loads((tmp_path / "figures.json").read_text())["cells"]) == cells


def test_bench_prints_no_figure_for_wrong_results(run, monkeypatch, tmp_path):
    right = fastgru.GRU.forward

    def wrong(self, input, hx=None):
        output, h_n = right(self, input, hx)
        return output + 0.1, h_n

    monkeypatch.setattr(fastgru.GRU, "forward", wrong)
    result = run(*QUICK_BENCH, "--json", "figures.json")
    assert result.exit_code == 1
    assert "no speed is given" in result.output
    assert "geometric mean" not in result.output
    assert not (tmp_path / "figures.json").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["bench", "--batch", "0"], "not a list of positive integers"),
        (["bench", "--hidden", "a,b"], "not a list of positive integers"),
        (["bench", "--dtype", "int8"], "neither float32 nor float64"),
        (["bench", "--json", "."], "is a directory"),
        (["bench", "--plot", "."], "is a directory"),
        (["bench", "--compare", "nowhere.json"], "does not exist"),
        (["bench", "--full", "--batch", "1"], "its grid is fixed"),
        (["bench", "--full", "--bidirectional"], "its grid is fixed"),
        (["bench", "--frozen", "--train"], "a frozen layer is for inference"),
        (["demo", "--epochs", "0"], "Invalid value for '--epochs'"),
        (["demo", "--seed", str(2**64)], "Invalid value for '--seed'"),
        (["demo", "--threads", str(commands.CORES + 1)], "Invalid value for '--threads'"),
        (["bench", "--threads", f"1,{commands.CORES + 1}"], "cores here"),
        (["nonsense"], "No such command 'nonsense'"),
    ],
)
def test_wrong_options_are_refused(run, arguments, words):
    result = run(*arguments)
    assert result.exit_code == 2
    assert words in " ".join(result.output.replace("│", " ").split())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--json", "nowhere/figures.json"], "there is no directory nowhere for --json"),
        (["--plot", "nowhere/figures.png"], "there is no directory nowhere for --plot"),
        (["--level", "odd"], "instruction-set level 'odd' cannot run here"),
        (["--compare", "foreign.json"], "foreign.json is not a complete file from `fastgru bench --json`"),
    ],
)
def test_bench_refuses_before_it_measures(run, monkeypatch, tmp_path, arguments, words):
    (tmp_path / "foreign.json").write_text('{"cells": [')
    monkeypatch.setattr("fastgru.bench.measure_at_peak", lambda *_: pytest.fail("it worked first"))
    result = run(*QUICK_BENCH, *arguments)
    assert result.exit_code == 1
    assert words in result.output
    assert "Traceback" not in result.output


def test_bench_names_matplotlib_before_it_works(run, monkeypatch):
    monkeypatch.setattr("fastgru.bench.measure_at_peak", lambda *_: pytest.fail("it worked first"))
    found = console.find_spec
    monkeypatch.setattr(console, "find_spec", lambda name: None if name == "matplotlib" else found(name))
    result = run(*QUICK_BENCH, "--plot", "figures.png")
    assert result.exit_code == 1
    assert "fastgru bench --plot needs matplotlib, which is not installed. Run: pip install 'fastgru[demo]'" in (
        result.output
    )


def test_bench_forces_a_level_and_gives_it_back(run, tmp_path, monkeypatch):
    before, worst = _core.active_level(), fastgru.cpu_info()[-1].name
    held = []
    monkeypatch.setattr("fastgru.bench.hold_torch", held.append)  # this process goes on with what torch uses
    result = run(*QUICK_BENCH, "--level", worst, "--json", "figures.json")
    assert result.exit_code == 0, result.output
    content = json.loads((tmp_path / "figures.json").read_text())
    assert content["machine"]["level"] == content["limits"]["level"] == worst
    assert f"at level {worst}" in result.output
    assert held == [worst]
    assert _core.active_level() == before


def test_bench_compares_with_an_earlier_file(run, tmp_path):
    run(*QUICK_BENCH, "--json", "earlier.json")
    content = json.loads((tmp_path / "earlier.json").read_text())
    content["machine"]["torch"] = "1.0"
    content["cells"][0]["ratio"] *= 1e6
    content["cells"][1]["case"]["hidden"] = 9
    (tmp_path / "earlier.json").write_text(json.dumps(content))
    result = run(*QUICK_BENCH, "--compare", "earlier.json")
    assert result.exit_code == 0, result.output
    assert "torch was 1.0 in earlier.json and is" in result.output
    assert "-100.0%" in result.output
    assert "geometric mean of 3 cells: ratio " in result.output
    assert "only in earlier.json: infer L=1 H=9 B=2 T=4 threads=1\n" in result.output
    assert "not in earlier.json: infer L=1 H=8 B=2 T=4 threads=1\n" in result.output


def test_bench_freezes_inference_when_asked(run, monkeypatch, tmp_path):
    calls = []
    monkeypatch.setattr(fastgru.GRU, "freeze", lambda self: calls.append(self) or self, raising=False)
    monkeypatch.setattr("fastgru.bench.measuring.share_of_peak", lambda *_: 1.0)  # a busy machine repeats no cell
    result = run(*QUICK_BENCH, "--frozen", "--json", "figures.json")
    assert result.exit_code == 0, result.output
    cells = json.loads((tmp_path / "figures.json").read_text())["cells"]
    assert [(cell["case"]["batch"], cell["case"]["train"], cell["case"]["frozen"]) for cell in cells] == [
        (1, False, True),
        (2, False, True),
    ]
    assert len(calls) == 2
    assert result.output.count("frozen ") == 2


def full_figures(spread=0.0):
    """Two sizes; one is a loss, in the other two threads of ours are slower."""
    times = {(8, 1): (4.0, 5.0), (8, 2): (6.0, 4.5), (16, 1): (9.0, 3.0), (16, 2): (6.0, 4.0)}
    return [
        Figure(Case(1, 100, hidden, threads=threads), stock, ours, stock / ours, spread, 5)
        for (hidden, threads), (stock, ours) in times.items()
    ]


@pytest.mark.parametrize(("spread", "note"), [(0.0, ""), (2.0, " (disturbed)")])
def test_a_full_run_prints_the_best_threads_and_counts_losses(run, monkeypatch, spread, note):
    figures = {figure.case: figure for figure in full_figures(spread)}
    monkeypatch.setattr("fastgru.bench.full_cases", lambda *_: list(figures))
    monkeypatch.setattr("fastgru.bench.measure_at_peak", lambda case, limits, budget: figures[case])
    result = run("bench", "--full", "--threads", "1")
    assert result.exit_code == 0, result.output
    table = result.output.partition("Ratios, each side at its")[2]
    rows = [re.findall(r"[\w.]+", line) for line in table.splitlines() if line.strip().startswith("infer ")]
    assert rows == [["infer", "1", "8", "100", "0.89"], ["infer", "1", "16", "100", "2.00"]]
    assert "losses: 1 of 2 cells" in result.output
    slower = [line for line in result.output.splitlines() if "slower with" in line]
    assert slower == [
        f"slower with 2 threads than with one: infer L=1 H=16 B=1 T=100: 4.000 ms instead of 3.000 ms{note}"
    ]


def test_losses_of_the_best_threads_are_red():
    console = Console(record=True, width=160, file=io.StringIO(), force_terminal=True, color_system="standard")
    console.print(report.best_table(bench.best_cells(full_figures())))
    assert re.findall(r"\x1b\[31m([\d.]+)\x1b", console.export_text(styles=True)) == ["0.89"]


def test_bench_draws_its_figures(run, tmp_path):
    result = run(*QUICK_BENCH, "--plot", "figures.png")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "figures.png").read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in tmp_path.iterdir()] == ["figures.png"]


@pytest.mark.parametrize("hidden", ["20000000", "999999999"])
def test_sizes_beyond_memory_are_one_sentence(run, hidden):
    result = run("bench", "--batch", "1", "--steps", "1", "--hidden", hidden, "--threads", "1")
    assert result.exit_code == 1
    assert "need more memory than is available" in result.output


def test_a_bug_keeps_its_traceback(run, monkeypatch):
    monkeypatch.setattr("fastgru.bench.measure_at_peak", lambda *_: (_ for _ in ()).throw(RuntimeError("a bug")))
    assert str(run(*QUICK_BENCH).exception) == "a bug"


def test_demo_writes_its_plot_and_says_who_won(run, tmp_path):
    result = run("demo", "--epochs", "2", "--hidden", "24", "--stride", "12", "--out", "here")
    assert result.exit_code == 0, result.output
    for words in ("training loss, epoch 2", "seasonal naive", "ratio", "forecast.png"):
        assert words in result.output
    assert (tmp_path / "here" / "forecast.png").exists()


def test_demo_fails_when_the_runs_differ(run, monkeypatch):
    monkeypatch.setattr("fastgru.cli.demo.LOSS_TOLERANCE", -1.0)
    monkeypatch.setattr("fastgru.cli.demo._naive_errors", lambda series: (math.inf, math.inf))
    result = run("demo", "--epochs", "1", "--hidden", "4", "--stride", "60")
    assert result.exit_code == 1
    assert "The losses of the two runs differ" in result.output, (result.output, result.exception)
    assert "does not beat" not in result.output


def test_demo_fails_when_the_gru_loses(run, monkeypatch):
    monkeypatch.setattr("fastgru.cli.demo._naive_errors", lambda series: (0.0, 0.0))
    result = run("demo", "--epochs", "1", "--hidden", "4", "--stride", "60")
    assert result.exit_code == 1
    assert "does not beat the naive forecasts" in result.output


def test_demo_prints_json_alone(run, monkeypatch):
    monkeypatch.setattr("fastgru.cli.demo._naive_errors", lambda series: (9.0, 8.0))
    result = run("demo", "--epochs", "1", "--hidden", "4", "--stride", "60", "--json")
    facts = json.loads(result.stdout)
    assert {*facts["runs"]} == {"torch.nn.GRU", "fastgru.GRU"}
    assert len(facts["runs"]["fastgru.GRU"]["losses"]) == 1
    assert (facts["naive_errors"]["as yesterday"], facts["agrees"]) == (9.0, True)


@pytest.mark.parametrize(("share", "is_noted"), [(0.6, True), (1.0, False)])
def test_demo_says_when_other_programs_ran(share, is_noted):
    from fastgru.cli.demo import Settings, compare

    comparison = compare(Settings(epochs=1, hidden=2, stride=500), lambda name: None)
    console = Console(record=True, width=160, file=io.StringIO())
    commands._print_verdict(replace(comparison, share=share), console)
    assert ("of the processor time" in console.export_text()) == is_noted


@pytest.mark.parametrize(("out", "status"), [("file", 2), ("file/inside", 1)])
def test_demo_looks_at_its_directory_before_it_works(run, monkeypatch, tmp_path, out, status):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setattr("fastgru.cli.demo.compare", lambda *_: pytest.fail("it worked first"))
    result = run("demo", "--out", out)
    assert result.exit_code == status
    assert "file" in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize("package", ["torch", "matplotlib"])
def test_demo_names_what_is_missing_before_it_works(run, monkeypatch, package):
    monkeypatch.setattr("fastgru.cli.demo.compare", lambda *_: pytest.fail("it worked first"))
    found = console.find_spec
    monkeypatch.setattr(console, "find_spec", lambda name: None if name == package else found(name))
    result = run("demo")
    assert result.exit_code == 1
    assert f"fastgru demo needs {package}, which is not installed. Run: pip install 'fastgru[demo]'" in result.output


@pytest.mark.slow
def test_the_full_demo_stays_under_two_minutes(run):
    start = time.monotonic()
    result = run("demo")
    assert result.exit_code == 0, result.output
    assert time.monotonic() - start < 120


@pytest.mark.parametrize(("ratio", "spread", "code"), [(0.9, 0.0, "31"), (4.0, 3.0, "33"), (4.0, 0.1, None)])
def test_losses_are_red_and_disturbed_cells_yellow(ratio, spread, code):
    table = report.cells_table(Record({}, None, [Figure(Case(1, 100, 8), 1.0, 1.0, ratio, spread, 5)]))
    console = Console(record=True, width=160, file=io.StringIO(), force_terminal=True, color_system="standard")
    console.print(table)
    row = next(line for line in console.export_text(styles=True).splitlines() if "infer" in line)
    colours = set(re.findall(r"\x1b\[(3[13])m", row))
    assert colours == ({code} if code else set())


@pytest.mark.parametrize(("variable", "words"), [("FASTGRU_ISA", "level 'odd'"), ("FASTGRU_BACKEND", "backend 'odd'")])
def test_a_wrong_environment_is_one_sentence(variable, words):
    finished = processes.run(
        [sys.executable, "-m", "fastgru", "info"],
        env={**os.environ, variable: "odd"},
    )
    assert finished.returncode == 1
    assert words in finished.stderr
    assert "Traceback" not in finished.stderr


def run_in_a_fresh_process(code: str) -> str:
    return processes.run([sys.executable, "-c", code], check=True).stdout


def test_help_loads_nothing_heavy():
    code = "import sys, fastgru.cli.commands; print([m for m in ('torch', 'numpy', 'matplotlib') if m in sys.modules])"
    assert run_in_a_fresh_process(code).strip() == "[]"


def test_info_works_without_torch():
    code = (
        "import sys; sys.modules['torch'] = None; sys.argv = ['fastgru', 'info', '--json']\n"
        "from fastgru.cli import main; main()"
    )
    facts = json.loads(run_in_a_fresh_process(code))
    assert facts["torch"] is None
    assert facts["backends"] == []
    assert own_extras(facts) == {
        "fastgru[torch]": ["torch"],
        "fastgru[cli]": [],
        "fastgru[demo]": ["torch"],
        "fastgru[onnx]": ["torch"],
        "fastgru[opacus]": ["torch", *MISSING_OPACUS],
    }
    assert any(level["active"] for level in facts["levels"])


def test_without_its_extra_the_command_says_what_to_install():
    code = (
        "import sys\n"
        "class Blocker:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'typer': raise ModuleNotFoundError(\"No module named 'typer'\", name='typer')\n"
        "sys.meta_path.insert(0, Blocker())\n"
        "from fastgru.cli import main\n"
        "main()"
    )
    finished = processes.run([sys.executable, "-c", code])
    assert finished.returncode == 1
    assert finished.stderr.strip() == (
        "The command fastgru needs typer, which is not installed. Run: pip install 'fastgru[cli]'"
    )


@pytest.mark.parametrize("command", ["train classify --data reviews.csv", "predict run", "examples", "compare lstm"])
def test_without_the_recipes_their_commands_say_what_to_install(command):
    code = (
        "import importlib.metadata, sys\n"
        "importlib.metadata.entry_points = lambda group: ()\n"
        "sys.modules['fastgru_recipes'] = None\n"
        f"sys.argv = {['fastgru', *command.split()]}\n"
        "from fastgru.cli import main\n"
        "main()"
    )
    finished = processes.run([sys.executable, "-c", code])
    assert finished.returncode == 1
    assert finished.stderr.strip() == (
        f"error: fastgru {command.split()[0]} needs fastgru_recipes, which is not installed. "
        "Run: pip install fastgru-recipes"
    )


def test_runs_as_a_module():
    finished = processes.run([sys.executable, "-m", "fastgru", "--version"], check=True)
    assert finished.stdout.strip() == f"fastgru {fastgru.__version__}"


@pytest.mark.parametrize(("peak", "is_noted"), [(1e-3, True), (1e6, False)])
def test_impossible_percentages_are_noted(peak, is_noted):
    reads = dict.fromkeys(("L1", "L2", "L3", "memory"), 1e6)
    limits = Limits("avx2", "float32", {"L1": 1 << 15}, (ThreadLimits(1, peak, reads),))
    console = Console(record=True, width=160, file=io.StringIO())
    report.print_record(Record({}, limits, [Figure(Case(1, 100, 8), 1.0, 1.0, 1.0, 0.0, 5)]), False, console)
    assert ("Percentages above 100" in console.export_text()) == is_noted


def test_no_digit_is_cut_off_in_80_columns():
    figure = Figure(Case(128, 5000, 1024, 2, True, 16, True), 1234.567, 1000.125, 12.34, 10.25, 5)
    console = Console(record=True, width=80, file=io.StringIO())
    console.print(report.cells_table(Record({}, None, [figure])))
    row = console.export_text().splitlines()[-2].split()
    assert row == ["train", "16", "2", "x", "2", "1024", "128", "5000", "1234.567", "1000.125", "12.34", "10.25"]
