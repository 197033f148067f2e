"""Scores of baselines beside those of a trained recipe."""

import json
import pickle
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from fastgru_recipes import Forecaster, SequenceClassifier, read_files, recipe_class
from fastgru_recipes.classify import Classify
from fastgru_recipes.forecast import Forecast
from fastgru_recipes.forecast.read_series import from_frame
from fastgru_recipes.generate import Generate
from fastgru_recipes.judgement import baseline_scores, verdict
from fastgru_recipes.tag import Tag, Tagged
from fastgru_recipes.training import known_data
from fastgru_recipes.training import train as training
from fastgru_recipes.training.run_directory import WEIGHTS, Trained
from fastgru_recipes.training.train import train
from fastgru_recipes.translate import Pairs, Translate
from tiny_data import CLASSIFIER, same_weights, texts, wave_table

NAN = float("nan")


@pytest.mark.parametrize(
    ("recipe", "own", "others", "words"),
    [
        ("forecast", 0.5, {"ridge": 0.6, "drift": 0.9}, "better than the best baseline, ridge: MASE 0.5 against 0.6"),
        ("forecast", 0.7, {"ridge": 0.6, "drift": 0.9}, "does not beat the baseline ridge: .* Try another context"),
        ("classify", 0.7, {"majority": 0.6, "nearest": 0.9}, "does not beat the baseline nearest: accuracy 0.7"),
        ("classify", 0.9, {"majority": 0.6, "nearest": 0.9}, "as good as the best baseline, nearest"),
        ("forecast", 8e-8, {"drift": 0.0}, "as good as the best baseline, drift"),
        ("forecast", 0.70001, {"ridge": 0.7}, "as good as the best baseline, ridge"),
        ("forecast", 0.7002, {"ridge": 0.7}, "does not beat the baseline ridge"),
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
    assert list(found) == ["majority", "naive Bayes", "linear, on n-grams"]
    nothing_held_out = Classify(**{**CLASSIFIER, "validation": 0.0})
    assert "baselines" not in train(nothing_held_out, texts(), baselines=True).metrics


def test_baselines_of_a_test_part_know_what_chose_the_best_epoch(monkeypatch):
    known = []
    monkeypatch.setattr(
        training, "baseline_scores", lambda recipe, data, *rest: known.append(len(data.sequences)) or {}
    )
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


# ---- other data than those of the training


def forecasts(count=200, **options):
    recipe = Forecast(context=30, horizon=6, transform="none", **options)
    panel = from_frame(wave_table(count), recipe.columns)
    return recipe, panel, recipe.learn_state(replace(panel, series=(panel.series[0].until(100),)))


def test_baselines_forecast_from_the_origins_of_the_score_and_in_its_units():
    recipe, panel, state = forecasts()
    training = replace(panel, series=(panel.series[0].until(150),))
    found = baseline_scores(recipe, training, panel, state)
    assert list(found)[:4] == ["seasonal naive", "last value", "drift", "ridge"]
    values, unit = panel.series[0].values, state["scales"]["value"]["seasonal_error"]
    errors = [np.abs(values[at - 24 : at - 18] - values[at : at + 6]).mean() for at in range(30, 195)]
    assert found["seasonal naive"]["MASE"] == pytest.approx(np.mean(errors) / unit)


def test_methods_that_learn_need_enough_to_learn_from():
    recipe, panel, state = forecasts()
    assert list(baseline_scores(recipe, None, panel, state)) == ["seasonal naive", "last value", "drift"]
    new = replace(panel, series=(replace(panel.series[0], name="new"),))
    assert list(baseline_scores(recipe, panel, new, state)) == ["seasonal naive", "last value", "drift"]
    short = replace(recipe, context=20)
    assert "seasonal naive" not in baseline_scores(short, panel, panel, state)


@pytest.mark.parametrize(
    ("recipe", "test", "names"),
    [
        (Classify(), texts(), []),
        (Tag(), Tagged([["a"]], [["x"]]), []),
        (Translate(), Pairs(["a b"], ["A B"]), ["copy"]),
        (Generate(), "to be", ["xz", "gzip"]),
    ],
)
def test_without_training_data_only_what_learns_nothing_is_scored(recipe, test, names):
    assert list(baseline_scores(recipe, None, test, {})) == names


def test_tags_that_do_not_count_are_those_of_the_run():
    data = Tagged([["a", "b", "b"]], [["x", "y", "y"]])
    assert baseline_scores(Tag(), data, data, {"plain": "x"})["majority of the word"] == {"micro_f1": 1.0}
    only_x = Tagged([["a"]], [["x"]])
    assert baseline_scores(Tag(), data, only_x, {"plain": "x"})["majority of the word"] == {"micro_f1": 0.0}


def test_the_training_file_is_read_again_unless_it_changed(tmp_path):
    path = tmp_path / "d.csv"
    path.write_text("text;label\na;x\nb;y\n")
    recipe = Classify(separator=";")
    fact = {"path": str(path), "sha256": read_files.fingerprint(path)}
    for config, reason in (
        ({"data": fact}, ""),
        ({"data": {**fact, "sha256": "other"}}, f"the training file {path} has changed"),
        ({"data": {"path": "none.csv"}}, "the training file none.csv is not there"),
        ({"data": {"path": "-"}}, "the training file was the standard input"),
        ({}, "the run does not name its training file"),
    ):
        (tmp_path / "config.json").write_text(json.dumps(config))
        found, said = known_data.reread(tmp_path, recipe)
        assert (said, found is None) == (reason, bool(reason))
        assert known_data.is_same_file(tmp_path, path) is (not reason)


def test_gaps_of_the_training_file_are_not_told_again(tmp_path):
    table = wave_table(60).drop(index=30)
    table.to_csv(tmp_path / "d.csv", index=False)
    fact = {"path": str(tmp_path / "d.csv"), "sha256": read_files.fingerprint(tmp_path / "d.csv")}
    (tmp_path / "config.json").write_text(json.dumps({"data": fact}))
    found, _ = known_data.reread(tmp_path, Forecast(fill="linear"))  # a warning would be an error
    assert len(found.series[0].values) == 60
