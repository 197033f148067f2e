"""Few examples: after validation the network is trained again on all of them."""

import pytest

from fastgru_recipes.classify import Classify
from fastgru_recipes.errors import RunWarning, TrainingInterrupted
from fastgru_recipes.tag import Tag, Tagged
from fastgru_recipes.training import retraining
from fastgru_recipes.training.run_directory import Trained
from fastgru_recipes.training.train import train
from tiny_data import CLASSIFIER, same_weights, texts

FEW = Classify(**{**CLASSIFIER, "retrain_below": 100})
ONCE = Classify(**CLASSIFIER)


def test_the_score_is_of_the_first_training_and_the_weights_of_the_second(tmp_path):
    once, again = train(ONCE, texts()), train(FEW, texts(), directory=tmp_path / "run")
    assert again.metrics["retrained_on"] == 48
    assert again.metrics["scored_on"] == "validation"
    assert again.metrics["scores"] == once.metrics["scores"]
    assert again.history.drop(columns="seconds").equals(once.history.drop(columns="seconds"))
    assert not same_weights(again.model, once.model)
    assert same_weights(Trained.load(tmp_path / "run").model, again.model)
    (tmp_path / "run" / "weights.safetensors").unlink()
    with pytest.warns(RunWarning, match=r"restored from .*final\.ckpt"):
        assert same_weights(Trained.load(tmp_path / "run").model, again.model)
    (tmp_path / "run" / "metrics.json").unlink()
    resumed = train(FEW, texts(), directory=tmp_path / "run", resume=True)
    assert resumed.metrics["scores"] == once.metrics["scores"]  # not of a network that has seen the validation part
    assert same_weights(resumed.model, again.model)


def test_a_test_part_scores_the_second_network():
    test = texts(seed=1)
    again = train(FEW, texts(), test=test)
    assert again.metrics["scored_on"] == "test"
    assert again.metrics["scores"] == FEW.score(again.model, again.state, test)


def test_it_learns_from_the_held_out_examples(monkeypatch):
    seen, fit = [], retraining.fit
    monkeypatch.setattr(
        retraining, "fit", lambda *given, **options: (seen.append(given[2:4]), fit(*given, **options))[1]
    )
    train(FEW, texts())
    ((everything, held_out),) = seen
    assert len(everything) == 48
    assert held_out == []


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"retrain_below": 48}, {}),
        ({"retrain_below": 0}, {}),
        ({"validation": 0.0}, {}),
        ({}, {"validation": texts(seed=2)}),
    ],
    ids=["enough", "switched off", "nothing held out", "own validation data"],
)
def test_other_data_are_learned_from_once(changes, parts):
    recipe = Classify(**{**CLASSIFIER, "retrain_below": 100, **changes})
    assert "retrained_on" not in train(recipe, texts(), **parts).metrics


def test_an_interrupted_second_training_goes_on(tmp_path, monkeypatch):
    def interrupted(*given, **options):
        raise TrainingInterrupted("Training was interrupted after 1 of 3 epochs.")

    with monkeypatch.context() as patch:
        patch.setattr(retraining, "fit", interrupted)
        with pytest.raises(TrainingInterrupted, match=r"not the second one on all examples.*resume.*run"):
            train(FEW, texts(), directory=tmp_path / "run")
        with pytest.raises(TrainingInterrupted, match="Nothing was kept"):
            train(FEW, texts())
    resumed = train(FEW, texts(), directory=tmp_path / "run", resume=True)
    assert same_weights(resumed.model, train(FEW, texts()).model)


def test_words_of_the_held_out_sentences_alone_are_read():
    sentences = [[f"word{number}", "stop"] for number in range(20)]
    recipe = Tag(hidden=8, embedding=4, spelling=4, affix=0, steps=2, validation=0.2)
    assert train(recipe, Tagged(sentences, [["W", "S"]] * 20)).metrics["retrained_on"] == 20


def test_a_line_says_that_it_begins_anew():
    said = []
    train(FEW, texts(), say=said.append)
    assert "Now on all 48 examples, those of the validation part too:" in said
