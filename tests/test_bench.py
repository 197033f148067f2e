"""The benchmark measures, compares first, and prints nothing for wrong results."""

from __future__ import annotations

import gc
import json
import math
from itertools import groupby

import pytest
import torch

import fastgru
from fastgru import bench
from fastgru.backends import core_calls
from fastgru.bench import Case, Figure


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
    with pytest.raises(bench.DifferentResults, match="no speed is given for wrong numbers"):
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


def test_summaries_take_each_mode_and_thread_count_by_itself():
    def figure(ratio, **case):
        return Figure(Case(1, 100, 8, **case), 1.0, 1.0, ratio, 0.0, 5)

    single = Figure(Case(1, 1, 8), 1.0, 1.0, 50.0, 0.0, 5)
    figures = [figure(2.0), figure(8.0), figure(3.0, train=True), figure(5.0, threads=2), single]
    by_kind = {(s.train, s.threads): s for s in bench.summarize(figures)}
    assert by_kind.keys() == {(False, 1), (False, 2), (True, 1)}
    assert math.isclose(by_kind[False, 1].geometric_mean, 4.0)
    assert by_kind[False, 1].minimum == 2.0


def test_json_is_whole_and_says_what_machine(tmp_path):
    path = tmp_path / "figures.json"
    bench.write_json(path, [bench.measure(Case(batch=1, steps=3, hidden=4), budget=0.01)])
    content = json.loads(path.read_text())
    assert content.keys() == {"machine", "cells", "summary"}
    assert content["machine"]["torch"] == torch.__version__
    assert content["cells"][0]["case"]["hidden"] == 4
    assert [p.name for p in tmp_path.iterdir()] == ["figures.json"]


def test_the_layers_take_turns_without_old_gradients_or_garbage_collection():
    calls, leaf = [], torch.ones(3, requires_grad=True)

    def call(name):
        def record():
            calls.append((name, leaf.grad is None, gc.isenabled()))
            leaf.grad = torch.ones(3)

        return record

    rounds = list(bench._rounds([call("stock"), call("ours")], [[leaf], [leaf]], budget=0.0))
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


def test_json_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "figures.json"
    path.write_text("old")
    monkeypatch.setattr(bench, "machine", lambda: {"not": "JSON", "at": object()})
    with pytest.raises(TypeError):
        bench.write_json(path, [])
    assert path.read_text() == "old"
