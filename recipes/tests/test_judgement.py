"""Scores of baselines beside those of a trained recipe."""

import pickle

import numpy as np
import pandas as pd
import pytest

from fastgru_recipes import Forecaster, SequenceClassifier, recipe_class
from fastgru_recipes.classify import Classify
from fastgru_recipes.forecast import Forecast
from fastgru_recipes.forecast.read_series import from_frame
from fastgru_recipes.judgement import verdict
from fastgru_recipes.training import train as training
from fastgru_recipes.training.run_directory import WEIGHTS, Trained
from fastgru_recipes.training.train import train
from tiny_data import CLASSIFIER, same_weights, texts, wave_table

NAN = float("nan")


@pytest.mark.parametrize(
    ("recipe", "own", "others", "words"),
    [
        ("forecast", 0.5, {"ridge": 0.6, "drift": 0.9}, "better than the best baseline, ridge: MASE 0.5 against 0.6"),
        ("forecast", 0.7, {"ridge": 0.6, "drift": 0.9}, "does not beat the baseline ridge: .* Try another context"),
        ("classify", 0.7, {"majority": 0.6, "nearest": 0.9}, "does not beat the baseline nearest: accuracy 0.7"),
        ("classify", 0.9, {"majority": 0.6, "nearest": 0.9}, "as good as the best baseline, nearest"),
        ("forecast", 0.7, {"ridge": NAN, "drift": 0.9}, "better than the best baseline, drift"),
        ("forecast", NAN, {"ridge": 0.6}, "^$"),
        ("forecast", 0.7, {"ridge": NAN}, "^$"),
        ("forecast", 0.7, {}, "^$"),
    ],
)
def test_a_sentence_says_which_is_better(recipe, own, others, words):
    kind = recipe_class(recipe)
    said = verdict(kind(), {kind.metric: own}, {name: {kind.metric: score} for name, score in others.items()})
    assert pd.Series([said]).str.contains(words).all(), said


def test_baselines_are_scored_on_request_only():
    recipe = Classify(**CLASSIFIER)
    assert "baselines" not in train(recipe, texts()).metrics
    found = train(recipe, texts(), baselines=True).metrics["baselines"]
    assert list(found) == ["majority", "naive Bayes"]
    nothing_held_out = Classify(**{**CLASSIFIER, "validation": 0.0})
    assert "baselines" not in train(nothing_held_out, texts(), baselines=True).metrics


def test_baselines_of_a_test_part_know_what_chose_the_best_epoch(monkeypatch):
    known = []
    monkeypatch.setattr(training, "baseline_scores", lambda recipe, data, test: known.append(len(data.sequences)) or {})
    train(Classify(**CLASSIFIER), texts(48), test=texts(8, seed=1), baselines=True)
    train(Classify(**CLASSIFIER), texts(48), baselines=True)
    assert known[0] == 48
    assert known[1] < 48


def test_a_loaded_estimator_says_that_it_has_no_training_data():
    data = texts()
    classifier = SequenceClassifier(**CLASSIFIER).fit(data.sequences, data.labels)
    assert classifier.score_table(data.sequences, data.labels).index.tolist()[0] == "SequenceClassifier"
    with pytest.raises(ValueError, match="has no training data, which the baselines need"):
        pickle.loads(pickle.dumps(classifier)).score_table(data.sequences, data.labels)


@pytest.mark.parametrize("has_test", [False, True])
def test_the_linear_path_is_fitted_to_the_validation_part_only_after_its_score(monkeypatch, has_test):
    happened = []
    monkeypatch.setattr(Forecast, "score", lambda *arguments: happened.append("score") or {"MASE": 1.0})
    monkeypatch.setattr(Forecast, "refit", lambda *arguments: happened.append("refit"))
    recipe = Forecast(context=24, horizon=6, hidden=4, steps=2)
    panel = from_frame(wave_table(200), recipe.columns)
    train(recipe, panel, test=panel if has_test else None)
    assert happened == (["refit", "score"] if has_test else ["score", "refit"])


def test_lost_weights_of_a_forecaster_are_those_after_its_last_fit(tmp_path):
    hours = pd.date_range("2024-01-01", periods=200, freq="h")
    noise = np.random.default_rng(0).normal(size=200) / 10
    series = pd.Series(np.sin(np.arange(200) * np.pi / 12) + noise, hours)
    trained = Forecaster(context=24, horizon=6, hidden=4, steps=4).fit(series, directory=tmp_path / "run").trained_
    (tmp_path / "run" / WEIGHTS).unlink()
    with pytest.warns(UserWarning, match="It is restored from"):
        assert same_weights(Trained.load(tmp_path / "run").model, trained.model)
