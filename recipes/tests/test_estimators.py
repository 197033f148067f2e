"""The estimators follow the conventions of scikit-learn."""

from __future__ import annotations

import logging
import pickle
import signal
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.utils import estimator_checks, get_tags

import fastgru_recipes
from fastgru.errors import ArgumentError
from fastgru_recipes import Forecaster, Generator, SequenceClassifier, Tagger, Translator, errors
from tiny_data import CLASSIFIER, texts

X, Y = ["aa", "bb", "ab", "ba"] * 8, [1, 2, 1, 2] * 8


# A weight of two is two examples only where all of them are one batch.
NOT_BY_STEPS = {"check_sample_weight_equivalence_on_dense_data": "training goes by batches"}


@pytest.mark.slow  # half a minute: some sixty trainings
def test_the_classifier_passes_the_checks_of_scikit_learn():
    classifier = SequenceClassifier(hidden=16, filters=8, epochs=6, rate=0.02, dropout=0.0, validation=0.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some checks are there to make estimators warn
        results = estimator_checks.check_estimator(classifier, on_skip=None, expected_failed_checks=NOT_BY_STEPS)
    assert {each["status"] for each in results} <= {"passed", "skipped", "xfail"}
    # Array API needs a variable of the environment; the others are for estimators that say they can do more.
    assert sum(each["status"] == "skipped" for each in results) <= 2


# Those of scikit-learn's checks that need no array of numbers; the classifier, which takes one, passes all.
CHECKS = (
    *("check_estimator_cloneable", "check_estimator_tags_renamed", "check_valid_tag_types", "check_estimator_repr"),
    *("check_no_attributes_set_in_init", "check_parameters_default_constructible", "check_get_params_invariance"),
    *("check_set_params", "check_mixin_order", "check_do_not_raise_errors_in_init_or_set_params"),
    "check_estimators_unfitted",
)


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("kind", [Forecaster, Generator, Tagger, Translator])
def test_the_others_pass_the_checks_that_apply(kind, check):
    getattr(estimator_checks, check)(kind.__name__, kind(hidden=8, epochs=1))


@pytest.mark.parametrize("kind", [Forecaster, Generator, SequenceClassifier, Tagger, Translator])
def test_options_are_parameters(kind):
    estimator = kind(hidden=7, random_state=3)
    assert clone(estimator).get_params() == estimator.get_params()
    assert estimator.set_params(hidden=9).hidden == 9
    with pytest.raises(TypeError, match="has no option 'size'"):
        kind(size=3)
    with pytest.raises(AttributeError, match="not fitted yet"):
        estimator._parts()


def test_a_classifier_is_pickled_saved_and_loaded(tmp_path):
    classifier = SequenceClassifier(hidden=8, epochs=3, validation=0.0).fit(X, Y)
    classifier.save(tmp_path / "run")
    loaded = SequenceClassifier.load(tmp_path / "run")
    for other in (loaded, pickle.loads(pickle.dumps(classifier))):
        assert other.predict(X).tolist() == classifier.predict(X).tolist()
        assert other.get_params() == classifier.get_params()
    assert classifier.classes_.tolist() == loaded.classes_.tolist() == [1, 2]
    assert classifier.score(X, Y) == np.mean(classifier.predict(X) == Y)
    with pytest.raises(errors.RunError, match="exists and is not empty"):
        classifier.save(tmp_path / "run")
    with pytest.raises(errors.RunError, match="is a run of classify; Tagger is for tag"):
        Tagger.load(tmp_path / "run")
    with pytest.raises(ValueError, match="hidden=0 is too small"):
        SequenceClassifier(hidden=0).fit(X, Y)
    with pytest.raises(ValueError, match="y has 3 labels; 32 sequences"):
        classifier.fit(X, Y[:3])


def test_tags_tell_what_goes_in():
    kinds = (Forecaster, Generator, SequenceClassifier, Tagger, Translator)
    tags = [get_tags(kind()) for kind in kinds]
    assert [each.input_tags.two_d_array for each in tags] == [False, False, True, False, False]
    assert [each.input_tags.string for each in tags] == [False, True, False, True, True]
    assert [each.target_tags.required for each in tags] == [False, False, True, True, True]
    assert [each.estimator_type for each in tags] == [None, None, "classifier", None, None]


def test_a_grid_of_options_is_searched():
    search = GridSearchCV(SequenceClassifier(epochs=2, validation=0.0), {"hidden": [4, 8]}, cv=2)
    assert search.fit(np.array(X), np.array(Y)).best_params_["hidden"] in (4, 8)


def test_sequences_come_in_several_forms():
    wave = [np.linspace(0, sign, length)[:, None] for sign, length in zip([1, -1] * 8, [5, 6] * 8, strict=True)]
    labels = ["up", "down"] * 8
    options = {"hidden": 8, "filters": 8, "epochs": 10, "rate": 0.03, "validation": 0.0}
    assert SequenceClassifier(**options).fit(wave, labels).score(wave, labels) == 1.0
    same = np.stack([each[:5] for each in wave])
    one, other = (SequenceClassifier(**options).fit(form, labels) for form in (same, same[..., 0]))
    assert (one.predict_proba(same) == other.predict_proba(same[..., 0])).all()


def test_a_forecaster_goes_on_from_its_own_data_and_from_others():
    hours = pd.date_range("2024-01-01", periods=120, freq="h")
    table = pd.DataFrame({"time": hours, "value": np.sin(np.arange(120) / 4)})
    forecaster = Forecaster(context=24, horizon=6, hidden=4, epochs=1).fit(table)
    assert forecaster.predict()["time"].tolist() == pd.date_range("2024-01-06", periods=6, freq="h").tolist()
    pd.testing.assert_frame_equal(forecaster.predict(horizon=2), forecaster.predict(table).head(2))
    short = forecaster.predict(table.head(24))  # just as long as the context
    assert short["time"][0] == hours[24]
    series = table.set_index("time")["value"]
    pd.testing.assert_frame_equal(forecaster.predict(series), forecaster.predict(table))
    assert forecaster.score(table) < 0
    with pytest.raises(ArgumentError, match="horizon=7 is not between 1 and 6"):
        forecaster.predict(horizon=7)
    with pytest.raises(errors.DataError, match="X is list; give a DataFrame"):
        forecaster.predict([1.0, 2.0])


def test_a_loaded_forecaster_asks_for_data(tmp_path):
    hours = pd.date_range("2024-01-01", periods=120, freq="h")
    Forecaster(context=24, horizon=6, hidden=4, epochs=1).fit(pd.Series(np.arange(120.0) % 24, hours)).save(
        tmp_path / "r"
    )
    with pytest.raises(ArgumentError, match="has no data: give the table"):
        Forecaster.load(tmp_path / "r").predict()


def test_sentences_and_answers_must_match():
    with pytest.raises(errors.DataError, match="2 sentences in X and 1 in y"):
        Translator().fit(["a", "b"], ["A"])
    with pytest.raises(errors.DataError, match="Each token needs one tag"):
        Tagger().fit([["a", "b"]], [["X"]])
    for kind in (Translator, Tagger):
        with pytest.raises(errors.DataError, match="requires y to be passed"):
            kind().fit(["a"], None)


def test_a_better_estimator_has_a_greater_score():
    text = "to be or not to be\n" * 40
    options = {"hidden": 16, "embedding": 8, "window": 24, "batch": 4, "rate": 0.02}
    little, much = (Generator(epochs=epochs, **options).fit(text) for epochs in (1, 8))
    assert little.score(text) < much.score(text) < 0
    assert much.predict(["to be"], 5, temperature=0.0) == [much.generate("to be", 5, temperature=0.0)]


HOURS = pd.DataFrame({"time": pd.date_range("2024", periods=60, freq="h"), "value": np.arange(60.0) % 24})
BAD = [
    (SequenceClassifier, "abc", [1], "X is one str; give a list of texts"),
    (SequenceClassifier, ["a", None] * 10, Y[:20], "text 2 is NoneType, not a text"),
    (SequenceClassifier, ["a", ""] * 10, Y[:20], "text 2 is empty"),
    (SequenceClassifier, [np.full((3, 2), np.nan)] * 8, Y[:8], "series 1 contains NaN, infinite values"),
    (SequenceClassifier, np.ones((8, 0, 2)), Y[:8], r"series 1 has shape \(0, 2\)"),
    (
        SequenceClassifier,
        [np.ones((3, 2)), np.ones((3, 1))] * 8,
        Y[:16],
        r"series have \[1, 2\] features",
    ),
    (Forecaster, HOURS.rename(columns={"value": "time"}), None, "two columns 'time'"),
    (Forecaster, HOURS.assign(value=1j), None, "column 'value' holds complex128"),
    (Forecaster, HOURS.assign(value=HOURS["value"].mask(HOURS.index == 3)), None, "the table, row 4, column 'value'"),
    (Generator, 5, None, "texts are int; give a list"),
    (Generator, [1, 2], None, "text 1 is int, not a text"),
    (Generator, "a\ud800" * 99, None, "which is not a character"),
    (Translator, "abc", ["a"], "sentences are str; give a list"),
    (Translator, ["a", "b"], ["A", None], "translation 2 is NoneType"),
    (Translator, [], [], "X has no sentences"),
    (Tagger, ["a dog"], [["D", "N"]], "sentence 1: tokens are str; give a list"),
    (Tagger, [["a", 1]], [["D", "N"]], "sentence 1: token 2 is int"),
    (Tagger, [], [], "X has no tokens"),
]


@pytest.mark.parametrize(("kind", "features", "answers", "words"), BAD)
def test_what_cannot_be_learned_is_explained(kind, features, answers, words, tmp_path):
    with pytest.raises(errors.DataError, match=words):
        kind(epochs=1, hidden=4, **({"context": 8, "horizon": 2} if kind is Forecaster else {})).fit(
            features, answers, directory=tmp_path / "run"
        )
    assert not (tmp_path / "run").exists()


def test_series_of_other_lengths_are_classified():
    classifier = SequenceClassifier(hidden=4, epochs=1, validation=0.0).fit(np.random.rand(16, 5, 2), Y[:16])
    assert len(classifier.predict(np.ones((2, 9, 2)))) == 2
    with pytest.raises(errors.DataError, match="a series has 3 features; training had 2"):
        classifier.predict(np.ones((2, 9, 3)))


def test_nothing_is_answered_with_nothing(tmp_path):
    options = {"hidden": 4, "embedding": 4, "epochs": 1, "validation": 0.0}
    assert Translator(longest=4, **options).fit(["a b", "b a"] * 4, ["A", "B"] * 4).predict([]) == []
    tagger = Tagger(**options).fit([["a", "b"]] * 8, [["A", "B"]] * 8)
    assert (tagger.predict([]), tagger.predict([[], ["a"]])[0]) == ([], [])
    assert Generator(window=4, **options).fit(["a b", "", "b a"] * 9).predict([]) == []


def test_series_of_one_feature_may_differ_in_length():
    series = [np.arange(5.0), np.arange(7.0)] * 8
    one, other = (SequenceClassifier(hidden=4, epochs=1, validation=0.0) for _ in range(2))
    probabilities = one.fit(series, Y[:16]).predict_proba(series)
    columns = [each[:, None] for each in series]
    assert (probabilities == other.fit(columns, Y[:16]).predict_proba(columns)).all()


def test_options_may_be_numbers_of_numpy():
    search = GridSearchCV(SequenceClassifier(epochs=1, validation=0.0), {"hidden": np.arange(3, 5)}, cv=2)
    assert search.fit(np.array(X), np.array(Y)).best_params_["hidden"] in (3, 4)


def test_a_label_may_be_called_label():
    classifier = SequenceClassifier(hidden=4, epochs=1, validation=0.0).fit(X, ["label", "$a_$"] * 16)
    assert set(classifier.predict(X)) <= {"label", "$a_$"}
    assert classifier.predict_proba(X).shape == (32, 2)


@pytest.mark.parametrize(
    "drawing",
    [
        {"temperature": -1},
        {"temperature": float("nan")},
        {"top_k": -1},
        {"top_p": 2.0},
        {"length": -1},
        {"seed": 2**70},
    ],
)
def test_drawing_must_make_sense(drawing):
    generator = Generator(hidden=4, embedding=4, window=8, epochs=1).fit("to be or not to be\n" * 20)
    with pytest.raises(ArgumentError, match=f"{next(iter(drawing))}=.* is not between"):
        generator.generate("to", **drawing)
    assert len(generator.generate("to", length=5, temperature=1e-45)) == 5


def test_tables_of_other_libraries_are_taken():
    """A PeriodIndex, and levels of names and times, as sktime has them; a TimeSeries as Darts has it."""
    options = {"context": 8, "horizon": 2, "hidden": 4, "epochs": 1}
    series = HOURS.set_index("time")["value"]
    expected = Forecaster(**options).fit(series).predict()
    periods = series.to_period("h")
    pd.testing.assert_frame_equal(Forecaster(**options).fit(periods).predict(), expected)
    levels = pd.concat({"a": series, "b": series}, names=["shop"]).to_frame()
    forecast = Forecaster(**options).fit(levels).predict()
    assert forecast["series"].tolist() == ["a", "a", "b", "b"]

    class TimeSeries:
        n_components, components = 1, ["value"]

        def to_series(self):
            return series

    pd.testing.assert_frame_equal(Forecaster(**options).fit(TimeSeries()).predict(), expected)


def test_threads_learn_what_one_after_the_other_learns():
    def learned(seed):
        options = {"hidden": 8, "embedding": 4, "epochs": 4, "dropout": 0.5, "validation": 0.0}
        return SequenceClassifier(**options, random_state=seed).fit(X, Y).predict_proba(X)

    level, filters, drawn = logging.getLogger("lightning.pytorch").level, len(warnings.filters), torch.get_rng_state()
    alone = [learned(seed) for seed in range(4)]
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(learned, range(4)))
    assert all((one == other).all() for one, other in zip(alone, together, strict=True))
    assert (logging.getLogger("lightning.pytorch").level, len(warnings.filters)) == (level, filters)
    assert (torch.get_rng_state() == drawn).all()


