"""What the layer should reach, from files of figures; and the measurement of percents and steps itself."""

from __future__ import annotations

import json

import pytest
import torch

from benchmark_programs import BENCHMARKS, imported
from fastgru import _core


@pytest.fixture
def goals(monkeypatch):
    return imported("goals", monkeypatch)


@pytest.fixture
def peak(monkeypatch):
    peak = imported("peak", monkeypatch)
    monkeypatch.setattr(peak, "TURN_SECONDS", 1e-4)
    monkeypatch.setattr(peak, "ROUNDS", 1)
    threads, level = torch.get_num_threads(), _core.active_level()
    yield peak
    torch.set_num_threads(threads)
    _core.set_active_level(level)


def race(train, hidden, ratio, steps=100):
    us = {"torch": {"1": 10 * ratio}, "fastgru": {"1": 10.0}}
    return {"hidden": hidden, "batch": 8, "steps": steps, "train": train, "us": us, "rounds": 7}


def test_a_race_has_a_mean_and_a_worst_cell(goals):
    lines = goals.race_lines(
        "avx2", [race(False, 16, 4.0), race(False, 32, 0.9), race(True, 16, 1.2), race(True, 8, 9)]
    )
    assert [(line.found, line.is_reached) for line in lines] == [
        ("1.90", True),
        ("0.90 H=32 B=8, 1 below", False),
        ("1.20", False),
        ("1.20 H=16 B=8, 0 below", True),
    ]


def test_single_steps_are_judged_apart(goals):
    lines = goals.race_lines("avx512", [race(False, 16, 4.0), race(False, 64, 0.7, steps=1), race(False, 16, 2.0, 1)])
    assert [(line.found, line.is_reached) for line in lines] == [
        ("4.00", True),
        ("4.00 H=16 B=8, 0 below", True),
        ("0.70 H=64 B=8, 1 below", False),
    ]


def test_the_figures_that_are_kept_are_judged_line_by_line(goals):
    lines = goals.lines_of(BENCHMARKS / "results")
    for level in goals.RACES:
        told = [line.what for line in lines if line.level == level]
        for part in ("training, fastest", "inference, percent", "backward, percent", "one step, fastest", "stepper"):
            assert any(part in what for what in told), (level, part)


def test_the_least_percent_of_the_sizes_counts(goals):
    cells = [
        {"level": "avx2", "hidden": hidden, "batch": batch, "percent": {"inference": percent, "backward": percent}}
        for hidden, batch, percent in ((32, 1, 10), (32, 8, 63), (256, 8, 95), (512, 32, 89), (512, 8, 91))
    ]
    found = {line.what: (line.found, line.is_reached) for line in goals.peak_lines("avx2", cells)}
    assert found == {
        "inference, percent of the peak, H = 32": ("63 H=32 B=8", True),
        "inference, percent of the peak, H = 256": ("89 H=512 B=32", False),
        "backward, percent of the peak, H >= 64": ("89 H=512 B=32", True),
    }


@pytest.mark.parametrize("level", [name for name, is_there in _core.levels() if is_there and name != "baseline"])
def test_percents_and_steps_are_measured_at_each_level(peak, level, capsys):
    found = peak.measure(level, [5], [2])
    assert [set(cell["percent"]) for cell in found["cells"]] == [{"inference", "training forward", "backward"}]
    assert all(0 < percent < 100 for percent in found["cells"][0]["percent"].values())
    assert set(found["steps"][0]["us"]) == {"plain", "frozen", "stepper", "torch"}
    assert json.dumps(found)
    assert f"{level} H=5 B=2" in capsys.readouterr().out
