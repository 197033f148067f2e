"""The runner of other people's programs: comparison, conclusions, and counts of calls."""

from __future__ import annotations

import json
import os
import sys
import types

import pytest
import torch

import fastgru
import processes
from benchmark_programs import BENCHMARKS, imported

STOCK, OURS = {"torch": 3, "fastgru": 0}, {"torch": 0, "fastgru": 3}


@pytest.fixture
def runner(monkeypatch):
    return imported("programs.run_programs", monkeypatch)


def result(predictions, fit=2.0, predict=0.5, calls=STOCK, loss=0.25):
    names = {"fit": fit, "predict": predict, "loss": loss, "calls": calls, "predictions": predictions}
    return names | {"versions": {"torch": "2"}}


def results(patched, nudged=(1e-5,)):
    return {
        "stock": [result([0.0, 2.0]), result([0.0, 2.0], fit=6.0), result([0.0, 2.0], fit=4.0)],
        "patch": [result([0.0, 2.0 + d], fit=1.0, predict=0.25, calls=OURS) for d in patched],
        "nudged": [result([d, 2.0]) for d in nudged],
    }


def test_a_program_has_an_environment_and_a_file(runner):
    folder = BENCHMARKS / "programs"
    pinned = {path.stem.removeprefix("requirements-") for path in folder.glob("requirements-*.txt")}
    assert {program.replace("_", "-") for program in runner.PROGRAMS} == pinned
    for program in runner.PROGRAMS:
        assert (folder / f"{program}.py").exists()
        requirements = (folder / f"requirements-{program.replace('_', '-')}.txt").read_text().splitlines()
        assert "torch==2.13.0" in requirements
        assert all("==" in line for line in requirements)


def test_a_model_that_is_out_of_reach_is_not_replaced(runner):
    assert runner.modes("skorch") == ["stock", "patch", "replace", "nudged"]
    assert runner.modes("sktime") == ["stock", "patch", "nudged"]


def test_a_difference_is_relative_to_the_range(runner):
    assert runner.difference([1.0, 5.5], [1.0, 5.0]) == 0.125
    assert runner.difference([1.0, 5.0], [1.0, 5.0]) == 0.0


@pytest.mark.parametrize(
    ("predictions", "expected", "words"),
    [
        ([1.0], [1.0, 2.0], "1 predictions, expected 2"),
        ([3.0, 3.0], [3.0, 3.0], "shows nothing"),
        ([1.0, float("nan")], [1.0, 2.0], "not finite"),
        ([1.0, 2.0], [1.0, float("inf")], "shows nothing"),
    ],
)
def test_predictions_that_cannot_be_compared_are_a_failure(runner, predictions, expected, words):
    with pytest.raises(runner.Failure, match=words):
        runner.difference(predictions, expected)


def test_medians_and_the_largest_difference_count(runner):
    row = runner.judged("darts", results(patched=[1e-5, 6e-5, 0.0], nudged=[1e-5, 3e-5]))
    assert row["fit"] == {"stock": 4.0, "patch": 1.0}
    assert row["predict"] == {"stock": 0.5, "patch": 0.25}
    assert row["difference"]["patch"] == pytest.approx(3e-5)
    assert row["tolerance"] == pytest.approx(10 * 1.5e-5)
    assert row["faults"] == []
    (line,) = runner.lines(row)
    assert (
        line == "| darts | patch | yes | 3.0e-05 | 1.5e-05 | 0.25 / 0.25 | 4.00 / 1.00 | 4.0x | 0.500 / 0.250 | 2.0x |"
    )
    assert [text.count("|") for text in runner.heading()] == [line.count("|")] * 2


def test_a_larger_difference_than_roundings_make_is_a_fault(runner):
    row = runner.judged("darts", results(patched=[0.0, 4e-4]))
    assert row["faults"] == ["patch: predictions differ by 0.0002 of their range, over 5e-05"]
    assert "| NO |" in runner.lines(row)[0]


