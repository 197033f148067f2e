"""Forecasts of counts: whole numbers from zero."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from fastgru.errors import ArgumentError
from fastgru_recipes.errors import DataError
from fastgru_recipes.forecast import Forecast, defaults, features
from fastgru_recipes.forecast.read_series import from_frame
from fastgru_recipes.training.train import train

SCALE = {"mean": 2.0, "deviation": 3.0, "unit": 1.0, "values": 9.0, "seasonal_error": 1.0}


def panel(values):
    times = pd.date_range("2000-01-01", periods=len(values), freq="MS")
    return from_frame(pd.DataFrame({"time": times, "value": values}), Forecast().columns)


def demand(count=120, mean=0.4):
    """Intermittent: most months nothing."""
    return np.random.default_rng(0).poisson(mean, count).astype(float)


@pytest.mark.parametrize("transform", ["none", "sqrt", "log"])
def test_forecasts_of_counts_are_the_nearest_whole_numbers_from_zero(transform):
    scaled = np.linspace(-3, 2, 40)
    plain = features.untransformed_values(scaled, SCALE, transform, are_counts=False)
    found = features.untransformed_values(scaled, SCALE, transform, are_counts=True)
    np.testing.assert_array_equal(found, np.maximum(np.round(plain), 0))
    assert (found == 0).any()
    assert (found > 0).any()


@pytest.mark.parametrize(
    ("values", "asked", "expected"),
    [
        (demand(), "auto", True),
        (demand() + 0.5, "auto", False),
        (demand() - 1, "auto", False),
        (demand(), "no", False),
        (demand(), "yes", True),
    ],
)
def test_counts_are_recognized(values, asked, expected):
    assert features.are_counts(panel(values), asked) is expected


def test_what_is_no_count_is_refused():
    with pytest.raises(
        DataError, match=r"series value has the value [0-9].5: counts are whole numbers of at least zero"
    ):
        train(Forecast(counts="yes"), panel(demand() + 0.5))
    with pytest.raises(ArgumentError, match="counts='maybe' is not one of"):
        Forecast(counts="maybe")


def test_counts_have_the_square_root_unless_another_transform_is_clearly_better():
    chosen = Forecast(context=12, horizon=6).resolved(panel(demand()))
    assert (chosen.counts, chosen.transform) == ("yes", "sqrt")
    growth = np.round(np.exp(np.linspace(0, 16, 120)))
    assert Forecast(context=12, horizon=6).resolved(panel(growth)).transform == "log"
    assert Forecast(context=12, horizon=6).resolved(panel(demand() + 0.5)).counts == "no"


def test_the_square_root_is_for_counts_alone(monkeypatch):
    monkeypatch.setattr(defaults, "_error", lambda series, name, *rest: {"sqrt": 1.0, "none": 0.96, "log": 0.97}[name])
    assert defaults.transform([], 4, 2, 1, are_counts=True) == "sqrt"
    assert defaults.transform([], 4, 2, 1, are_counts=False) == "none"


def test_a_table_of_counts_has_whole_numbers():
    trained = train(Forecast(context=12, horizon=6, hidden=4, epochs=1), panel(demand()))
    table = trained.recipe.predict(trained.model, trained.state, panel(demand()))
    assert table.drop(columns=["series", "time"]).dtypes.tolist() == [np.dtype("int64")] * 3
    assert (table["q0.1"] >= 0).all()
    assert (table["q0.1"] <= table["q0.9"]).all()
    assert "." not in table.to_csv(index=False).split("\n")[1]
    large = trained.recipe.predict(trained.model, trained.state, panel(demand() * 1e20))
    assert np.isfinite(large["q0.5"]).all()
