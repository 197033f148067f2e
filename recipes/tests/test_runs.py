"""Run directories: their content, and errors if something in them is wrong."""

from __future__ import annotations

import errno
import json
from contextlib import contextmanager
from dataclasses import replace

import pandas as pd
import pytest
import safetensors.torch

from fastgru.errors import ArgumentError
from fastgru_recipes import errors
from fastgru_recipes.classify import Classify, Labelled
from fastgru_recipes.training import run_directory
from fastgru_recipes.training.train import train
from tiny_data import CLASSIFIER, same_weights, texts


@pytest.fixture
def recipe():
    return Classify(**CLASSIFIER)


@pytest.fixture
def finished(recipe, tmp_path):
    return train(recipe, texts(), directory=tmp_path / "run")


def test_a_run_directory_holds_all_that_was_learned(finished, tmp_path):
    directory = tmp_path / "run"
    assert {path.name for path in directory.iterdir()} == {
        "checkpoints", "config.json", "metrics.csv", "metrics.json", "plots", "vocabulary.json", "weights.safetensors"
    }  # fmt: skip
    assert {path.name for path in (directory / "plots").iterdir()} == {"confusion.png", "learning.png"}
    loaded = run_directory.Trained.load(directory)
    assert loaded.recipe == finished.recipe
    assert same_weights(loaded.model, finished.model)
    assert json.loads((directory / "metrics.json").read_text())["scores"] == finished.metrics["scores"]
    assert list(pd.read_csv(directory / "metrics.csv")["epoch"]) == [1, 2, 3]


def test_paths_may_be_texts(recipe, tmp_path):
    path = tmp_path / "data.csv"
    pd.DataFrame({"text": texts().sequences, "label": texts().labels}).to_csv(path, index=False)
    run = train(recipe, recipe.read(str(path)), directory=str(tmp_path / "run"))
    run.save(str(tmp_path / "copy"))
    assert same_weights(run.model, run_directory.Trained.load(str(tmp_path / "copy")).model)


def test_a_directory_in_use_is_refused(finished, recipe, tmp_path):
    with pytest.raises(errors.RunError, match="exists and is not empty"):
        train(recipe, texts(), directory=tmp_path / "run")
    with pytest.raises(errors.RunError, match="is finished"):
        train(recipe, texts(), directory=tmp_path / "run", resume=True)
    with pytest.raises(errors.RunError, match="holds no run to resume"):
        train(recipe, texts(), directory=tmp_path / "other", resume=True)


def test_a_directory_must_be_one(recipe, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(errors.RunError, match=r"is a file. Choose another directory"):
        train(recipe, texts(), directory=tmp_path / "file")
    with pytest.raises(errors.RunError, match=r"it has no config.json"):
        train(recipe, texts(), directory=tmp_path, resume=True)


def test_sizes_without_bounds_leave_no_directory(recipe, tmp_path):
    with pytest.raises(RuntimeError, match="memory"):
        train(replace(recipe, hidden=10**7), texts(), directory=tmp_path / "run")
    assert not (tmp_path / "run").exists()
    with pytest.raises(ArgumentError, match="is too large"):
        replace(recipe, hidden=10**20)


def test_bad_data_leave_no_directory(recipe, tmp_path):
    with pytest.raises(errors.DataError, match="needs two or more"):
        train(recipe, Labelled(["a", "b", "c", "d"], ["x"] * 4), directory=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("config.json", None, "is not a run directory"),
        ("config.json", "{", "is not a valid JSON file"),
        ("config.json", '{"format": 3}', "newer than this one"),
        ("config.json", '{"format": 1}', "an earlier version, whose networks differ"),
        ("config.json", '{"recipe": "cook"}', "names the recipe 'cook'"),
        ("config.json", '{"recipe": "classify", "options": {"size": 1}}', "options that classify does not have"),
        ("config.json", "[]", "is not a config of a run"),
        ("config.json", '{"format": "x"}', "is not a config of a run"),
        ("config.json", '{"recipe": "classify", "options": {"hidden": 0}}', "hidden=0 is too small"),
        ("vocabulary.json", None, "is missing"),
        ("vocabulary.json", "[]", "is not the one that weights.safetensors was trained with"),
        ("weights.safetensors", "none", "is damaged"),
    ],
)
def test_a_broken_run_directory_is_explained(finished, tmp_path, file, content, words):
    path = tmp_path / "run" / file
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(errors.RunError, match=words):
        run_directory.Trained.load(tmp_path / "run")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        *(("metrics.json", content) for content in (b"", b"{", b"[]", b"\xff")),
        *(("metrics.csv", c) for c in (b"", b"\xff")),
    ],
)
def test_damaged_figures_are_left_out(finished, tmp_path, name, content):
    path = tmp_path / "run" / name
    path.write_bytes(content)
    with pytest.warns(errors.RunWarning, match=rf"{name} is damaged .*: its figures are left out"):
        loaded = run_directory.Trained.load(tmp_path / "run")
    assert same_weights(loaded.model, finished.model)
    assert {} in (loaded.metrics, loaded.history.to_dict())