def test_a_fit_that_fails_changes_nothing():
    hours = pd.date_range("2024-01-01", periods=120, freq="h")
    forecaster = Forecaster(context=24, horizon=6, hidden=4, epochs=1).fit(pd.Series(np.arange(120.0) % 24, hours))
    before = forecaster.predict()
    with pytest.raises(errors.DataError, match="values to learn from"):
        forecaster.fit(pd.Series(np.arange(14.0), hours[:14]))
    pd.testing.assert_frame_equal(forecaster.predict(), before)


def test_columns_of_series_are_known_by_their_names():
    tables = [pd.DataFrame({"a": np.linspace(0, s, 5), "b": np.linspace(0, -s, 5)}) for s in [1.0, -1.0] * 8]
    labels = ["up", "down"] * 8
    classifier = SequenceClassifier(hidden=8, epochs=10, rate=0.03, validation=0.0).fit(tables, labels)
    turned = [table[["b", "a"]] for table in tables]
    assert (classifier.predict_proba(turned) == classifier.predict_proba(tables)).all()
    assert classifier.predict(tables[:1] + turned[1:2]).tolist() == ["up", "down"]
    with pytest.raises(errors.DataError, match="column 'a' of the training data is missing"):
        classifier.predict([table.rename(columns={"a": "c"}) for table in tables])
    with pytest.raises(errors.DataError, match="series 2 has the columns"):
        classifier.predict([tables[0], tables[1][["a"]]])


