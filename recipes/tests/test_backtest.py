"""Backtests: forecasts of a past that is known, from several origins."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from fastgru.cli.commands import app  # with all commands
from fastgru_recipes import backtest
from fastgru_recipes.forecast import Forecast, baselines
from fastgru_recipes.forecast import backtest as module
from fastgru_recipes.forecast.read_series import from_frame
from fastgru_recipes.training.run_directory import Trained
from tiny_data import wave_table

OPTIONS = {"context": 26, "horizon": 4, "hidden": 4, "steps": 4, "recent": 2}
TABLE = pd.concat([wave_table(120).assign(series="a"), wave_table(100, "2024-01-02").assign(series="b")])


def untrained(recipe, panel, **more):
    """What `train` returns, before the first step: the linear path alone."""
    recipe = recipe.resolved(panel)
    state = recipe.learn_state(panel)
    model = recipe.network(state).eval()
    recipe.start(model, state, panel)
    return Trained(recipe, state, model, pd.DataFrame())


@pytest.fixture(autouse=True, scope="module")
def quick():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "train", untrained)
        patch.setattr(baselines, "find_spec", lambda name: None)  # statsmodels takes seconds
        yield


@pytest.fixture(scope="module")
def found(quick):
    return backtest(TABLE, folds=3, **OPTIONS)


def test_forecasts_are_told_with_their_origins_and_values(found):
    table = found.forecasts
    assert table.columns.tolist() == [
        *("series", "origin", "time", "step", "value", "forecast", "q0.1", "q0.5", "q0.9"),
    ]
    assert table["series"].tolist() == ["a"] * 12 + ["b"] * 12
    assert table["step"].tolist() == [1, 2, 3, 4] * 6
    assert table["forecast"].tolist() == table["q0.5"].tolist()
    known = TABLE.set_index(["series", "time"])["value"]
    assert [known[key] for key in zip(table["series"], table["time"], strict=True)] == table["value"].tolist()
    ends = table.groupby("series")["time"].max()
    assert ends.tolist() == TABLE.groupby("series")["time"].max().tolist()
    assert ((table["time"] - table["origin"]) == pd.to_timedelta(table["step"], unit="h")).all()


def test_the_network_learns_from_what_comes_before_the_first_origin(found):
    recipe = Forecast(**OPTIONS)
    panel = from_frame(TABLE, recipe.columns)
    before = replace(panel, series=tuple(each.until(len(each.values) - 12) for each in panel.series))
    trained = untrained(recipe, before)
    expected = trained.recipe.predict(trained.model, trained.state, before)
    first = found.forecasts.groupby("series").head(4)
    np.testing.assert_array_equal(first["q0.9"], expected["q0.9"])


@pytest.mark.parametrize("refit", [False, True])
def test_no_forecast_knows_what_comes_after_its_origin(monkeypatch, refit):
    trained = []
    monkeypatch.setattr(
        module,
        "train",
        lambda recipe, panel, **more: trained.append(len(panel.series[0].values)) or untrained(recipe, panel, **more),
    )
    table = TABLE[TABLE["series"] == "a"].reset_index(drop=True)
    changed = table.assign(value=table["value"].where(table.index < 116, 1e6))
    one, other = (
        backtest(each, folds=2, refit=refit, transform="none", **OPTIONS).forecasts for each in (table, changed)
    )
    assert trained == ([112, 116] if refit else [112]) * 2
    names = ["forecast", "q0.1", "q0.9"]
    pd.testing.assert_frame_equal(one[names], other[names])
    assert (other["value"][4:] == 1e6).all()


def test_scores_are_those_of_the_forecasts(found):
    table = found.forecasts
    unit = {
        name: np.abs(values[24:] - values[:-24]).mean()
        for name, each in TABLE.groupby("series")
        for values in [each["value"].to_numpy()[:-12]]
    }
    errors = (table["forecast"] - table["value"]).abs() / table["series"].map(unit)
    inside = table["value"].between(table["q0.1"], table["q0.9"])
    assert found.scores["MASE"] == pytest.approx(errors.mean())
    assert found.scores["coverage"] == pytest.approx(inside.mean())
    assert found.per_series["network"].tolist() == pytest.approx(errors.groupby(table["series"]).mean().tolist())
    assert found.per_step["network"].tolist() == pytest.approx(errors.groupby(table["step"]).mean().tolist())
    assert found.per_step["coverage"].tolist() == pytest.approx(inside.groupby(table["step"]).mean().tolist())
    yesterday = TABLE.set_index(["series", "time"])["value"].groupby("series").shift(24)
    naive = [yesterday[key] for key in zip(table["series"], table["time"], strict=True)]
    errors = (table["value"] - naive).abs() / table["series"].map(unit)
    assert found.baselines["seasonal naive"]["MASE"] == pytest.approx(errors.mean())
    assert {"last value", "drift", "ridge"} <= {*found.per_step}


def test_mistakes_are_explained():
    with pytest.raises(ValueError, match="folds=0 is not a positive integer"):
        backtest(TABLE, folds=0)
    with pytest.raises(ValueError, match="series b has 100 values: 25 folds of 4 steps leave 0 to learn from"):
        backtest(TABLE, folds=25, **OPTIONS)
    with pytest.raises(ValueError, match="the data are list; give a file, a DataFrame, or a Series"):
        backtest([1, 2, 3])


def test_the_command_writes_forecasts_and_scores(tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    TABLE.to_csv(tmp_path / "d.csv", index=False)
    options = [text for name, value in OPTIONS.items() for text in (f"--{name}", str(value))]
    asked = ["backtest", "forecast", str(tmp_path / "d.csv"), "--folds", "2", *options]
    done = CliRunner().invoke(app, [*asked, "--json", "--out", str(tmp_path / "f.csv")])
    facts = json.loads(done.stdout)
    assert (facts["folds"], facts["refit"], len(facts["per_step"]), len(facts["per_series"])) == (2, False, 4, 2)
    assert len(pd.read_csv(tmp_path / "f.csv")) == 16
    shown = CliRunner().invoke(app, asked).stdout
    assert "MASE by step ahead" in shown
    assert "baseline" in shown
    assert "…" not in shown
    refused = CliRunner().invoke(app, ["backtest", "classify", "d.csv"])
    assert (refused.exit_code, "only forecast can be backtested" in refused.stderr) == (1, True)


def test_what_is_known_in_advance_goes_on_after_an_origin(monkeypatch):
    seen = []
    predict = Forecast.predict
    monkeypatch.setattr(Forecast, "predict", lambda *given: seen.append(given[-1].series[0]) or predict(*given))
    table = wave_table(120).assign(price=np.arange(120.0), day=["ab"[n // 24 % 2] for n in range(120)])
    backtest(table, folds=2, known="price,day", categorical="day", **OPTIONS)
    assert [len(each.values) for each in seen] == [112, 116]
    assert {(len(each.known), len(each.categories)) for each in seen} == {(120, 120)}
