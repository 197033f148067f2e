"""The linear path of `classify` on texts: n-grams, models of the other folds, what the GRU adds."""

import numpy as np
import pytest
import torch

from fastgru_recipes.classify import Classify, Labelled, baselines, linear_path, ngrams
from fastgru_recipes.classify.linear_path import LinearPath
from fastgru_recipes.errors import RunWarning, TrainingInterrupted
from fastgru_recipes.example_sets import sets
from fastgru_recipes.training.learner import fresh
from fastgru_recipes.training.run_directory import Trained
from fastgru_recipes.training.train import train
from tiny_data import Interrupting, same_weights

SMALL = {"hidden": 8, "embedding": 4}
TEXTS = Labelled(
    ["So good!", "so bad", "a good day", "bad, bad day", "goodness", "not bad"] * 5, [1, 0, 1, 0, 1, 0] * 5
)


def begun(recipe, data):
    """The recipe's state and its network before training."""
    state = recipe.learn_state(data)
    model = fresh(recipe, state)
    recipe.start(model, state, data)
    return state, model


def scores(recipe, model, state, data, training=False):
    batch = recipe.collate(recipe.examples(data, state))
    with torch.no_grad():
        return model.train(training)(batch["sequences"], batch["lengths"], None, batch["ngrams"])


@pytest.mark.parametrize("labels", [[1, 0] * 15, ["x", "y", "z"] * 10], ids=["two labels", "three labels"])
def test_training_begins_at_logistic_regression(labels):
    data = Labelled(TEXTS.sequences, labels)
    recipe = Classify(**SMALL, dropout=0.0, precision="64-true")
    state, model = begun(recipe, data)
    rows = ngrams.vectorizer().fit_transform(data.sequences)
    expected = linear_path.regression(rows, data.labels).predict_proba(rows)
    found = scores(recipe, model, state, data).softmax(-1)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    _, known = recipe._probabilities(model, state, data)
    assert [state["labels"][number] for number in known] == list(data.labels)


def test_in_training_each_text_is_scored_by_texts_of_other_folds():
    texts = [f"text number {number}" for number in range(40)]
    of = ngrams.folds(texts)
    assert set(of) == set(range(ngrams.FOLDS))
    labels = [int(n % 3 == 0) for n in range(40)]
    recipe = Classify(**SMALL, precision="64-true")
    state, model = begun(recipe, Labelled(texts, labels))
    changed = [1 - label if fold == 2 else label for label, fold in zip(labels, of, strict=True)]
    _, other = begun(recipe, Labelled(texts, changed))
    data = Labelled([text for text, fold in zip(texts, of, strict=True) if fold == 2], None)
    one, two = (scores(recipe, each, state, data, training=True) for each in (model, other))
    assert torch.equal(one, two)
    assert not torch.allclose(scores(recipe, model, state, data), scores(recipe, other, state, data), atol=0.1)


def test_a_batch_has_the_scores_that_its_texts_have_alone():
    recipe = Classify(**SMALL, precision="64-true")
    state, model = begun(recipe, TEXTS)
    torch.nn.init.normal_(model.head.weight)
    data = Labelled(["", "?", "so good, so bad", "good"], None)
    together = scores(recipe, model, state, data)
    for number, row in enumerate(together):
        alone = scores(recipe, model, state, data.part([number]))[0]
        torch.testing.assert_close(alone, row, rtol=1e-12, atol=1e-12)


def test_weights_of_texts_count_as_often_as_their_texts():
    once = Labelled(["good", "bad", "good bad"], [1, 0, 1], weights=[3.0, 3.0, 6.0])
    often = Labelled([*["good", "bad", "good bad", "good bad"] * 3], [1, 0, 1, 1] * 3)
    recipe = Classify(**SMALL, precision="64-true")
    state = recipe.learn_state(once)
    one, two = (fresh(recipe, state) for _ in range(2))
    recipe.start(one, state, once)
    recipe.start(two, state, often)
    torch.testing.assert_close(one.linear.weight, two.linear.weight, rtol=1e-3, atol=1e-4)


def test_a_label_that_a_fold_lacks_is_as_probable_as_the_least_probable_one():
    texts = [f"text number {number}" for number in range(30)]
    fold = int(ngrams.folds(texts)[0])
    labels = [2, *[number % 2 for number in range(29)]]  # the only text of label 2 is in this fold
    path = LinearPath(3, 3)
    rows = np.random.default_rng(0).random((30, 3))
    linear_path.fit(path, rows, labels, [1.0] * 30, ngrams.folds(texts))
    assert path.fold_weight[fold, :, 2].abs().max() == 0
    assert path.fold_bias[fold, 2] == path.fold_bias[fold].min()
    assert path.weight[:, 2].abs().max() > 0


def test_folds_without_a_choice_score_nothing():
    path = LinearPath(1, 2)
    linear_path.fit(path, np.ones((2, 1)), [0, 1], [1.0, 1.0], np.array([0, 1]))
    assert path.fold_weight[:2].abs().max() == 0  # each has one text left, of one label
    assert path.fold_bias[:2].abs().max() == 0


