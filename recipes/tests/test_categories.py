"""Columns of categories, and columns that are the same in all steps of a series."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from fastgru.errors import ArgumentError
from fastgru_recipes.errors import DataError
from fastgru_recipes.forecast import Forecast
from fastgru_recipes.forecast.inputs import Category, Inputs
from fastgru_recipes.forecast.read_series import from_frame
from fastgru_recipes.training.export import export
from fastgru_recipes.training.train import train

OPTIONS = {"context": 8, "horizon": 2, "hidden": 4, "categorical": ("shop", "weather", "sale"), "transform": "none"}
RECIPE = Forecast(**OPTIONS, covariates=("weather", "size"), known=("sale",), season=1)


def shops(days=40, future=2):
    """Two shops: a static size and name, weather of the past, and sales that are known in advance."""
    parts = []
    for number, name in enumerate("ab"):
        generator = np.random.default_rng(number)
        sale = generator.choice(["no", "half", "all"], days + future)
        value = 10 + generator.normal(size=days + future) / 10 + 4 * (sale == "half") - 4 * (sale == "all")
        value[days:] = np.nan
        dates = pd.date_range("2024-01-01", periods=days + future)
        weather = [*generator.choice(["sun", "rain"], days), *[None] * future]
        columns = {"time": dates, "value": value, "series": name, "shop": f"kind {name}", "size": 10.0 * number}
        parts.append(pd.DataFrame({**columns, "weather": weather, "sale": sale}))
    return pd.concat(parts, ignore_index=True)


def panel(table):
    return from_frame(table, RECIPE.columns)


# ---- reading


def test_categories_are_read_as_texts_and_reach_as_far_as_they_are_known():
    first, second = panel(shops()).series
    assert first.covariates[:, 0].tolist() == [0.0] * 40  # the size alone is a number
    assert (first.known.shape, first.categories.shape) == ((42, 0), (42, 3))
    assert {*first.categories[:, 0]} == {"kind a"}
    assert {*second.categories[:, 0]} == {"kind b"}  # static, so it is known in advance
    assert first.categories[40:, 1].tolist() == ["", ""]
    assert {*first.categories[:, 2]} == {"no", "half", "all"}
    assert first.until(5).categories.shape == (5, 3)


def test_categories_of_a_file_stay_as_they_are_written(tmp_path):
    shops().assign(shop="007").to_csv(tmp_path / "d.csv", index=False)
    assert RECIPE.read(tmp_path / "d.csv").series[0].categories[0, 0] == "007"
    whole = from_frame(shops().assign(shop=7.0), RECIPE.columns)
    assert whole.series[0].categories[0, 0] == "7"


def changed(row, column, value):
    table = shops()
    table.loc[row, column] = value
    return table


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (changed(3, "shop", "kind c"), "row 4, column 'shop': the category changes from 'kind a' to 'kind c'"),
        (changed(3, "weather", None), "row 4, column 'weather': the category is missing"),
        (changed(41, "sale", None), "row 42, column 'sale': the category is missing"),
        (shops().drop(columns="sale"), "sale"),
    ],
)
def test_mistakes_name_the_place(table, words):
    with pytest.raises(DataError, match=words):
        panel(table)


@pytest.mark.parametrize("name", ["value", "time"])
def test_a_column_has_one_meaning(name):
    with pytest.raises(ArgumentError, match="a column twice"):
        Forecast(categorical=(name,))


def test_gaps_have_the_category_before_them():
    table = shops().drop(index=[5, 6])
    with pytest.raises(DataError, match="2024-01-08 00:00:00 was found where 2024-01-06"):
        panel(table)
    filled = Forecast(**OPTIONS, covariates=("weather", "size"), known=("sale",), fill="linear")
    with pytest.warns(UserWarning, match="filled"):
        found = from_frame(table, filled.columns).series[0]
    assert found.categories[5:7].tolist() == [found.categories[4].tolist()] * 2


# ---- the network


def test_categories_become_vectors_and_what_is_static_goes_past_the_gru():
    inputs = Inputs(3, 2, (1,), (Category(5, "static"), Category(4, "past"), Category(2, "ahead"))).eval()
    assert (inputs.past, inputs.future, inputs.static) == (2 + 3 + 2, 2 + 2, 1 + 3)
    past, future = torch.rand(6, 8, 6), torch.rand(6, 4, 3)
    past[..., 3:], future[..., 2] = torch.tensor([5.0, 4.0, 2.0]), 1.0
    steps, ahead, static = inputs(past, future)
    torch.testing.assert_close(steps[..., :2], past[..., [0, 2]])
    torch.testing.assert_close(steps[..., 2:5], inputs.vectors[1].weight[4].expand(6, 8, 3))
    torch.testing.assert_close(ahead[..., 2:], inputs.vectors[2].weight[1].expand(6, 4, 2))
    torch.testing.assert_close(static, torch.cat([past[:, -1, 1:2], inputs.vectors[0].weight[5].expand(6, 3)], 1))


def test_some_categories_of_training_are_replaced_in_whole_windows():
    torch.manual_seed(0)
    inputs = Inputs(1, 0, (), (Category(3, "ahead"),))
    steps, ahead, _ = inputs(torch.ones(1000, 4, 2), torch.ones(1000, 2, 1))
    other = (steps[..., 1:] == inputs.vectors[0].weight[0]).all(-1)
    assert 20 < other[:, 0].sum() < 90
    assert (other == other[:, :1]).all()
    assert ((ahead == inputs.vectors[0].weight[0]).all(-1) == other[:, :2]).all()


def test_a_forecast_follows_a_category_that_is_known_in_advance():
    columns = {"covariates": ("weather", "size"), "known": ("sale",)}
    recipe = Forecast(**OPTIONS, **columns, season=1, recent=0, epochs=6, batch=8, rate=0.02)
    table = shops(days=60)
    trained = train(recipe, panel(table))
    state, model = trained.state, trained.model
    assert state["static"] == [0]
    assert state["categories"]["sale"] == ["all", "half", "no"]
    forecasts = {}
    for sale in ("all", "half", "never seen"):
        asked = table.assign(sale=table["sale"].where(table["value"].notna(), sale))
        forecasts[sale] = trained.recipe.predict(model, state, panel(asked))["q0.5"].mean()
    assert forecasts["half"] - forecasts["all"] > 3  # of 8
    assert forecasts["all"] < forecasts["never seen"] < forecasts["half"]
    new = table.assign(shop="new", series=table["series"] + " of another town")
    assert np.isfinite(trained.recipe.predict(model, state, panel(new))["q0.5"]).all()


@pytest.mark.slow
def test_a_network_with_categories_becomes_onnx(tmp_path):
    trained = train(replace(RECIPE, epochs=1, recent=0), panel(shops()))
    found = export(trained, tmp_path / "m.onnx")
    assert found.difference <= found.tolerance