def test_stock_has_to_repeat_itself(runner):
    found = results(patched=[0.0])
    found["stock"][2]["predictions"] = [0.0, 2.1]
    assert runner.judged("darts", found)["faults"][0].startswith("stock: predictions differ by")


def test_where_rounding_leaves_no_trace_some_may_still_differ(runner):
    assert runner.judged("darts", results(patched=[1e-6], nudged=[0.0]))["faults"] == []
    assert runner.judged("darts", results(patched=[1e-5], nudged=[0.0]))["faults"]


@pytest.mark.parametrize(
    ("mode", "calls", "is_right"),
    [
        ("stock", STOCK, True),
        ("patch", OURS, True),
        ("replace", OURS, True),
        ("nudged", STOCK, True),
        ("stock", OURS, False),
        ("patch", STOCK, False),
        ("replace", {"torch": 0, "fastgru": 0}, False),
        ("patch", {"torch": 1, "fastgru": 3}, False),  # ours, but it went on to torch's operator
    ],
)
def test_who_was_called_has_to_fit_the_mode(runner, mode, calls, is_right):
    assert (runner.calls_fault(mode, calls) is None) is is_right


def test_a_program_that_fails_is_named_and_the_others_go_on(runner, monkeypatch):
    def run(program, mode, number, options):
        if (program, mode) == ("darts", "patch"):
            raise runner.Failure("broken")
        return mode, number

    monkeypatch.setattr(runner, "run", run)
    chosen = runner.options(["--environments", "e", "--programs", "darts", "sktime", "--rounds", "2"])
    found, failed = runner.collect(chosen)
    assert failed == {"darts": "patch: broken"}
    assert found == {"sktime": {mode: [(mode, 0), (mode, 1)] for mode in ("stock", "patch", "nudged")}}


def test_an_environment_that_is_missing_is_a_failure(runner, tmp_path):
    chosen = runner.options(["--environments", str(tmp_path), "--programs", "darts", "--rounds", "1"])
    found, failed = runner.collect(chosen)
    assert found == {}
    assert "darts" in failed["darts"]


FAKE = """
import torch
from programs.program import Program

def make():
    model = torch.nn.Sequential(torch.nn.GRU(3, 4))
    return Program(lambda: None, lambda: model(torch.ones(5, 2, 3))[0].detach().ravel(), lambda: 0.0, model)
"""


@pytest.fixture
def worker(runner, monkeypatch):
    from programs import worker

    module = types.ModuleType("programs.fake")
    exec(FAKE, vars(module))
    monkeypatch.setitem(sys.modules, "programs.fake", module)
    # So that both are put back.
    monkeypatch.setattr(torch._VF, "gru", torch._VF.gru)
    monkeypatch.setattr(fastgru.GRU, "forward", fastgru.GRU.forward)
    return worker


def test_each_way_calls_whom_it_should(runner, worker):
    expected = None
    for mode in ("stock", "patch", "replace", "nudged"):
        found = worker.run("fake", mode, 1)
        assert runner.calls_fault(mode, found["calls"]) is None
        expected = expected or found["predictions"]
        gap = runner.difference(found["predictions"], expected)
        assert gap < 1e-6
        assert (gap > 0) or mode != "nudged"


def test_a_call_that_goes_on_to_torchs_operator_is_seen(runner):
    """In a new process: the operator is watched before fastgru is imported."""
    code = (
        "import json, sys, types; module = sys.modules['programs.fake'] = types.ModuleType('programs.fake')\n"
        f"exec({FAKE!r}, vars(module))\n"
        "from programs import worker; print(json.dumps(worker.run('fake', 'patch', 1)['calls']))"
    )
    environment = os.environ | {"FASTGRU_BACKEND": "aten"}
    environment["PYTHONPATH"] = os.pathsep.join([str(BENCHMARKS), *filter(None, sys.path)])
    done = processes.run([sys.executable, "-c", code], env=environment, check=True)
    calls = json.loads(done.stdout)
    assert calls == {"torch": 1, "fastgru": 1}
    assert "torch's operator 1 times" in runner.calls_fault("patch", calls)