@pytest.mark.parametrize("name", ["metrics.json", "metrics.csv"])
def test_figures_may_be_missing(finished, tmp_path, name):
    (tmp_path / "run" / name).unlink()
    (tmp_path / "run" / name).mkdir()
    with pytest.warns(errors.RunWarning, match=rf"{name} is damaged"):
        run_directory.Trained.load(tmp_path / "run")
    (tmp_path / "run" / name).rmdir()
    assert same_weights(run_directory.Trained.load(tmp_path / "run").model, finished.model)


@pytest.mark.parametrize("validation", [0.25, 0.0])
def test_a_finished_run_without_its_weights_has_those_of_its_checkpoint(recipe, tmp_path, validation):
    recipe = replace(recipe, validation=validation, rate=0.5, epochs=6, clip=0.0)  # the last epoch is not the best
    finished = train(recipe, texts(), directory=tmp_path / "run")
    (tmp_path / "run/weights.safetensors").unlink()
    kept = "best.ckpt" if validation else "last.ckpt"
    with pytest.warns(
        errors.RunWarning, match=rf"weights.safetensors was missing. It is restored from .*{kept}, which"
    ):
        loaded = run_directory.Trained.load(tmp_path / "run")
    assert same_weights(loaded.model, finished.model)
    assert same_weights(run_directory.Trained.load(tmp_path / "run").model, finished.model)  # without a warning
    (tmp_path / "run/weights.safetensors").unlink()
    resumed = train(recipe, texts(), directory=tmp_path / "run", resume=True)
    assert same_weights(resumed.model, finished.model)
    assert same_weights(run_directory.Trained.load(tmp_path / "run").model, finished.model)


def test_a_checkpoint_serves_where_weights_cannot_be_written(finished, tmp_path, monkeypatch):
    (tmp_path / "run/weights.safetensors").unlink()

    @contextmanager
    def refused(path):
        raise OSError(errno.EROFS, "Read-only file system", str(path))
        yield

    monkeypatch.setattr(run_directory, "atomic_write", refused)
    with pytest.warns(errors.RunWarning, match=r"cannot be written \(Read-only file system\)\. .*best.ckpt, which"):
        loaded = run_directory.Trained.load(tmp_path / "run")
    assert same_weights(loaded.model, finished.model)


@pytest.mark.parametrize("left", [[], ["last.ckpt"]])
def test_a_finished_run_without_any_weights_says_so(finished, tmp_path, left):
    (tmp_path / "run/weights.safetensors").unlink()
    for path in (tmp_path / "run/checkpoints").iterdir():
        if path.name not in left:
            path.unlink()
    with pytest.raises(errors.RunError, match=r"weights.safetensors is missing, and .*best.ckpt too"):
        run_directory.Trained.load(tmp_path / "run")


def test_damaged_weights_name_the_checkpoint_that_serves(finished, tmp_path):
    path = tmp_path / "run/weights.safetensors"
    path.write_bytes(b"")
    with pytest.raises(errors.RunError, match=r"is damaged .*Remove it to use .*best.ckpt instead"):
        run_directory.Trained.load(tmp_path / "run")
    path.unlink()
    with pytest.warns(errors.RunWarning, match="is restored from"):
        assert same_weights(run_directory.Trained.load(tmp_path / "run").model, finished.model)


def test_a_run_that_lacks_its_last_checkpoint_does_not_begin_anew_in_silence(finished, recipe, tmp_path):
    for name in ("weights.safetensors", "checkpoints/last.ckpt"):
        (tmp_path / "run" / name).unlink()
    with pytest.raises(errors.RunError, match=r"last.ckpt is missing, but best.ckpt exists"):
        train(recipe, texts(), directory=tmp_path / "run", resume=True)


def test_a_vocabulary_of_another_run_is_noticed(finished, tmp_path):
    other = train(finished.recipe, Labelled(["xyz", "zz"] * 8, ["1", "2"] * 8), directory=tmp_path / "other")
    assert other.state != finished.state
    (tmp_path / "other/vocabulary.json").rename(tmp_path / "run/vocabulary.json")
    with pytest.raises(errors.RunError, match=r"is not the one that weights.safetensors was trained with"):
        run_directory.Trained.load(tmp_path / "run")


def test_a_state_that_fits_no_network_is_noticed(finished, tmp_path):
    """Also where the weights do not say which state they are for, as those of other programs."""
    weights = {name: value.contiguous() for name, value in finished.model.state_dict().items()}
    safetensors.torch.save_file(weights, tmp_path / "run/weights.safetensors")
    assert same_weights(run_directory.Trained.load(tmp_path / "run").model, finished.model)
    for state in ("[]", "{}", '{"labels": ["a"], "tokenizer": 1}'):
        (tmp_path / "run/vocabulary.json").write_text(state)
        with pytest.raises(errors.RunError, match="they are from different runs"):
            run_directory.Trained.load(tmp_path / "run")


def test_a_vocabulary_of_the_same_size_is_noticed_too(finished, tmp_path):
    path = tmp_path / "run/vocabulary.json"
    path.write_text(path.read_text().replace('"a"', '"c"'))
    with pytest.raises(
        errors.RunError, match=r"vocabulary.json is not the one that weights.safetensors was trained with"
    ):
        run_directory.Trained.load(tmp_path / "run")
