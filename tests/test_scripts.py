"""The parts of scripts/bench that need no build."""

import importlib.machinery
import importlib.util
import os
import sys
from pathlib import Path

import pytest

import processes

ROOT = Path(__file__).parent.parent


def load(name):
    loader = importlib.machinery.SourceFileLoader(name.replace("-", "_"), str(ROOT / "scripts" / name))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def bench():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "dont_write_bytecode", True)
        yield load("bench")


@pytest.fixture(scope="module")
def worker():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "dont_write_bytecode", True)
        patch.setattr(sys, "argv", ["bench-worker"])
        yield load("bench-worker")


class Side:
    """A worker whose calls take the given times, in turn."""

    def __init__(self, name, seconds, log):
        self.name, self.seconds, self.log = name, seconds, log

    def ask(self, action, cell, calls):
        self.log.append(self.name)
        return self.seconds[len(self.log) % len(self.seconds)]


def test_the_default_cells_have_every_mode_and_single_steps(bench):
    cells = bench.arguments(["a", "b"], cores=4).cells
    assert len(cells) == len(set(cells)) == 2 * 2 * 4 * 3 + 2
    assert {cell.threads for cell in cells} == {1, 4}
    assert [str(cell) for cell in cells if cell.steps == 1] == [
        "infer H=64 B=1 T=1, 1 thread",
        "infer H=64 B=1 T=1, 4 threads",
    ]


def test_a_machine_of_one_core_measures_each_cell_once(bench):
    assert {cell.threads for cell in bench.arguments(["a", "b"], cores=1).cells} == {1}


@pytest.mark.parametrize(("options", "modes"), [(["--train"], {True}), (["--infer"], {False}), ([], {False, True})])
def test_options_choose_cells(bench, options, modes):
    sizes = ["--hidden", "8,16", "--batch", "3", "--steps", "5", "--threads", "2"]
    cells = bench.arguments(["a", "b", *sizes, *options], cores=4).cells
    assert set(cells) == {bench.Cell(train, 2, hidden, 3, 5) for train in modes for hidden in (8, 16)}


@pytest.mark.parametrize("argv", [["a"], ["a", "b", "--hidden", "0"], ["a", "b", "--batch", "1,x"], ["a", "b", "c"]])
def test_wrong_arguments_end_with_2(bench, argv, capsys):
    with pytest.raises(SystemExit) as end:
        bench.arguments(argv, cores=2)
    assert end.value.code == 2
    assert "usage" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "slower"),
    [
        ([(0.06, 0.01)], True),
        ([(0.05, 0.05)], False),
        ([(-0.5, -0.5)], False),
        ([(0.3, -0.1)], False),
        ([(0.3, 0.2), (0.3, 0.2), (0.3, 0.2)], True),
        ([(0.3, 0.2), (0.3, 0.2), (0.01, 0.0)], False),
        ([(0.3, 0.2), (0.3, 0.2), (0.3, -0.2)], False),
    ],
)
def test_only_what_is_surely_slower_every_time_is_slower(bench, changes, slower):
    assert bench.steadily_slower(changes) is slower


def test_a_change_is_at_least_what_chance_leaves(bench):
    assert bench.change_of([1.1] * 100) == pytest.approx((0.1, 0.1))
    assert bench.change_of([1 + i / 100 for i in range(101)]) == pytest.approx((0.5, 0.4))
    change, least = bench.change_of([0.1] * 45 + [10.0] * 55)
    assert change == 9
    assert least < 0
    assert bench.change_of([1.2, 1.0, 1.1, 1.3, 1.4]) == pytest.approx((0.2, 0.0))


def test_the_table(bench):
    cell = bench.Cell(True, 1, 256, 32, 100)
    lines = [bench.heading("main", "a-very-long-revision"), bench.row(cell, 0.0012345, 0.0013, (0.053, 0.021))]
    assert lines == [
        f"{'cell':<34}         us of main us of a-very-long-   change  at least",
        "train H=256 B=32 T=100, 1 thread               1234.5             1300.0    +5.3%     +2.1%  slower",
    ]


