"""Tables of series: what is read, in which forms, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("lightning", reason="needs the extra tasks")

from fastgru.errors import ArgumentError, DataError
from fastgru.tasks import features, work
from fastgru.tasks.forecast import Forecast
from fastgru.tasks.series import from_frame
from tiny import HOURS, wave_table


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.rename(columns={"value": "v"}), "no column 'value'. Its columns are 'time', 'v'"),
        (lambda t: t.drop(index=5), "line 7: 2024-01-01 06:00:00 came where 2024-01-01 05:00:00 was expected"),
        (lambda t: t.iloc[[0, 1, 2, 2, *range(3, 60)]], "line 5: 2024-01-01 02:00:00 is there twice"),
        (lambda t: t.iloc[[0, 1, 3, 2, *range(4, 60)]], "line 5: 2024-01-01 02:00:00 comes after"),
        (lambda t: t.assign(value=t.value.mask(t.index == 3)), "line 5, column 'value': the value is missing"),
        (
            lambda t: t.assign(value=t.value.astype(object).mask(t.index == 3, "x")),
            "line 5, column 'value': 'x' is no num",
        ),
        (
            lambda t: t.assign(time=t.time.astype(str).mask(t.index == 1, "soon")),
            "line 3, column 'time': 'soon' is no time",
        ),
        (
            lambda t: t.assign(time=t.time.dt.strftime("%d.%m.%Y %H:%M")).head(40),
            "may be two days, with the day or the",
        ),
        (lambda t: t.assign(time=t.time.dt.strftime("%H:%M")), "line 2, column 'time': '00:00' is no time"),
        (lambda t: t.assign(time=t.index - 40), "line 2, column 'time': -40 is no time"),
        (lambda t: t.assign(value=t.value * 1e300), "line 2, column 'value': the value is larger than 1e\\+30"),
        (lambda t: t.iloc[:2], "2 rows are too few to see how far apart they are"),
        (lambda t: t.iloc[:20], "has 17 values to learn from; a context of 24"),
        (lambda t: t.iloc[:0], "has no rows"),
    ],
)
def test_a_bad_table_of_series_is_explained(tmp_path, change, words):
    path = tmp_path / "series.csv"
    change(wave_table(100)).to_csv(path, index=False)
    recipe = Forecast(context=24, horizon=6, hidden=16, epochs=1)
    with pytest.raises(DataError, match=words):
        work.train(recipe, recipe.read(path))


@pytest.mark.parametrize(
    ("form", "frequency"),
    [
        ("%d.%m.%Y", "D"),
        ("%m/%d/%Y", "D"),
        ("%d %B %Y", "D"),
        ("%Y%m%d", "D"),
        ("%Y%m", "MS"),
        ("%Y", "YS"),
        ("%F", "h"),
    ],
)
def test_times_are_read_in_many_forms(tmp_path, form, frequency):
    """Day and month in either order, if one of the days tells which; numbers; offsets."""
    times = pd.date_range("1990-01-01", periods=30, freq=frequency)
    written = times.strftime(form if form != "%F" else "%Y-%m-%dT%H:%M:%SZ")
    pd.DataFrame({"time": written, "value": range(30)}).to_csv(tmp_path / "series.csv", index=False)
    found = Forecast().read(tmp_path / "series.csv").series[0].times
    assert list(found.tz_localize(None)) == list(times)


@pytest.mark.parametrize(
    "options",
    [
        {"known": "value"},
        {"covariates": ("a", "a")},
        {"target": "time"},
        {"target": ()},
        {"quantiles": "a"},
        {"target": 3},
    ],
)
def test_a_column_has_one_meaning(options):
    with pytest.raises(ArgumentError, match=r"a column twice|is no list of"):
        Forecast(**options)


def test_lists_are_texts_with_commas_too():
    assert Forecast(target="a, b", quantiles="0.2,0.5").target == ("a", "b")
    assert Forecast(quantiles=np.array([0.2, 0.5]), hidden=np.int64(3)).quantiles == (0.2, 0.5)


def test_a_column_of_names_that_was_asked_for_must_be_there(tmp_path):
    wave_table(60).to_csv(tmp_path / "series.csv", index=False)
    with pytest.raises(DataError, match="no column 'shop'"):
        Forecast(series="shop").read(tmp_path / "series.csv")


def test_times_and_names_may_be_the_index_of_a_parquet_file(tmp_path):
    table = wave_table(60)
    both = pd.concat([table.assign(shop="a"), table.assign(shop="b")])
    both.set_index(["shop", "time"]).to_parquet(tmp_path / "several.parquet")
    table.set_index("time").to_parquet(tmp_path / "one.parquet")
    several, one = (Forecast().read(tmp_path / f"{name}.parquet").series for name in ("several", "one"))
    assert [each.name for each in several] == ["a", "b"]
    assert list(one[0].times) == list(several[1].times) == list(table["time"])


def test_long_and_wide_tables_hold_the_same_series(tmp_path):
    table = wave_table(60)
    wide = table.rename(columns={"value": "a"}).assign(b=table.value * 2)
    long = pd.concat([table.assign(series="a"), table.assign(series="b", value=table.value * 2)])
    wide.to_parquet(tmp_path / "wide.parquet")
    long.to_csv(tmp_path / "long.csv", index=False)
    one = Forecast(target=("a", "b")).read(tmp_path / "wide.parquet").series
    other = Forecast().read(tmp_path / "long.csv").series
    assert [each.name for each in one] == [each.name for each in other] == ["a", "b"]
    for a, b in zip(one, other, strict=True):
        np.testing.assert_allclose(a.values, b.values)
    assert (one[0].times == other[0].times).all()


def test_what_is_known_ahead_is_used(tmp_path):
    table = wave_table(HOURS + 6)
    holiday = (np.arange(HOURS + 6) // 24 % 3 == 0).astype(float)
    table["holiday"], table["value"] = holiday, table["value"] + 3 * holiday
    table.loc[table.index >= HOURS, "value"] = np.nan
    table.to_csv(tmp_path / "series.csv", index=False)
    recipe = Forecast(context=24, horizon=6, hidden=12, epochs=3, known=("holiday",), batch=64, rate=0.02)
    data = recipe.read(tmp_path / "series.csv")
    run = work.train(recipe, data)
    forecast = recipe.predict(run.model, run.state, data)
    assert list(forecast["time"]) == list(table["time"][HOURS:])
    short = recipe.read(tmp_path / "series.csv").series[0].until(HOURS)
    with pytest.raises(DataError, match="holiday must be known 6 steps ahead"):
        recipe.predict(run.model, run.state, type(data)((short,), data.frequency))


@pytest.mark.parametrize("quantiles", [(0.5, 0.1), (0.1, 0.9), (0.0, 0.5), (0.5, 0.5)])
def test_quantiles_must_make_sense(quantiles):
    with pytest.raises(ArgumentError, match="must rise"):
        Forecast(quantiles=quantiles)


def test_times_with_a_zone_become_utc(tmp_path):
    hours = pd.date_range("2024-03-30", periods=60, freq="h", tz="Europe/Berlin")  # over a change of clocks
    pd.DataFrame({"time": hours, "value": np.arange(60.0)}).to_csv(tmp_path / "t.csv", index=False)
    panel = Forecast(context=24, horizon=6).read(tmp_path / "t.csv")
    assert panel.series[0].times.tolist() == hours.tz_convert("UTC").tolist()


def test_either_all_times_have_a_zone_or_none(tmp_path):
    (tmp_path / "t.csv").write_text("time,value\n2024-01-01T00:00Z,1\n2024-01-01T01:00,2\n2024-01-01T02:00Z,3\n")
    with pytest.raises(DataError, match="line 3, column 'time': of '2024-01-01T01:00' and '2024-01-01T00:00Z'"):
        Forecast().read(tmp_path / "t.csv")


@pytest.mark.parametrize(
    ("frequency", "season"), [("SME", 24), ("SMS", 24), ("BME", 12), ("BQS", 4), ("B", 5), ("W", 52), ("2h", 12)]
)
def test_the_season_is_that_of_the_frequency(frequency, season):
    times = pd.date_range("1950-01-01", periods=80, freq=frequency)
    assert from_frame(pd.DataFrame({"time": times, "value": 1.0}), Forecast().columns).season == season


def test_two_series_of_one_name_are_refused():
    rows = [pd.DataFrame({"time": wave_table(60).time, "series": name, "b c": 1.0, "c": 2.0}) for name in ("a", "a b")]
    with pytest.raises(DataError, match="two series 'a b c'"):
        from_frame(pd.concat(rows), Forecast(target=("b c", "c")).columns)


def test_a_new_series_is_scaled_by_its_history_alone():
    values = np.sin(np.arange(150.0))
    scales = []
    for factor in (1, 50):
        later = np.r_[values[:100], values[100:] * factor]
        panel = from_frame(
            pd.DataFrame({"time": pd.date_range("2024", periods=150, freq="h"), "value": later}), Forecast().columns
        )
        scales.append(features.scale(replace(panel.series[0], start=100), "none", 24))
    assert scales[0] == scales[1]
