"""The length of training: steps by the amount of data."""

import re

import pytest

from fastgru.errors import ArgumentError
from fastgru_recipes.classify import Classify
from fastgru_recipes.errors import TrainingInterrupted
from fastgru_recipes.training.batching import Batches, batch_size
from fastgru_recipes.training.budget import budget
from fastgru_recipes.training.train import train
from tiny_data import Interrupting, texts


@pytest.mark.parametrize(
    ("options", "examples", "expected"),
    [
        ({}, 50, (20, 50, 8)),  # a thousand steps, of whatever there is
        ({}, 4_000, (20, 50, 64)),
        ({}, 40_000, (20, 313, 64)),  # ten passes
        ({}, 500_000, (20, 1000, 64)),  # no more than 20,000
        ({"steps": 30}, 50, (20, 2, 8)),
        ({"steps": 7}, 50, (7, 1, 8)),
        ({"epochs": 3}, 100, (3, 4, 32)),
        ({"epochs": 3, "batch": 10}, 95, (3, 10, 10)),
    ],
)
def test_the_number_of_steps_suits_the_data(options, examples, expected):
    assert budget(Classify(**options), [((1, 2), 0)] * examples) == expected


def test_passes_are_instead_of_the_usual_number_of_steps():
    examples = [((1, 2), 0)] * 200
    assert budget(Classify(), examples, passes=8) == (20, 10, 8)
    assert budget(Classify(steps=30), examples, passes=8).total == 40  # an epoch has whole steps
    assert budget(Classify(epochs=2), examples, passes=8) == (2, 7, 32)


def test_steps_and_epochs_exclude_each_other():
    with pytest.raises(ArgumentError, match="steps=10 and epochs=2 are both given"):
        Classify(steps=10, epochs=2)


def test_a_budget_says_itself():
    assert str(budget(Classify(), [((1, 2), 0)] * 50)) == "1,000 steps of 8 examples"


def test_a_resumed_training_says_what_is_left(tmp_path, monkeypatch):
    recipe, said = Classify(hidden=4, embedding=4, epochs=2, batch=2, validation=0.25), []
    Interrupting(monkeypatch, 30)  # in the second epoch
    with pytest.raises(TrainingInterrupted):
        train(recipe, texts(), directory=tmp_path / "run")
    train(recipe, texts(), directory=tmp_path / "run", resume=True, say=said.append)
    assert re.fullmatch(r"38 steps of 2 examples, of which 19 are done, about \d+ s", said[0]), said


@pytest.mark.parametrize("steps", [1, 5, 40])
def test_an_epoch_has_that_many_batches_and_all_examples_equally_often(steps):
    batches = Batches([1] * 60, 10, seed=0, shuffle=True, steps=steps)
    epoch = list(batches)
    assert len(epoch) == len(batches) == steps
    counts = [sum(index in batch for batch in epoch) for index in range(60)]
    assert max(counts) - min(counts) <= 1
    batches.set_epoch(1)
    assert list(batches) != epoch


def test_training_takes_these_steps_and_says_so():
    said = []
    recipe = Classify(hidden=4, embedding=4, steps=12, validation=0.25, retrain_below=0)
    trained = train(recipe, texts(), say=said.append)
    assert len(trained.history) == 12
    assert len(said) == 1
    assert re.fullmatch(r"12 steps of 8 examples, about \d+ s", said[0]), said
    assert batch_size(trained.recipe, 36) == 8
