"""The recipes as estimators of sktime."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # its imports warn, of what changes in it
    pytest.importorskip("sktime", reason="needs the extra sktime")
    from fastgru_recipes.estimators.sktime import GRUClassifier, GRUForecaster

from fastgru.errors import ArgumentError
from fastgru_recipes import Forecaster, SequenceClassifier

HOURS = pd.date_range("2024-01-01", periods=80, freq="h")
SMALL = {"context": 8, "hidden": 4, "epochs": 2, "width": 4, "season": 1, "validation": 0.0}


def wave(index, shift=0.0):
    return pd.Series(np.sin(np.arange(len(index)) / 3 + shift) + 5, index, name="load")


def rise(index):
    return pd.DataFrame({"rise": np.linspace(0, 1, len(index))}, index)


@pytest.mark.parametrize(
    "index",
    [
        HOURS,
        pd.period_range("2024-01", periods=80, freq="M"),
        pd.RangeIndex(80),
        pd.date_range("2024-01-31", periods=80, freq="ME"),
        pd.date_range("2024-01-01", periods=80, freq="MS") + pd.Timedelta(days=14),
    ],
)
def test_a_forecast_goes_on_with_the_index_it_was_given(index):
    forecaster = GRUForecaster(Forecaster(**SMALL)).fit(wave(index[:70]), fh=[1, 2, 4])
    found = forecaster.predict()
    assert found.index.equals(index[[70, 71, 73]])
    assert found.name == "load"
    assert np.isfinite(found).all()


def test_forecasts_are_those_of_the_recipe():
    shares = (0.2, 0.5, 0.8)
    ours = Forecaster(**SMALL, horizon=3, quantiles=shares)
    theirs = GRUForecaster(Forecaster(**SMALL, quantiles=shares)).fit(wave(HOURS[:70]), fh=[1, 2, 3])
    table = pd.DataFrame({"time": HOURS[:70], "y0": wave(HOURS[:70]).to_numpy()})
    expected = ours.set_params(target=("y0",)).fit(table).predict()
    np.testing.assert_array_equal(theirs.predict().to_numpy(), expected["q0.5"].to_numpy())


def test_variables_known_ahead_make_a_difference():
    options = {**SMALL, "epochs": 10, "width": 16}
    forecaster = GRUForecaster(Forecaster(**options)).fit(wave(HOURS[:70]), rise(HOURS)[:70], fh=[1, 2])
    ahead = rise(HOURS)[70:72]
    assert not forecaster.predict(X=ahead).equals(forecaster.predict(X=ahead + 5))


def test_many_series_of_many_variables_come_back_under_their_names():
    table = pd.concat(
        {
            name: pd.DataFrame({"a": wave(HOURS[:last], shift), "b": wave(HOURS[:last], shift + 1)})
            for name, shift, last in (("west", 0.0, 70), ("east", 1.0, 70))
        },
        names=["place", "hour"],
    )
    found = GRUForecaster(Forecaster(**SMALL)).fit(table, fh=[1, 2]).predict()
    assert found.columns.tolist() == ["a", "b"]
    assert sorted(set(found.index.get_level_values(0))) == ["east", "west"]
    alone = GRUForecaster(Forecaster(**SMALL)).fit(table.loc[["west"]], fh=[1, 2]).predict()
    assert alone.index.tolist() == found.loc[["west"]].index.tolist()


def test_quantiles_are_ordered_and_not_invented():
    forecaster = GRUForecaster(Forecaster(**SMALL, quantiles=(0.1, 0.5, 0.8))).fit(wave(HOURS), fh=[1, 2])
    found = forecaster.predict_quantiles(alpha=[0.1, 0.3, 0.5, 0.8]).to_numpy()
    assert (np.diff(found, axis=1) >= 0).all()
    np.testing.assert_array_equal(found[:, 2], forecaster.predict().to_numpy())
    assert forecaster.predict_interval(coverage=0.6).shape == (2, 2)
    with pytest.raises(ArgumentError, match=r"alpha=\[0.05.*the learned quantiles are \[0.1, 0.5, 0.8"):
        forecaster.predict_quantiles(alpha=[0.05])


def test_no_forecast_beyond_what_was_learned():
    forecaster = GRUForecaster(Forecaster(**SMALL)).fit(wave(HOURS), fh=[1, 2])
    with pytest.raises(ArgumentError, match=r"fh goes 3 steps ahead; 2 were learned. Give that fh to `fit`."):
        forecaster._predict(forecaster._check_fh([3]), None)


def test_new_values_move_the_forecast_on():
    forecaster = GRUForecaster(Forecaster(**SMALL)).fit(wave(HOURS[:70]), fh=[1])
    weights = forecaster.forecaster_
    forecaster.update(wave(HOURS)[70:], update_params=False)
    assert forecaster.forecaster_ is weights
    assert forecaster.predict().index[0] == HOURS[-1] + pd.Timedelta(hours=1)
    forecaster.update(wave(HOURS)[70:], update_params=True)
    assert forecaster.forecaster_ is not weights


def test_series_of_unequal_lengths_are_classified():
    series = pd.concat(
        {n: pd.DataFrame({"x": [n % 2 * 2.0 - 1] * (4 + n % 3)}, pd.RangeIndex(4 + n % 3)) for n in range(24)},
        names=["series", "step"],
    )
    labels = np.array(["down", "up"] * 12)
    classifier = GRUClassifier(SequenceClassifier(hidden=8, epochs=10, rate=0.02, validation=0.0)).fit(series, labels)
    assert classifier.predict(series).tolist() == labels.tolist()
    assert classifier.predict_proba(series).shape == (24, 2)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [GRUForecaster, GRUClassifier])
def test_all_checks_of_sktime_pass(kind):
    from sktime.utils.estimator_checks import check_estimator

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some are there to make estimators warn
        # That one looks for the data in sktime's own attribute, where its next version will not put them either.
        results = check_estimator(kind, tests_to_exclude=["test__y_remember_data"], verbose=False)
    assert len(results) > 100
    assert {name: result for name, result in results.items() if result != "PASSED"} == {}


def test_the_default_interval_of_sktime_was_learned():
    y = wave(pd.period_range("1948-01", periods=80, freq="M"))
    forecaster = GRUForecaster(Forecaster(context=12, hidden=4, epochs=1)).fit(y, fh=[1, 2])
    interval = forecaster.predict_interval()
    assert (interval.iloc[:, 0] < interval.iloc[:, 1]).all()
    assert forecaster.predict_quantiles().shape == (2, 2)


def test_what_is_known_of_the_future_may_come_early():
    y = wave(pd.period_range("1948-01", periods=80, freq="M"))
    months = pd.period_range("1948-01", periods=100, freq="M")
    known = pd.DataFrame({"month": np.arange(100.0) % 12}, months)
    forecasters = [
        GRUForecaster(Forecaster(context=12, hidden=4, epochs=1)).fit(y, X=X, fh=[1, 3])
        for X in (known, known[: len(y)])
    ]
    early, late = (each.predict(X=known) for each in forecasters)
    pd.testing.assert_series_equal(early, late)
    with pytest.raises(ArgumentError, match="give X with the rows of fh"):
        forecasters[0].predict()
