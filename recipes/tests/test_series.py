"""Tables of series: accepted formats, and errors."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from fastgru.cli.commands import app  # with all commands
from fastgru.errors import ArgumentError
from fastgru_recipes import Forecaster, scaling
from fastgru_recipes.cli import tables
from fastgru_recipes.errors import DataError
from fastgru_recipes.forecast import Forecast, baselines, features
from fastgru_recipes.forecast.read_series import from_frame
from fastgru_recipes.training.train import train
from tiny_data import HOURS, wave_table


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.rename(columns={"value": "v"}), "no column 'value'. Its columns are 'time', 'v'"),
        (lambda t: t.drop(index=5), "line 7: 2024-01-01 06:00:00 was found where 2024-01-01 05:00:00 was expected"),
        (lambda t: t.iloc[[0, 1, 2, 2, *range(3, 60)]], "line 5: 2024-01-01 02:00:00 appears twice"),
        (
            lambda t: t.iloc[[0, 1, 3, 7, 8, 20, 21]],
            "line 4: times are not regular: 2024-01-01 00:00:00, .*01:",
        ),
        (
            lambda t: t.assign(time=t.time.mask(t.index == 5, t.time + pd.Timedelta("7min"))),
            "05:00:00 .*Write the time",
        ),
        (lambda t: t.iloc[[0, 1, 3, 2, *range(4, 60)]], "line 5: 2024-01-01 02:00:00 comes after"),
        (lambda t: t.assign(value=t.value.mask(t.index == 3)), "line 5, column 'value': the value is missing"),
        (
            lambda t: t.assign(value=t.value.astype(object).mask(t.index == 3, "x")),
            "line 5, column 'value': 'x' is not a num",
        ),
        (
            lambda t: t.assign(time=t.time.astype(str).mask(t.index == 1, "soon")),
            "line 3, column 'time': 'soon' is not a time",
        ),
        (
            lambda t: t.assign(time=t.time.dt.strftime("%d.%m.%Y %H:%M")).head(40),
            "is ambiguous: the day or the",
        ),
        (lambda t: t.assign(time=t.time.dt.strftime("%H:%M")), "line 2, column 'time': '00:00' is not a time"),
        (lambda t: t.assign(time=t.index - 40.5), "line 2, column 'time': '-40.5' is not a time"),
        (lambda t: t.assign(value=t.value * 1e300), "line 2, column 'value': the value is larger than 1e\\+30"),
        (lambda t: t.iloc[:2], "2 rows are too few to infer the frequency"),
        (lambda t: t.iloc[:20], "has 11 values to learn from; a context of 24"),
        (lambda t: t.iloc[:0], "has no rows"),
    ],
)
def test_a_bad_table_of_series_is_explained(tmp_path, change, words):
    path = tmp_path / "series.csv"
    change(wave_table(100)).to_csv(path, index=False)
    recipe = Forecast(context=24, horizon=6, hidden=16, epochs=1)
    with pytest.raises(DataError, match=words):
        train(recipe, recipe.read(path))


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
    with pytest.raises(ArgumentError, match=r"a column twice|is not a list of"):
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
    run = train(recipe, data)
    forecast = recipe.predict(run.model, run.state, data)
    assert list(forecast["time"]) == list(table["time"][HOURS:])
    short = recipe.read(tmp_path / "series.csv").series[0].until(HOURS)
    with pytest.raises(DataError, match="holiday must be known 6 steps ahead"):
        recipe.predict(run.model, run.state, type(data)((short,), data.frequency))


@pytest.mark.parametrize("quantiles", [(0.5, 0.1), (0.1, 0.9), (0.0, 0.5), (0.5, 0.5)])
def test_quantiles_must_make_sense(quantiles):
    with pytest.raises(ArgumentError, match="must increase"):
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


# ---- calendars

FIRST = pd.Timestamp("1990-01-15")


def each(first, count=80, **step):
    return [
        pd.Timestamp(first) + pd.DateOffset(**{name: n * number for name, n in step.items()}) for number in range(count)
    ]


def on_days(*days, months=1):
    starts = pd.date_range("1990-01-01", periods=40, freq=f"{months}MS")
    return [start + pd.Timedelta(days=min(day, start.days_in_month) - 1) for start in starts for day in days]


def whole(frequency, first="1990-01-03"):
    return pd.date_range(first, periods=80, freq=frequency)


CALENDARS = [
    (each("1990-01-15", months=1), "month on day 15", 12),
    (each("1990-01-15 12:30", months=1), "month on day 15", 12),
    (each("1990-01-30", months=1), "month on day 30", 12),
    (each("1990-01-31", months=1), "ME", 12),
    (each("1990-01-31", months=2), "2ME", 6),
    (each("1990-01-01", months=2), "2MS", 6),
    (each("1990-01-15", months=2), "2 months on day 15", 6),
    (each("1990-02-15", months=3), "3 months on day 15", 4),
    (each("1900-06-15", months=12), "12 months on day 15", 1),
    (each("2021-06-15", count=3, months=12), "12 months on day 15", 1),
    (each("2023-07-15", count=3, months=1), "month on day 15", 12),
    (each("1920-02-29", months=12), "YE-FEB", 1),
    (on_days(5, 20), "month on days 5, 20", 24),
    (on_days(1, 11, 21), "month on days 1, 11, 21", 36),
    (on_days(10, 20, 31), "month on days 10, 20, 31", 36),
    (on_days(5, 20, months=2), "2 months on days 5, 20", 12),
    (whole("SMS", "1990-01-01 06:00"), "SMS", 24),
    (whole("BME"), "BME", 12),
    (whole("WOM-3FRI"), "WOM-3FRI", 12),
    (whole("LWOM-FRI"), "LWOM-FRI", 12),
    (whole("B", "1990-01-03 09:30"), "B", 5),
    (whole("28D"), "4W-WED", 13),
    (whole("90D"), "90D", 1),
    (whole("7h"), "7h", 3),
]


@pytest.mark.parametrize("zone", [None, "UTC", "Europe/Berlin"])
@pytest.mark.parametrize(("times", "frequency", "season"), CALENDARS, ids=[str(each[1]) for each in CALENDARS])
def test_a_calendar_is_told_from_its_times(times, frequency, season, zone):
    times = pd.DatetimeIndex(times).tz_localize(None if frequency in ("7h", "90D") else zone)
    panel = from_frame(pd.DataFrame({"time": times, "value": 1.0}), Forecast().columns)
    assert (panel.frequency, panel.season) == (frequency, season)
    known = panel.series[0].until(len(times) - 2)
    assert panel.series[0].until(3).ahead(len(times) - 3, frequency).tolist() == times[3:].tolist()
    assert known.ahead(2, frequency).tolist() == times[-2:].tolist()


def test_a_forecast_goes_on_by_its_calendar(tmp_path):
    table = pd.DataFrame({"time": each("1990-01-30", months=1), "value": np.arange(80) % 12.0})
    table.to_csv(tmp_path / "t.csv", index=False)
    recipe = Forecast(context=12, horizon=3, hidden=4, epochs=1)
    data = recipe.read(tmp_path / "t.csv")
    run = train(recipe, data)
    forecast = recipe.predict(run.model, run.state, data)
    assert forecast["time"].dt.strftime("%F").tolist() == ["1996-09-30", "1996-10-30", "1996-11-30"]
    tenth = recipe.read(tmp_path / "t.csv").series[0]
    other = type(data)((replace(tenth, times=tenth.times - pd.Timedelta("1D")),), data.frequency)
    with pytest.raises(DataError, match=r"training had a row each month on day 30\. Convert it to"):
        recipe.predict(run.model, run.state, other)


@pytest.mark.parametrize(
    ("times", "words"),
    [
        (np.delete(each("1990-01-15", months=1), 50), "row 51: 1994-04-15 .* 1994-03-15 .*add a row for each time"),
        (np.delete(each("1900-06-15", months=12), 31), "row 32: 1932-06-15 .* 1931-06-15 .*each 12 months on day 15"),
        (np.delete(on_days(5, 20), 40), "row 41: 1991-09-20 .* 1991-09-05 .*each month on days 5, 20"),
        (np.delete(whole("MS"), 40), "Fill the gap, for example with DataFrame.asfreq"),
        (
            each(FIRST, 40, months=1) + each("1993-05-16", 40, months=1),
            "row 41: 1993-05-16 .*Write the time of each row",
        ),
    ],
)
def test_what_breaks_a_calendar_is_explained(times, words):
    with pytest.raises(DataError, match=words):
        from_frame(pd.DataFrame({"time": times, "value": 1.0}), Forecast().columns)


def test_a_short_series_first_does_not_tell_the_calendar_of_others():
    table = pd.DataFrame({"time": whole("B", "1990-01-01"), "value": 1.0, "series": "long"})
    week = table.head(5).assign(series="week")  # Monday to Friday look like any days
    panel = from_frame(pd.concat([week, table]), Forecast().columns)
    assert (panel.frequency, [each.name for each in panel.series]) == ("B", ["week", "long"])


# ---- changes of clocks


@pytest.mark.parametrize("step", ["15min", "30min", "h", "2h", "6h", "24h"])
@pytest.mark.parametrize(
    ("zone", "day", "words"),
    [
        ("Europe/Berlin", "2024-10-25", "repeat an hour. Keep both rows"),
        ("Europe/Berlin", "2024-03-29", "skip an hour. Add no row"),
        ("America/New_York", "2024-11-01", "repeat an hour. Keep both rows"),
        ("America/New_York", "2024-03-08", "skip an hour. Add no row"),
        ("Asia/Beirut", "2024-03-28", "skip an hour. Add no row"),
        ("Australia/Lord_Howe", "2024-04-04", "repeat an hour. Keep both rows"),
    ],
)
def test_a_change_of_clocks_is_no_gap(zone, day, words, step):
    local = pd.date_range(day, periods=400, freq=step, tz="UTC").tz_convert(zone)
    table = pd.DataFrame({"time": local.tz_localize(None), "value": 1.0})
    for rows in (table, table.sort_values("time"), table.drop(index=20)):
        with pytest.raises(DataError, match=rf"at a change of clocks .*{words}.*in UTC.*offset.*tz_localize") as raised:
            from_frame(rows, Forecast().columns)
        assert not any(word in str(raised.value) for word in ("Keep one", "keep one", "Sort", "Fill", "asfreq"))
    told = table.assign(time=local.strftime("%Y-%m-%dT%H:%M%z"))
    assert from_frame(told, Forecast().columns).series[0].times.tolist() == local.tz_convert("UTC").tolist()


def test_the_advice_on_clocks_helps():
    local = pd.date_range("2024-10-25", periods=100, freq="h", tz="Europe/Berlin").tz_localize(None)
    table = pd.DataFrame({"time": local, "value": 1.0})
    with pytest.raises(DataError, match=r"times.dt.tz_localize\('Europe/Berlin', ambiguous='infer'\)"):
        from_frame(table, Forecast().columns)
    table["time"] = table["time"].dt.tz_localize("Europe/Berlin", ambiguous="infer")
    assert from_frame(table, Forecast().columns).frequency == "h"


def test_times_that_are_wrong_elsewhere_are_no_change_of_clocks():
    hours = pd.date_range("2024-01-01", periods=400, freq="h")
    for times in (hours.delete(50), hours.insert(50, hours[50]), hours.insert(50, hours[49] + pd.Timedelta("30min"))):
        with pytest.raises(DataError) as raised:
            from_frame(pd.DataFrame({"time": times, "value": 1.0}), Forecast().columns)
        assert "clocks" not in str(raised.value)


def test_days_at_an_hour_that_clocks_leave_out():
    days = pd.date_range("2024-03-01 02:30", periods=60, freq="D").tz_localize(
        "Europe/Berlin", nonexistent="shift_forward"
    )
    panel = from_frame(pd.DataFrame({"time": days, "value": 1.0}), Forecast().columns)
    assert (panel.frequency, panel.series[0].until(20).ahead(40, "D").tolist()) == ("D", days[20:].tolist())


def test_an_index_of_times_keeps_its_zone():
    hours = pd.date_range("2024-10-25", periods=60, freq="h", tz="Europe/Berlin")
    panel = from_frame(pd.DataFrame({"value": 1.0}, hours), Forecast().columns)
    assert str(panel.series[0].times.tz) == "Europe/Berlin"


# ---- names of columns

TIMES = pd.date_range("2024", periods=30, freq="h")


@pytest.mark.parametrize("frame", [pd.DataFrame({("value", "a"): 1.0, ("value", "b"): 2.0}, TIMES), None])
def test_columns_of_two_levels_are_explained(frame, tmp_path):
    frame = pd.DataFrame({("time", ""): TIMES, ("value", "b"): 2.0}) if frame is None else frame
    with pytest.raises(DataError, match=r"the table has columns of 2 levels, such as .*Give each column one name"):
        from_frame(frame, Forecast().columns)
    frame.to_parquet(tmp_path / "t.parquet")
    with pytest.raises(DataError, match=r"t.parquet has columns of 2 levels"):
        Forecast().read(tmp_path / "t.parquet")


def test_one_column_beside_an_index_of_times_is_the_values():
    expected = from_frame(pd.DataFrame({"value": range(30)}, TIMES), Forecast().columns)
    for name in ("sales", 0, "series", pd.MultiIndex.from_tuples([("value",)])):
        names = name if isinstance(name, pd.MultiIndex) else [name]
        found = from_frame(pd.DataFrame({0: range(30)}, TIMES).set_axis(names, axis=1), Forecast().columns)
        assert found.series[0].values.tolist() == expected.series[0].values.tolist()
        assert found.series[0].times.tolist() == TIMES.tolist()
    written = pd.DataFrame({"sales": range(30)}, pd.Index(TIMES.astype(str), name="time"))
    assert from_frame(written, Forecast().columns).series[0].times.tolist() == TIMES.tolist()
    with pytest.raises(DataError, match=r"no column 'time', 'value'\. Its columns are 'sales'"):
        from_frame(pd.DataFrame({"sales": range(30)}), Forecast().columns)


@pytest.mark.parametrize("meaning", ["target", "covariates", "known"])
def test_a_column_of_numbers_may_be_called_series(meaning):
    table = pd.DataFrame({"time": TIMES, "value": 1.0, "series": range(30)})
    recipe = Forecast(**{meaning: ("series",)})
    found = from_frame(table, recipe.columns).series
    assert [each.name for each in found] == list(recipe.target)
    both = pd.concat({"a": table.set_index("time"), "b": table.set_index("time")})
    assert [each.name for each in from_frame(both, recipe.columns).series] == ["a", "b"]
    with pytest.raises(ArgumentError, match="a column twice"):
        Forecast(**{meaning: ("shop",)}, series="shop")


def test_a_column_of_times_may_be_called_self():
    assert len(from_frame(pd.DataFrame({"self": TIMES, "value": 1.0}), Forecast(time="self").columns).series) == 1


# ---- MASE of what repeats

WAVE = np.sin(np.arange(120) * np.pi / 12)
NOISE = np.random.default_rng(0).normal(size=120) / 10
OPTIONS = {"context": 24, "horizon": 4, "hidden": 4, "epochs": 1}


def hourly(values):
    return pd.Series(values, pd.date_range("2024-01-01", periods=120, freq="h"))


@pytest.mark.parametrize(
    ("values", "is_defined"),
    [
        (WAVE, False),
        (WAVE + 1e6, False),
        (np.float32(WAVE), False),
        (np.round(WAVE * 100), False),
        (np.full(120, 0.1), False),
        (np.zeros(120), False),
        (WAVE + NOISE, True),
        (1e6 + NOISE, True),
        (WAVE + NOISE / 1000, True),
    ],
)
def test_mase_of_a_series_that_repeats_is_undefined(values, is_defined):
    (each,) = from_frame(hourly(values).to_frame("value"), Forecast().columns).series
    assert (features.seasonal_error(each.values, 24) > 0) == is_defined


def test_scores_leave_out_what_is_undefined_and_say_so():
    both = pd.DataFrame({"noise": hourly(WAVE + NOISE), "wave": hourly(WAVE)})
    forecaster = Forecaster(**OPTIONS, target=("noise", "wave")).fit(both)
    recipe, model, state = forecaster._parts()
    panel = from_frame(both, recipe.columns)
    scores = recipe.score(model, state, panel)
    alone = recipe.score(model, state, replace(panel, series=panel.series[:1]))
    assert (scores["MASE"], scores["scaled_pinball"]) == (alone["MASE"], alone["scaled_pinball"])
    assert (scores["series_without_MASE"], "series_without_MASE" in alone) == (1, False)
    nothing = recipe.score(model, state, replace(panel, series=panel.series[1:]))
    assert np.isnan([nothing["MASE"], nothing["scaled_pinball"]]).all()
    assert nothing["coverage"] >= 0
    notes = [tables.scores_table(each, "of").caption for each in (scores, nothing, alone)]
    assert notes == [tables.UNDEFINED, tables.UNDEFINED, None]


def test_json_has_null_for_what_is_undefined(tmp_path):
    hourly(WAVE).rename("value").rename_axis("time").to_csv(tmp_path / "t.csv")
    Forecaster(**OPTIONS).fit(hourly(WAVE)).save(tmp_path / "run")
    written = (tmp_path / "run/metrics.json").read_text()
    arguments = ["evaluate", str(tmp_path / "run"), "--data", str(tmp_path / "t.csv"), "--json"]
    printed = CliRunner().invoke(app, arguments).output
    for text in (written, printed):
        facts = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not valid JSON"))
        assert facts.get("scores", facts)["MASE"] is None


def test_baselines_have_no_mase_of_what_repeats():
    def mase(values):
        panel = from_frame(hourly(values).to_frame("value"), Forecast().columns)
        longer = replace(panel, series=(replace(panel.series[0], start=100),))
        return baselines.rolling_mase(panel, longer, 4, 24, baselines.naive(24, 4))

    assert np.isnan(mase(WAVE))
    assert 0.5 < mase(WAVE + NOISE) < 2


def test_a_constant_is_not_divided_by_its_rounding():
    columns = np.c_[np.full(999, 0.1), 1e9 + NOISE[:111].repeat(9), np.zeros(999)]
    assert columns.std(0)[0] > 0
    deviation = scaling.deviation(columns)
    assert deviation[[0, 2]].tolist() == [1, 1]
    assert 0.05 < deviation[1] < 0.2