def test_the_verdict_fails_on_repeated_regressions_and_on_other_results(bench):
    fine, slow, other = (bench.Cell(False, 1, hidden, 1, 1) for hidden in (8, 16, 32))
    lines, status = bench.verdict({fine: [(0.1, 0.1), (0.0, 0.0)]}, {})
    assert status == 0
    assert lines[-1] == "No cell is repeatedly more than 5% slower."
    lines, status = bench.verdict({fine: [(0.0, 0.0)], slow: [(0.21, 0.2)] * 3}, {})
    assert status == 1
    assert lines == [
        "Slower in 3 measurements (+21.0%, +21.0%, +21.0%): infer H=16 B=1 T=1, 1 thread.",
        "2 cells, time changed by +10.0% in the geometric mean.",
    ]
    lines, status = bench.verdict({}, {other: 0.5})
    assert (lines, status) == (["Results differ by 5.0e-01: infer H=32 B=1 T=1, 1 thread."], 1)


def test_the_sides_take_turns_in_changing_order(bench):
    log = []
    sides = (Side("a", [0.01], log), Side("b", [0.011], log))
    a, b, change = bench.measure(bench.Cell(False, 1, 8, 1, 1), sides, budget=0)
    assert (a, b, change) == (0.01, 0.011, pytest.approx((0.1, 0.1)))
    turns = log[2:]
    assert len(turns) == 2 * bench.LEAST_ROUNDS
    rounds = [turns[i : i + 2] for i in range(0, len(turns), 2)]
    assert all(sorted(pair) == ["a", "b"] for pair in rounds)
    assert abs(sum(pair == ["a", "b"] for pair in rounds) * 2 - len(rounds)) == 1


def test_a_failed_command_shows_its_last_lines(bench):
    with pytest.raises(bench.FailureError) as failure:
        bench.run(sys.executable, "-c", "print(*range(50), sep='\\n'); raise SystemExit(3)", about="It failed.")
    assert str(failure.value).splitlines() == ["It failed.", *map(str, range(30, 50))]


def test_an_unknown_revision_ends_with_2_and_one_sentence():
    done = processes.run(
        [sys.executable, "-B", ROOT / "scripts/bench", "no-such-revision", "WORKTREE"],
    )
    assert done.returncode == 2
    assert done.stderr.startswith("No revision 'no-such-revision'")
    assert done.stderr.count("\n") == 1
    assert not done.stdout


def test_native_sources_are_compared_by_content(bench, tmp_path):
    for name, text in (("a", "x"), ("b", "x"), ("c", "y")):
        (tmp_path / name / "csrc").mkdir(parents=True)
        (tmp_path / name / "CMakeLists.txt").write_text("")
        (tmp_path / name / "csrc/one.cpp").write_text(text)
    a, b, c = (bench.native_sources(tmp_path / name) for name in "abc")
    assert a == b != c


def test_deviations_are_relative_to_large_results(worker):
    one = worker.torch.ones(3)
    assert worker.deviation([one], [one]) == 0
    assert worker.deviation([one, one * 0.1], [one, one * 0.2]) == pytest.approx(0.1)
    assert worker.deviation([one * 100], [one * 101]) == pytest.approx(0.01)
    nan = worker.deviation([one, one], [one * float("nan"), one])
    assert nan != nan


@pytest.mark.parametrize("train", [False, True])
def test_a_worker_serves_both_sides_of_a_comparison(worker, train, tmp_path):
    cell, path = [train, 1, 8, 2, 3], str(tmp_path / "results")
    threads = worker.torch.get_num_threads()
    try:
        assert worker.answer("save", cell, path) == 0
        assert worker.answer("compare", cell, path) == 0
        assert worker.answer("turn", cell, 2) > 0
    finally:
        worker.torch.set_num_threads(threads)
    worker.settle()


FINDER = """
import importlib.util, sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        return importlib.util.spec_from_file_location(name, {elsewhere!r}) if name == "fastgru" else None
sys.meta_path.insert(0, Finder())
"""


@pytest.mark.parametrize("has_sources", [True, False])
def test_a_worker_runs_its_own_sources_and_no_installed_ones(has_sources, tmp_path):
    hooks, tree, elsewhere = (tmp_path / name for name in ("hooks", "tree", "elsewhere"))
    for folder in (hooks, tree, elsewhere):
        folder.mkdir()
    if has_sources:
        (tree / "fastgru.py").touch()
    (elsewhere / "fastgru.py").touch()
    (hooks / "sitecustomize.py").write_text(FINDER.format(elsewhere=str(elsewhere / "fastgru.py")))
    path = os.pathsep.join([str(hooks), str(elsewhere)])
    command = [sys.executable, "-B", ROOT / "scripts/bench-worker", tree]
    done = processes.run(command, env={**os.environ, "PYTHONPATH": path})
    assert done.returncode == (0 if has_sources else 1), done.stderr
    assert has_sources or f"not from {tree}" in done.stderr
