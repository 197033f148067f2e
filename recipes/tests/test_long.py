"""Very long texts and series: batches fit into memory, and a warning reports what is not read."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fastgru_recipes import errors
from fastgru_recipes.classify import Classify, Labelled
from fastgru_recipes.forecast import Forecast
from fastgru_recipes.generate import Generate
from fastgru_recipes.generate import recipe as generate
from fastgru_recipes.training import batching
from fastgru_recipes.training.batching import Batches
from fastgru_recipes.translate import Pairs, Translate
from tiny_data import CLASSIFIER, texts


def test_a_batch_that_would_be_too_large_is_halved(monkeypatch):
    monkeypatch.setattr(batching, "LARGEST_BATCH", 100)
    lengths = [1] * 15 + [30] + [1] * 16
    batches = list(Batches(lengths, 32, 0, shuffle=False, numbers=lengths))
    assert sorted(index for batch in batches for index in batch) == list(range(32))
    assert all(len(batch) == 1 or len(batch) * max(lengths[i] for i in batch) <= 100 for batch in batches)
    assert sorted(map(len, batches)) == [2, 2, 4, 8, 16]


def test_batches_within_the_bound_are_as_without_one():
    lengths = np.random.default_rng(0).integers(1, 100, size=300)
    bounded, free = (Batches(lengths, 16, 1, True, numbers) for numbers in (lengths, None))
    assert list(bounded) == list(free)


@pytest.mark.parametrize(
    ("recipe", "example", "longer"),
    [
        (Classify(), (torch.zeros(9), 0), (torch.zeros(18), 0)),
        (Translate(), (torch.zeros(9), torch.zeros(9)), (torch.zeros(9), torch.zeros(18))),
        (Generate(), torch.zeros(9), torch.zeros(18)),
    ],
)
def test_longer_examples_count_for_more(recipe, example, longer):
    assert recipe.size(example) < recipe.size(longer)


def test_a_forecasts_example_counts_its_context():
    assert Forecast(context=500).size(None) > Forecast(context=50).size(None)


def test_of_a_long_text_the_beginning_is_read_and_that_is_told():
    recipe = Classify(**CLASSIFIER, longest=6)
    data = texts()
    state = recipe.learn_state(data)
    long = Labelled(["ab" * 500_000, "ba"], None)
    with pytest.warns(errors.CutWarning, match="1 of 2 texts have more than 6 steps, the longest 1000000: the rest"):
        examples = recipe.examples(long, state)
    assert [recipe.length(example) for example in examples] == [6, 2]
    short = recipe.examples(Labelled(["ababab", "ba"], None), state)
    assert all(torch.equal(one.sequence, other.sequence) for one, other in zip(examples, short, strict=True))


def test_of_a_long_series_too():
    recipe = Classify(**CLASSIFIER, longest=50)
    data = Labelled([np.ones((60, 2)), np.zeros((50, 2))], ["a", "b"])
    with pytest.warns(errors.CutWarning, match="1 of 2 series have more than 50 steps, the longest 60"):
        examples = recipe.examples(data, recipe.learn_state(data))
    assert [recipe.length(example) for example in examples] == [50, 50]


def test_of_long_sentences_and_translations_too():
    recipe = Translate(unit="characters", longest_source=10)
    data = Pairs(["ab" * 20, "ab"], ["ab", "ab" * 30])
    with pytest.warns(errors.CutWarning, match="1 of 2 (sentences|translations) have more than 10 steps") as told:
        examples = recipe.examples(data, recipe.learn_state(data))
    assert len(told) == 2
    assert [tuple(map(len, example)) for example in examples] == [(10, 4), (2, 12)]


def test_a_long_prompt_is_read_in_pieces(monkeypatch):
    recipe = Generate(hidden=8, embedding=8, window=8)
    state = recipe.learn_state("to be or not to be ")
    model = recipe.build(state).eval()
    whole = "".join(recipe.sample(model, state, "to be " * 30, 20))
    read, forward = [], model.forward
    monkeypatch.setattr(generate, "PIECE", 16)
    monkeypatch.setattr(model, "forward", lambda x, *state: read.append(x.shape[1]) or forward(x, *state))
    assert "".join(recipe.sample(model, state, "to be " * 30, 20)) == whole
    assert max(read) == 16
