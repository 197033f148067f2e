"""The comparison with other libraries: its grid, its summary, and the adapters that need no environment."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
import torch

from benchmark_programs import imported

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the comparison needs Linux's scheduling calls")


@pytest.fixture
def comparing(monkeypatch):
    return imported("compare_libraries", monkeypatch)


@pytest.fixture
def _torch_as_before():
    threads, grads = torch.get_num_threads(), torch.is_grad_enabled()
    yield
    torch.set_num_threads(threads)
    torch.set_grad_enabled(grads)


def cell(batch=1, train=False, **us):
    times = {name.replace("_", "-"): {"1": value, "2": 2 * value} for name, value in us.items()}
    return {"hidden": 64, "batch": batch, "steps": 100, "train": train, "us": times, "rounds": 7}


def test_the_grid_has_what_was_asked_for(comparing):
    cells = comparing.grid()
    assert len(cells) == 8 * 4 + 7 * 4 + 7
    assert max(c["hidden"] for c in cells if c["train"]) == 512
    assert [comparing.label(c) for c in comparing.grid([64], [1])] == [
        "infer H=64 B=1 T=100",
        "train H=64 B=1 T=100",
        "infer H=64 B=1 T=1",
    ]
    assert all(c["train"] for c in comparing.grid(modes=[True]))


def test_a_stepper_is_for_single_steps(comparing):
    one, many, training = ({"steps": steps, "train": train} for steps, train in ((1, False), (100, False), (1, True)))
    assert [comparing.takes_part("fastgru-stepper", case) for case in (one, many, training)] == [True, False, False]
    assert [comparing.takes_part("torch", case) for case in (one, many, training)] == [True, True, True]


def test_frozen_counts_at_batch_1_only(comparing):
    assert comparing.verdict(cell(1, torch=90.0, jax=30.0, fastgru=20.0, fastgru_frozen=10.0)) == (
        10.0,
        30.0,
        "jax",
        3.0,
    )
    assert comparing.verdict(cell(8, torch=90.0, jax=30.0, fastgru=20.0, fastgru_frozen=10.0)) == (
        20.0,
        30.0,
        "jax",
        1.5,
    )


def test_the_summary_names_where_we_are_behind(comparing):
    cells = [cell(torch=80.0, fastgru=10.0), cell(torch=20.0, fastgru=10.0), cell(train=True, torch=5.0, fastgru=10.0)]
    assert comparing.summary(cells) == [
        "inference, 2 cells, geometric mean of other / ours: fastest other 4.00, torch 4.00",
        "training, 1 cells, geometric mean of other / ours: fastest other 0.50, torch 0.50",
        "behind by more than 5 %: 1 of 3",
        "  train H=64 B=1 T=100: torch by 100 %",
    ]


def test_a_row_gives_each_entrant_at_its_better_number_of_threads(comparing):
    columns = comparing.row(cell(torch=80.0, fastgru=10.0)).split()
    assert columns == ["infer", "H=64", "B=1", "T=100", "80/1", *"-----", "10/1", *"--", "8.00", "torch"]
    assert len(columns) == 4 + len(comparing.CONTENDERS) + 2


def test_figures_of_other_cells_stay_and_other_versions_are_refused(comparing, tmp_path):
    path, found = (
        tmp_path / "figures.json",
        {"versions": {"torch": "2"}, "commit": "a", "machine": {}, "level": "native"},
    )
    old, new = cell(batch=8, torch=1.0, fastgru=1.0), cell(batch=1, torch=2.0, fastgru=1.0)
    comparing.save(path, found | {"cells": [old, cell(batch=1, torch=9.0, fastgru=1.0)]})
    some = found | {"versions": {"jax": "1"}}
    assert comparing.merged(path, some, [new]) == found | {"versions": {"torch": "2", "jax": "1"}, "cells": [old, new]}
    assert [file.name for file in tmp_path.iterdir()] == ["figures.json"]
    for other in ({"commit": "b"}, {"versions": {"torch": "3"}}, {"level": "avx2"}):
        with pytest.raises(SystemExit, match="other versions"):
            comparing.merged(path, found | other, [new])
    assert json.loads(path.read_text())["cells"][0] == old


@pytest.mark.usefixtures("_torch_as_before")
@pytest.mark.parametrize("train", [False, True])
def test_our_adapters_agree_with_torchs(comparing, train, tmp_path):
    from libraries.worker import Contender

    tiny, reference = {"hidden": 5, "batch": 2, "steps": 3, "train": train}, tmp_path / "reference.npz"
    for module, function in [("torch_gru", "make"), ("fastgru_gru", "make"), ("fastgru_gru", "make_frozen")][
        : 3 - train
    ]:
        contender = Contender(module, function, 1)
        contender.prepare(tiny, str(reference))
        assert contender.turn(1e-6) > 0
    with np.load(reference) as written:
        assert set(written) == ({"output", "weight_hh", "x"} if train else {"output"})


@pytest.mark.usefixtures("_torch_as_before")
def test_the_stepper_agrees_and_goes_on(comparing, tmp_path):
    from libraries.worker import Contender

    single, reference = {"hidden": 5, "batch": 2, "steps": 1, "train": False}, str(tmp_path / "reference.npz")
    Contender("torch_gru", "make", 1).prepare(single, reference)
    stepper = Contender("fastgru_gru", "make_stepper", 1)
    stepper.prepare(single, reference)
    assert stepper.turn(1e-6) > 0


@pytest.mark.usefixtures("_torch_as_before")
def test_wrong_results_are_not_timed(comparing, tmp_path):
    from libraries.worker import Contender

    reference = tmp_path / "reference.npz"
    np.savez(reference, output=np.ones((3, 2, 5), np.float32))
    with pytest.raises(ValueError, match="differ from torch"):
        Contender("torch_gru", "make", 1).prepare({"hidden": 5, "batch": 2, "steps": 3, "train": False}, str(reference))
