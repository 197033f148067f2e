"""Common code of all recipes: training, checkpoints, run directories, several processes."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest
import torch
from torch import distributed
from torch.testing._internal.distributed.fake_pg import FakeStore

import processes
from fastgru.errors import ArgumentError, WriteError
from fastgru_recipes import errors, recipe_class
from fastgru_recipes.classify import Classify, Labelled
from fastgru_recipes.dropout import Dropout, Rows, masks
from fastgru_recipes.training import run_directory
from fastgru_recipes.training.batching import Batches, Share, loader
from fastgru_recipes.training.learner import Learner
from fastgru_recipes.training.train import train
from tiny_data import CLASSIFIER, Interrupting, same_weights, texts


@pytest.fixture
def recipe():
    return Classify(**CLASSIFIER)


def write_csv(path, data):
    pd.DataFrame({"text": data.sequences, "label": data.labels}).to_csv(path, index=False)
    return path


def command(*arguments, **options):
    return [sys.executable, "-m", "fastgru", "train", "classify", *map(str, arguments)] + [
        text
        for name, value in {**CLASSIFIER, **options}.items()
        for text in (f"--{name.replace('_', '-')}", str(value))
    ]


# ---- options


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"hidden": 0}, "hidden=0 is too small: the smallest allowed value is 1"),
        ({"validation": 2.0}, "validation=2.0 is too large"),
        ({"epochs": 1.5}, "epochs=1.5 is not an integer"),
        ({"layer": "gru"}, "layer='gru' is not one of 'fastgru', 'torch', 'lstm'"),
        ({"rate": float("nan")}, "rate=nan is too small"),
        ({"clip": "much"}, "clip='much' is not a number"),
    ],
)
def test_an_option_out_of_bounds_is_named(options, words):
    with pytest.raises(ValueError, match=words):
        Classify(**options)


def test_an_unknown_recipe_is_named():
    with pytest.raises(ArgumentError, match="no recipe 'segment'"):
        recipe_class("segment")


# ---- batches


def test_an_epoch_has_every_example_once_and_similar_lengths_together():
    lengths = np.random.default_rng(0).integers(1, 100, size=300)
    batches = list(Batches(lengths, 16, seed=1, shuffle=True))
    assert sorted(index for batch in batches for index in batch) == list(range(300))
    spread = np.mean([np.ptp(lengths[batch]) for batch in batches])
    assert spread < 20  # of 99


def test_the_order_depends_on_the_epoch_and_on_nothing_else():
    batches, other = (Batches([1] * 50, 8, seed=3, shuffle=True) for _ in range(2))
    first = list(batches)
    batches.set_epoch(1)
    torch.manual_seed(7)
    assert list(other) == first
    assert list(batches) != first


def test_processes_share_each_batch():
    """Also when they find each other only after the batches were made, as under Lightning."""
    batches = Batches([1] * 17, 8, seed=0, shuffle=True)
    whole, shares = list(batches), []
    for rank in range(2):
        distributed.init_process_group("fake", store=FakeStore(), rank=rank, world_size=2)
        shares.append(list(batches))
        distributed.destroy_process_group()
    assert [sorted(a + b) for a, b in zip(*shares, strict=True)] == [sorted(batch) for batch in whole]
    assert sorted(len(batch) for batch in shares[1]) == [0, 4, 4]


def test_a_process_without_an_example_takes_part_with_one_that_does_not_count(recipe):
    data = texts(8)
    state = recipe.learn_state(data)
    learner = Learner(recipe, recipe.build(state))
    dataset = loader(recipe, recipe.examples(data, state)).dataset
    assert learner._loss(dataset[Share(torch.tensor([0]), 0, 2)]).terms == 1
    total, terms = learner._loss(dataset[Share(torch.tensor([0]), 1, 2)])
    assert (total.item(), terms) == (0.0, 0)


# ---- training


def test_the_gradient_is_clipped_and_its_norm_before_that_is_kept(recipe, monkeypatch):
    seen = []
    step = torch.optim.Adam.step

    def watched(self, *args, **kwargs):
        result = step(self, *args, **kwargs)
        gradients = [p.grad for group in self.param_groups for p in group["params"] if p.grad is not None]
        seen.append(float(torch.nn.utils.get_total_norm(gradients)))
        return result

    monkeypatch.setattr(torch.optim.Adam, "step", watched)
    trained = train(replace(recipe, clip=0.01), texts())
    assert max(seen) < 0.0101
    assert trained.history["gradient_norm"].min() > 0.02
    assert (trained.history["gradient_norm_largest"] >= trained.history["gradient_norm"]).all()


def test_the_best_epoch_is_kept(recipe):
    recipe = replace(recipe, rate=0.5, epochs=6, clip=0.0, seed=6)
    trained = train(recipe, texts())  # too fast: the loss jumps
    losses = trained.history["validation_loss"]
    examples = trained.recipe.examples(trained.recipe.split(texts())[1], trained.state)
    with torch.no_grad():
        loss = recipe.loss(trained.model, recipe.collate(examples))
    assert losses.min() < losses.iloc[-1]
    assert float(loss.total / loss.terms) == pytest.approx(losses.min(), rel=1e-5)


def test_training_stops_when_patience_ends(recipe):
    trained = train(replace(recipe, rate=0.0, epochs=9, patience=2), texts())
    assert len(trained.history) == 3


def test_nothing_is_held_out_when_so_asked(recipe):
    trained = train(replace(recipe, validation=0.0), texts(), test=texts(seed=1))
    assert "validation_loss" not in trained.history
    assert trained.metrics["scored_on"] == "test"


def test_one_process_trains_within_the_job_of_a_cluster(recipe, monkeypatch):
    for name, value in {"SLURM_NTASKS": "2", "SLURM_JOB_NAME": "job", "SLURM_JOB_ID": "1", "SLURM_PROCID": "0"}.items():
        monkeypatch.setenv(name, value)
    assert train(replace(recipe, epochs=1), texts()).metrics["scores"]


def test_the_same_seed_gives_the_same_bits(recipe):
    one, other = (train(recipe, texts()) for _ in range(2))
    assert same_weights(one.model, other.model)
    assert not same_weights(one.model, train(replace(recipe, seed=1), texts()).model)


@pytest.mark.parametrize("precision", ["bf16-mixed", "64-true"])
def test_other_precisions_train(recipe, precision):
    trained = train(replace(recipe, precision=precision), texts())
    assert np.isfinite(trained.history["training_loss"]).all()


def test_torchs_layer_learns_the_same(recipe):
    ours, stock = (train(replace(recipe, layer=layer, dropout=0.0), texts()) for layer in ("fastgru", "torch"))
    np.testing.assert_allclose(ours.history["validation_loss"], stock.history["validation_loss"], rtol=1e-4)


# ---- interruptions


@pytest.mark.parametrize(("batch", "precision"), [(2, "32-true"), (9, "32-true"), (20, "32-true"), (9, "64-true")])
def test_a_run_that_goes_on_ends_in_the_same_bits(recipe, tmp_path, monkeypatch, batch, precision):
    recipe = replace(recipe, precision=precision)
    undisturbed = train(recipe, texts(), directory=tmp_path / "whole")
    handler = signal.getsignal(signal.SIGINT)
    with monkeypatch.context() as patch:
        Interrupting(patch, batch)
        with pytest.raises(errors.TrainingInterrupted, match="resume=True"):
            train(recipe, texts(), directory=tmp_path / "cut")
    assert signal.getsignal(signal.SIGINT) == handler
    resumed = train(recipe, texts(), directory=tmp_path / "cut", resume=True)
    assert same_weights(undisturbed.model, resumed.model)
    pd.testing.assert_frame_equal(
        undisturbed.history.drop(columns="seconds"), resumed.history.drop(columns="seconds"), check_exact=True
    )
    assert undisturbed.metrics["scores"] == resumed.metrics["scores"]


def test_ctrl_c_on_the_command_line_leaves_a_checkpoint_that_goes_on(tmp_path):
    data, out = write_csv(tmp_path / "data.csv", texts(400)), tmp_path / "run"
    asked = command("--data", data, "--out", out, epochs=4000)
    with processes.started(asked, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        processes.wait_for((out / "checkpoints/best.ckpt").exists, process)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGINT
    assert "Stopping after this batch. Press Ctrl-C again to stop at once." in said
    assert "--resume to continue" in said
    assert "Traceback" not in said
    torch.load(out / "checkpoints/last.ckpt", weights_only=True)
    with pytest.raises(errors.RunError, match="this run is not finished"):
        run_directory.Trained.load(out)


@pytest.mark.parametrize("when", ["written", "renamed"])
def test_an_interrupted_save_leaves_the_checkpoint_before_it(recipe, tmp_path, monkeypatch, when):
    saves = []
    write, rename = Path.write_bytes, Path.replace
    full = OSError(errno.ENOSPC, "No space left on device")

    def failing(path, content):
        if path.suffix == ".ckpt":
            saves.append(path)
        if len(saves) < 5 or when == "renamed":
            return write(path, content)
        write(path, b"half of")
        raise full

    def renaming(path, target):
        if len(saves) == 5:
            raise full
        return rename(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", failing)
        patch.setattr(Path, "replace", renaming)
        words = r"run/checkpoints/\w+.ckpt cannot be written: No space left on device. .* resume=True then, to continue"
        with pytest.raises(OSError, match=words) as caught:
            train(recipe, texts(), directory=tmp_path / "run")
    assert isinstance(caught.value, WriteError)
    checkpoints = tmp_path / "run/checkpoints"
    assert {path.name for path in checkpoints.iterdir()} == {"best.ckpt", "last.ckpt"}
    for path in checkpoints.iterdir():
        torch.load(path, weights_only=True)
    resumed = train(recipe, texts(), directory=tmp_path / "run", resume=True)
    assert same_weights(resumed.model, train(recipe, texts()).model)


def test_a_run_that_goes_on_still_knows_its_best_epoch(recipe, tmp_path, monkeypatch):
    recipe = replace(recipe, rate=0.2, clip=0.0, seed=16)
    undisturbed = train(recipe, texts(), directory=tmp_path / "whole")
    first, second, third = undisturbed.history["validation_loss"]
    assert second < third < first  # the third, which is cut, is worse than the best and better than all before that
    with monkeypatch.context() as patch:
        Interrupting(patch, 2 * (5 + 2) + 3)
        with pytest.raises(errors.TrainingInterrupted):
            train(recipe, texts(), directory=tmp_path / "cut")
    (tmp_path / "cut").rename(tmp_path / "moved")
    resumed = train(recipe, texts(), directory=tmp_path / "moved", resume=True)
    assert same_weights(undisturbed.model, resumed.model)


@pytest.mark.parametrize("step", ["score", "plots"])
def test_what_comes_after_training_is_done_again(tmp_path, monkeypatch, step):
    recipe = Classify(
        **{**CLASSIFIER, "rate": 0.0, "epochs": 9, "patience": 2}
    )  # it ends early, and must not go on then
    undisturbed = train(recipe, texts(), directory=tmp_path / "whole")

    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Classify, step, interrupted)
        with pytest.raises(errors.TrainingInterrupted, match=r"Training has ended.*resume=True"):
            train(recipe, texts(), directory=tmp_path / "cut")
    resumed = train(recipe, texts(), directory=tmp_path / "cut", resume=True)
    assert len(resumed.history) == len(undisturbed.history) == 3
    assert same_weights(undisturbed.model, resumed.model)
    assert {path.name for path in (tmp_path / "cut/plots").iterdir()} == {"confusion.png", "learning.png"}


@pytest.mark.parametrize(
    ("file", "content"), [("last.ckpt", b""), ("last.ckpt", b"none"), ("last.ckpt", "best.ckpt"), ("best.ckpt", b"no")]
)
def test_a_damaged_checkpoint_is_named(recipe, tmp_path, monkeypatch, file, content):
    with monkeypatch.context() as patch:
        Interrupting(patch, 20)
        with pytest.raises(errors.TrainingInterrupted):
            train(recipe, texts(), directory=tmp_path / "run")
    checkpoints = tmp_path / "run/checkpoints"
    whole = (checkpoints / content).read_bytes() if isinstance(content, str) else content
    (checkpoints / file).write_bytes(whole)
    if file == "best.ckpt":  # asked for at the end, if no later epoch is better
        monkeypatch.setattr("fastgru_recipes.training.learner._has_stopped", lambda *_: True)
    with pytest.raises(errors.RunError, match=f"{file} is "):
        train(recipe, texts(), directory=tmp_path / "run", resume=True)


@pytest.mark.parametrize(
    ("options", "what"),
    [({}, "the loss"), ({"batch": 64}, "the loss"), ({"batch": 64, "validation": 0.0}, r"\S+\.weight")],
)
def test_numbers_that_are_none_end_training(recipe, tmp_path, options, what):
    words = rf"{what} is -?(nan|inf) in epoch 1. Choose a smaller rate than 1e\+"
    with pytest.raises(errors.TrainingDiverged, match=words):
        train(replace(recipe, rate=1e308, clip=0.0, **options), texts(), directory=tmp_path / "run")


def test_training_leaves_random_numbers_as_they_were(recipe):
    before = torch.get_rng_state()
    with torch.inference_mode():
        train(recipe, texts())
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"hidden": 9}, "other options: hidden was 8 and is 9"),
        ({"data": Labelled(["cab", "bac"] * 24, ["c", "b"] * 24)}, "other data"),
        ({"facts": {"data": "other.csv"}}, "other data"),
    ],
)
def test_a_run_does_not_go_on_with_other_things(recipe, tmp_path, monkeypatch, change, words):
    facts = {"data": "this.csv"}
    with monkeypatch.context() as patch:
        Interrupting(patch, 9)
        with pytest.raises(errors.TrainingInterrupted):
            train(recipe, texts(), directory=tmp_path / "run", facts=facts)
    options = {name: value for name, value in change.items() if name == "hidden"}
    data, facts = change.get("data", texts()), change.get("facts", facts)
    with pytest.raises(errors.RunError, match=words):
        train(replace(recipe, **options), data, directory=tmp_path / "run", resume=True, facts=facts)


# ---- several processes


@pytest.mark.parametrize("shape", [(5, 7), (5, 4, 7), (5, 4, 2, 7)])
def test_dropout_of_an_example_is_the_same_in_any_process(shape):
    layer, values = Dropout(0.5), torch.ones(shape)
    with masks([3], Rows(5)):
        whole, next_one = layer(values), layer(values)
    assert not torch.equal(whole, next_one)
    assert {*whole.unique().tolist()} == {0.0, 2.0}
    for first in range(2):
        own = values[first::2] if len(shape) == 2 else values[first::2, :3]  # padding may be shorter
        with masks([3], Rows(5, first, 2)):
            assert torch.equal(layer(own), whole[first::2][tuple(slice(0, size) for size in own.shape)])
    with masks([4], Rows(5)):
        assert not torch.equal(layer(values), whole)
    assert layer.eval()(values) is values


def test_dropout_has_its_rate():
    with masks([0], Rows(100)):
        found = Dropout(0.3)(torch.ones(100, 50, 20))
    assert (found == 0).double().mean().item() == pytest.approx(0.3, abs=0.01)
    assert found.mean().item() == pytest.approx(1, abs=0.02)


def test_two_processes_learn_what_one_learns(tmp_path):
    data = write_csv(tmp_path / "data.csv", texts(66))  # 51 are learned from: batches of 7, and one of 2
    histories = []
    for devices in (1, 2):
        out = tmp_path / f"run{devices}"
        asked = command("--data", data, "--out", out, "--devices", devices, batch=7)  # with dropout
        done = processes.run(asked, env=alone())
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("macro_f1") == 1  # one of them prints
        histories.append(pd.read_csv(out / "metrics.csv").drop(columns="seconds"))
    np.testing.assert_allclose(histories[0], histories[1], rtol=1e-4)


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_two_processes_end_together(tmp_path, ending):
    data, out = write_csv(tmp_path / "data.csv", texts(64)), tmp_path / "run"
    asked = command("--data", data, "--out", out, "--devices", 2, epochs=40000)
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "env": alone()}
    with processes.started(asked, **options) as process:
        processes.wait_for((out / "checkpoints/best.ckpt").exists, process)
        others = psutil.Process(process.pid).children()
        assert len(others) == 1
        if ending == signal.SIGINT:
            os.killpg(process.pid, ending)  # Ctrl-C reaches both
        else:
            process.send_signal(ending)
        _, said = process.communicate(timeout=60)
        _, alive = psutil.wait_procs(others, timeout=10)
    assert process.returncode == 128 + ending
    assert said.count("--resume to continue") == 1
    assert "Traceback" not in said
    assert [each for each in alive if each.status() != psutil.STATUS_ZOMBIE] == []  # whoever collects them


def test_torchrun_starts_the_same_command(tmp_path):
    data, out = write_csv(tmp_path / "data.csv", texts(64)), tmp_path / "run"
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    asked = [*launcher, *command("--data", data, "--out", out)[1:]]
    done = processes.run(asked, env=alone())
    assert done.returncode == 0, done.stderr
    assert len(pd.read_csv(out / "metrics.csv")) == 3


def alone():
    """Without what pytest or a launcher put into the environment."""
    return {name: value for name, value in os.environ.items() if name not in ("RANK", "LOCAL_RANK", "WORLD_SIZE")}