@pytest.mark.parametrize(
    ("losses", "texts", "share"),
    [
        ({0.0: 1.0, 0.5: 0.9, 1.0: 0.8}, 40, 0.75),
        ({0.0: 1.0, 0.5: 1.1, 1.0: 1.2}, 40, 0.25),
        ({0.0: 1.0, 0.5: 1.1, 1.0: 0.9}, 3960, 0.995),
    ],
)
def test_few_validation_texts_move_the_share_little(losses, texts, share):
    assert linear_path.chosen_share(losses, texts) == pytest.approx(share)


def test_validation_texts_choose_the_share():
    recipe = Classify(**SMALL)
    state, model = begun(recipe, TEXTS)
    recipe.finish(model, state, None)
    assert model.linear.share == 0.5
    torch.nn.init.normal_(model.head.weight, std=20.0)  # changes that only harm
    recipe.finish(model, state, TEXTS)
    assert model.linear.share == pytest.approx(40 * 0.5 / (40 + 30))


def test_the_second_training_keeps_the_share_of_the_first():
    once, twice = (train(Classify(**SMALL, steps=20, retrain_below=few), TEXTS) for few in (0, 100))
    assert twice.metrics["retrained_on"] == 30
    assert once.model.linear.share == twice.model.linear.share != 1
    assert not torch.equal(once.model.linear.weight, twice.model.linear.weight)  # of all texts now


def test_the_path_is_saved_and_its_folds_are_not(tmp_path):
    trained = train(Classify(**SMALL, steps=5), TEXTS, directory=tmp_path / "run")
    loaded = Trained.load(tmp_path / "run")
    assert same_weights(loaded.model, trained.model)
    assert not any("fold" in name for name in loaded.model.state_dict())
    again = train(Classify(**SMALL, steps=5), TEXTS, init=loaded)
    assert not torch.equal(again.model.head.weight, loaded.model.head.weight)


@pytest.mark.parametrize(
    ("options", "data"),
    [
        ({"linear_below": 0}, TEXTS),
        ({"linear_below": 27}, TEXTS),
        ({}, Labelled(["", " \n", "  "] * 4, ["a", "b", "c"] * 4)),
        ({}, Labelled([np.ones((3, 1)), np.zeros((3, 1))] * 5, [1, 0] * 5)),
    ],
    ids=["switched off", "many texts", "blank texts", "series"],
)
def test_other_data_have_no_linear_path(options, data):
    trained = train(Classify(**SMALL, **options, steps=2, filters=4), data, baselines=True)
    assert "ngrams" not in trained.state
    assert trained.model.linear is None


def test_ngrams_are_read_as_far_as_tokens():
    recipe = Classify(**SMALL, longest=4)
    state = recipe.learn_state(TEXTS)
    with pytest.warns(UserWarning, match="more than 4 steps"):
        (example,) = recipe.examples(Labelled(["good day"], None), state)
    (short,) = recipe.examples(Labelled(["good"], None), state)
    assert torch.equal(example.ngrams.numbers, short.ngrams.numbers)
    assert torch.equal(example.sequence, short.sequence)


def test_few_names_are_told_apart_better_than_by_linear_models():
    """200 names in five languages, at the defaults."""
    whole = sets("classify")[1].load(Classify(), False)
    chosen = [number for number, label in enumerate(whole.training.labels) if label in {"de", "en", "es", "fr", "it"}]
    training, test = whole.training.part(chosen[:200]), whole.training.part(chosen[200:1700])
    score = train(Classify(), training, test=test).metrics["scores"]["accuracy"]
    others = [baselines.linear_by_ngrams(training, test), baselines.naive_bayes(training, test)]
    assert score > max(others), (score, others)


# ---- training that is interrupted, or continues


def test_an_interrupted_training_ends_in_the_same_bits(tmp_path, monkeypatch):
    recipe = Classify(**SMALL, batch=8, epochs=4, validation=0.25, retrain_below=0)
    whole = train(recipe, TEXTS)
    with monkeypatch.context() as patch:
        Interrupting(patch, 8)
        with pytest.raises(TrainingInterrupted):
            train(recipe, TEXTS, directory=tmp_path / "run")
    resumed = train(recipe, TEXTS, directory=tmp_path / "run", resume=True)
    assert same_weights(whole.model, resumed.model)
    (tmp_path / "run" / "weights.safetensors").unlink()
    with pytest.warns(RunWarning, match=r"restored from .*final\.ckpt"):
        assert same_weights(Trained.load(tmp_path / "run").model, whole.model)


def test_more_training_keeps_the_path_of_the_earlier_one():
    first = train(Classify(**SMALL, epochs=3, validation=0.0), TEXTS)
    others = Labelled(["bad", "good"] * 4, [1, 0] * 4)  # the other way round
    again = train(Classify(epochs=20, rate=0.05, validation=0.0), others, init=first)
    assert torch.equal(again.model.linear.weight, first.model.linear.weight)
    assert again.metrics["scores"]["accuracy"] > first.recipe.score(first.model, first.state, others)["accuracy"]
