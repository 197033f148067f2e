"""Signals during training: none is lost, wherever Python is."""

from __future__ import annotations

import signal

import pytest

from fastgru_recipes import errors
from fastgru_recipes.classify import Classify
from fastgru_recipes.training import run_directory
from fastgru_recipes.training.train import train
from tiny_data import CLASSIFIER, Interrupting, texts


@pytest.fixture
def recipe():
    return Classify(**CLASSIFIER)


class InFinaliser(Interrupting):
    """The signal itself, where Python must ignore an exception."""

    class Last:
        def __del__(self):
            signal.raise_signal(signal.SIGINT)

    def __call__(self, *arguments):
        self.left -= 1
        if self.left == 0:
            self.Last()
        return self.loss(*arguments)


@pytest.mark.parametrize("batch", [1, 6, 7, 21])  # in training, in validation, in the last batch of all
def test_a_signal_within_a_finaliser_is_not_lost(recipe, tmp_path, monkeypatch, batch):
    handler = signal.getsignal(signal.SIGINT)
    InFinaliser(monkeypatch, batch)
    with pytest.raises(errors.TrainingInterrupted, match=r"resume=True"):
        train(recipe, texts(), directory=tmp_path / "run")
    assert signal.getsignal(signal.SIGINT) == handler


def test_a_signal_that_comes_when_all_is_done_is_told(recipe, tmp_path, monkeypatch):
    save = run_directory.Trained.save
    monkeypatch.setattr(
        run_directory.Trained, "save", lambda *given: (save(*given), signal.raise_signal(signal.SIGINT))
    )
    with pytest.raises(errors.TrainingInterrupted, match=r"after its end. The run is complete"):
        train(recipe, texts(), directory=tmp_path / "run")
    assert "scores" in run_directory.Trained.load(tmp_path / "run").metrics


def test_two_signals_end_also_what_does_not_come_to_its_next_batch(recipe, monkeypatch):
    def endless(*_):
        for _ in range(2):
            signal.raise_signal(signal.SIGINT)
        pytest.fail("it went on")

    monkeypatch.setattr(Classify, "loss", endless)
    with pytest.raises(errors.TrainingInterrupted):
        train(recipe, texts())