def test_series_of_one_feature_have_any_length():
    wave = [np.linspace(0, (-1) ** number, 5) for number in range(16)]
    classifier = SequenceClassifier(hidden=8, epochs=10, rate=0.03, validation=0.0).fit(wave, ["up", "down"] * 8)
    for lengths in ([7, 6], [7], [7, 7]):
        assert classifier.predict([np.linspace(0, -1, length) for length in lengths]).tolist() == ["down"] * len(
            lengths
        )


def test_what_was_learned_from_an_array_is_forgotten():
    array = np.random.default_rng(0).normal(size=(32, 5))
    classifier = SequenceClassifier(hidden=4, epochs=1, validation=0.0).fit(pd.DataFrame(array).add_prefix("c"), Y)
    assert classifier.n_features_in_ == len(classifier.feature_names_in_) == 5
    classifier.fit([row[: 3 + number % 3] for number, row in enumerate(array)], Y)
    assert not hasattr(classifier, "n_features_in_")
    assert not hasattr(classifier, "feature_names_in_")
    assert len(classifier.predict([np.zeros(7)] * 2)) == 2


def test_large_offsets_leave_what_is_small():
    far = [np.full((4, 1), 1e9) + [0, 20.0][number % 2] * np.linspace(0, 1, 4)[:, None] for number in range(16)]
    options = {"hidden": 8, "epochs": 20, "rate": 0.03, "validation": 0.0}
    assert SequenceClassifier(**options).fit(far, ["flat", "up"] * 8).score(far, ["flat", "up"] * 8) == 1.0


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (["a", None] * 16, "label 2 is missing"),
        (pd.Series(["a", pd.NA] * 16, dtype="string"), "label 2 is missing"),
        ([1.0, float("nan")] * 16, "label 2 is missing"),
        (np.array(["2024-01-01", "2024-01-02"] * 16, "datetime64[D]"), "label 1 is .*datetime64"),
        (["a", "\ud800"] * 16, "label 2 has .*not a character"),
    ],
)
def test_labels_must_be_texts_numbers_or_truth_values(labels, words, tmp_path):
    with pytest.raises(errors.DataError, match=words):
        SequenceClassifier(hidden=4, epochs=1).fit(X, labels, directory=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_iterators_are_read_once():
    translator = Translator(unit="characters", hidden=4, embedding=4, epochs=1, longest=3)
    translator.fit(iter(["ab", "ba"] * 8), iter(["AB", "BA"] * 8))
    assert translator.predict(iter(["ab", "ba"])) == translator.predict(["ab", "ba"])
    tagger = Tagger(hidden=4, embedding=4, epochs=1).fit([["a", "dog"]] * 16, [["D", "N"]] * 16)
    assert tagger.predict(iter([iter(["a", "dog"])])) == tagger.predict([["a", "dog"]])
    Generator(hidden=4, embedding=4, window=8, epochs=1).fit(iter(["to be or not to be"] * 20))


@pytest.mark.parametrize("drawing", [{"length": 2.5}, {"top_k": 1.5}, {"seed": 1.5}, {"temperature": "hot"}])
def test_drawing_takes_numbers_of_the_right_kind(drawing):
    generator = Generator(hidden=4, embedding=4, window=8, epochs=1).fit("to be or not to be\n" * 20)
    with pytest.raises(ArgumentError, match=f"{next(iter(drawing))}=.* is not a"):
        generator.generate("to", **drawing)
    assert generator.generate("to", np.int64(5), seed=np.int64(1)) == generator.generate("to", 5, seed=1)


def test_only_the_steps_that_are_asked_for_must_be_known_ahead():
    hours = pd.date_range("2024-01-01", periods=120, freq="h")
    table = pd.DataFrame({"time": hours, "value": np.arange(120.0) % 24, "k": np.arange(120.0) % 5})
    forecaster = Forecaster(context=24, horizon=4, hidden=4, epochs=1, known=("k",)).fit(table)
    future = pd.DataFrame({"time": pd.date_range(hours[-1], periods=5, freq="h")[1:], "value": np.nan, "k": 1.0})
    long, short = (forecaster.predict(pd.concat([table, future[:steps]]), horizon=2) for steps in (4, 2))
    pd.testing.assert_frame_equal(long, short)
    with pytest.raises(errors.DataError, match="k must be known 3 steps ahead"):
        forecaster.predict(pd.concat([table, future[:2]]), horizon=3)


def test_help_tells_the_options():
    assert "context: Number of past steps that the network reads, at least 2;" in Forecaster.__init__.__doc__
    assert {"Forecaster", "Tagger"} <= {*dir(fastgru_recipes)}
    with pytest.raises(NotFittedError):
        _ = Forecaster().history_


def test_a_search_ends_with_ctrl_c(monkeypatch):
    """It goes on after any error of one fit."""
    fits = []

    def interrupted(*_):
        fits.append(1)
        signal.raise_signal(signal.SIGINT)
        return 0.0

    monkeypatch.setattr(SequenceClassifier.recipe, "score", interrupted)
    data = texts()
    search = GridSearchCV(SequenceClassifier(**CLASSIFIER), {"hidden": [4, 8]}, cv=2, error_score=float("nan"))
    with pytest.raises(KeyboardInterrupt):
        search.fit(data.sequences, data.labels)
    assert len(fits) == 1
