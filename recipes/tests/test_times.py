"""Times of series: their forms, zones, gaps that are filled on request, and tables with times as columns."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

from fastgru.errors import ArgumentError
from fastgru_recipes import Forecaster
from fastgru_recipes.errors import DataError, FilledWarning
from fastgru_recipes.forecast import Forecast, counts
from fastgru_recipes.forecast.read_series import from_frame

VALUES = list(np.arange(16.0))


def panel(times, values=None, **options):
    table = pd.DataFrame({"time": times, "value": VALUES[: len(times)] if values is None else values})
    return from_frame(table, Forecast(**options).columns)


def written(tmp_path, content, **options):
    path = tmp_path / "d.csv"
    path.write_text(content)
    return Forecast(**options).read(path)


# ---- forms


def names(form, count=12):
    if isinstance(form, str):
        return [form.format(number + 1) for number in range(count)]
    return [form(number) for number in range(count)]


@pytest.mark.parametrize(
    ("times", "frequency", "first", "season"),
    [
        (names(lambda n: 1998 + n), "YS-JAN", "1998-01-01", 1),
        (names(lambda n: f"{1998 + n}"), "YS-JAN", "1998-01-01", 1),
        (names(lambda n: 1998.0 + n), "YS-JAN", "1998-01-01", 1),
        (names(lambda n: f"{1970 + n // 4} Q{n % 4 + 1}"), "QS-OCT", "1970-01-01", 4),
        (names(lambda n: f"{1970 + n // 4}Q{n % 4 + 1}"), "QS-OCT", "1970-01-01", 4),
        *((names(form), "W-MON", "2021-01-04", 52) for form in ("KW {} 2021", "2021/KW{}", "{}. KW 2021", "W{}/2021")),
        (names(lambda n: f"q{n % 4 + 1}/{1970 + n // 4}"), "QS-OCT", "1970-01-01", 4),
        (names(lambda n: f"2021-W{n + 45:02}", 8), "W-MON", "2021-11-08", 52),
        (names(lambda n: f"2021W{n + 45:02}3", 8), "W-WED", "2021-11-10", 52),
        (names(lambda n: f"2021M{n + 1}"), "MS", "2021-01-01", 12),
        (names(lambda n: f"2021M{n + 1:02}"), "MS", "2021-01-01", 12),
        (names(lambda n: 202101 + n), "MS", "2021-01-01", 12),
        (names(lambda n: 20210101 + n), "D", "2021-01-01", 7),
        (names(lambda n: 1_600_000_000 + 3600 * n), "h", "2020-09-13 12:26:40+00:00", 24),
        (names(lambda n: 2024010100 + n), "h", "2024-01-01", 24),
        (names(lambda n: f"20240101{n:02}00"), "h", "2024-01-01", 24),
        (names(lambda n: f"20240101{n:02}0000"), "h", "2024-01-01", 24),
        (names(lambda n: f"{1_600_000_000 + 3600 * n}.0"), "h", "2020-09-13 12:26:40+00:00", 24),
        (names(lambda n: f"{1_600_000_000 + n / 2}"), "500ms", "2020-09-13 12:26:40+00:00", 1),
        (names(lambda n: 1_600_000_000 + n / 2), "500ms", "2020-09-13 12:26:40+00:00", 1),
        (names(lambda n: str(1_600_000_000 + 3600 * n)), "h", "2020-09-13 12:26:40+00:00", 24),
        (names(lambda n: 1_600_000_000_000 + 60_000 * n), "min", "2020-09-13 12:26:40+00:00", 1440),
        (names(lambda n: str(1_600_000_000_000_000_000 + 1_000_000_000 * n)), "s", "2020-09-13 12:26:40+00:00", 86400),
        (names(lambda n: 999_999_990 + 2 * n), "2s", "2001-09-09 01:46:30+00:00", 43200),
    ],
)
def test_forms_of_times(times, frequency, first, season):
    found = panel(times)
    assert found.frequency == frequency
    assert str(found.series[0].times[0]).removesuffix(" 00:00:00") == first
    assert found.season == season or "s" in frequency


@pytest.mark.parametrize(
    ("times", "words"),
    [
        (names(lambda n: f"2021-W{n + 45:02}"), r"row 9, column 'time': '2021-W53' is not a time"),
        (names(lambda n: f"2021-Q{n % 5 + 1}"), r"row 5, column 'time': '2021-Q5' is not a time"),
        ([*names(lambda n: 202101 + n), 202113], r"row 13, column 'time': 202113 is not a time"),
        ([*names(lambda n: 1998 + n), None], r"row 13, column 'time': an empty field is not a time"),
        (
            names(lambda n: 0.5 + n),
            r"0.5 is not a time such as 2024-01-31 17:00. Write all times in one form: .*2024-W05",
        ),
    ],
)
def test_what_is_no_time_is_named(times, words):
    with pytest.raises(DataError, match=words):
        panel(times)


# ---- numbers that count


@pytest.mark.parametrize(
    ("times", "step", "after"),
    [
        (names(lambda n: n), "ns", [12, 13]),
        (names(lambda n: 10 * n - 40), "10ns", [80, 90]),
        (names(lambda n: f"{n + 1}"), "ns", [13, 14]),
        (names(lambda n: 3001 + n), "ns", [3013, 3014]),
        (names(lambda n: 202105 + n, 16), "ns", [202121, 202122]),
    ],
)
def test_whole_numbers_count(times, step, after):
    found = panel(times)
    assert (found.frequency, found.season) == (step, 1)
    assert counts.shown(found.series[0].ahead(2, step)).tolist() == after


@pytest.mark.parametrize(
    ("times", "words"),
    [
        ([0, 1, 2, 3, 5, 6], r"row 5: 5 was found where 4 was expected \(a row each step\)\. Fill the gap"),
        ([0, 5, 10, 15, 21, 25], r"row 5: 21 was found where 20 was expected \(a row each 5 steps\)\. Write"),
        ([0, 1, 2, 2, 3], "row 4: 2 appears twice"),
        ([0, 1, 3, 2, 4], "row 4: 2 comes after 3"),
        ([0, 1, 3, 7, 16], r"not regular: 0, 1, 3, 7"),
        ([0, 1, 10**14], r"row 3, column 'time': 1000{14} is not a time|not a time"),
    ],
)
def test_numbers_that_do_not_count_are_shown_as_numbers(times, words):
    with pytest.raises(DataError, match=words):
        panel(times)


def test_rows_are_numbered_where_there_are_no_times(tmp_path):
    found = written(tmp_path, "value\n" + "".join(f"{value}\n" for value in VALUES))
    assert counts.shown(found.series[0].times).tolist() == list(range(16))
    both = written(tmp_path, "series,value\n" + "".join(f"{'ab'[n % 2]},{n}\n" for n in range(12)))
    assert [counts.shown(each.times).tolist() for each in both.series] == [list(range(6))] * 2
    other = "when,value\n" + "".join(f"{n * n},{n}\n" for n in range(12))
    with pytest.raises(
        DataError, match=r"no column 'time'\. Its columns are 'when', 'value'\..* time='' numbers the rows"
    ):
        written(tmp_path, other)
    assert written(tmp_path, other, time="").frequency == "ns"


def test_the_index_of_a_frame_counts():
    series = pd.DataFrame({"value": VALUES}, index=range(5, 21))
    found = from_frame(series, Forecast().columns)
    assert counts.shown(found.series[0].times).tolist() == list(range(5, 21))
    forecast = Forecaster(context=4, horizon=2, hidden=4, epochs=1, validation=0.0).fit(series).predict()
    assert forecast["time"].tolist() == [21, 22]


# ---- zones


def local(day, zone="Europe/Berlin", step="h", count=100):
    return pd.date_range(day, periods=count, freq=step, tz="UTC").tz_convert(zone)


@pytest.mark.parametrize("step", ["15min", "h", "6h"])
@pytest.mark.parametrize("day", ["2024-10-25", "2024-03-29"])
def test_local_times_of_a_zone_are_regular(tmp_path, day, step):
    hours = local(day, step=step, count=400)
    table = pd.DataFrame({"time": hours.tz_localize(None).strftime("%F %H:%M"), "value": range(400)})
    table.to_csv(tmp_path / "d.csv", index=False)
    found = Forecast(zone="Europe/Berlin").read(tmp_path / "d.csv")
    assert found.series[0].times.tolist() == hours.tolist()
    with pytest.raises(DataError, match=r"zone=.Europe/Berlin"):
        Forecast().read(tmp_path / "d.csv")


def test_each_series_has_both_hours_of_autumn():
    hours = local("2024-10-26")
    table = pd.DataFrame({"time": hours.tz_localize(None), "value": 1.0})
    both = pd.concat([table.assign(series="a"), table.assign(series="b")]).sort_values("time", kind="stable")
    found = from_frame(both, Forecast(zone="Europe/Berlin").columns)
    assert [each.times.tolist() for each in found.series] == [hours.tolist()] * 2


def test_a_missing_hour_of_autumn_is_a_gap_and_one_of_spring_is_no_time():
    hours = local("2024-10-26").tz_localize(None)
    autumn = hours[~hours.duplicated()]
    with pytest.raises(DataError, match=r"03:00:00\+01:00 was found where 2024-10-27 02:00:00\+01:00 was expected"):
        panel(autumn, range(len(autumn)), zone="Europe/Berlin")
    spring = pd.date_range("2024-03-31", periods=10, freq="h")
    with pytest.raises(DataError, match=r"row 3: 2024-03-31 02:00:00 does not exist in Europe/Berlin"):
        panel(spring, zone="Europe/Berlin")


def test_numbers_that_count_have_no_zone():
    with pytest.raises(DataError, match="numbers that count, and have no zone"):
        panel(range(12), zone="Europe/Berlin")


def test_times_with_a_zone_are_converted():
    found = panel(names(lambda n: 1_600_000_000 + 3600 * n), zone="America/New_York")
    assert str(found.series[0].times[0]) == "2020-09-13 08:26:40-04:00"
    with pytest.raises(ArgumentError, match=r"zone='berlin' is not a time zone. Did you mean 'Europe/Berlin'\?"):
        Forecast(zone="berlin")


# ---- gaps

HOURS = pd.date_range("2024-01-01", periods=16, freq="h")


@pytest.mark.parametrize(
    ("fill", "expected"), [("previous", [4, 4, 4, 8]), ("linear", [4, 5.333, 6.667, 8]), ("zero", [4, 0, 0, 8])]
)
def test_gaps_are_filled_on_request(fill, expected):
    values = [0, 1, 2, 3, 4, np.nan, 8, 9]
    times = HOURS[[0, 1, 2, 3, 4, 5, 7, 8]]  # one value is missing, and one row
    with pytest.raises(DataError, match=r"row 7: 2024-01-01 07:00:00 was found where 2024-01-01 06:00.*fill='linear'"):
        panel(times, values)
    with pytest.warns(FilledWarning, match=rf"missing and are filled \({fill}\): 2\."):
        found = panel(times, values, fill=fill).series[0]
    assert found.times.tolist() == HOURS[:9].tolist()
    np.testing.assert_allclose(found.values[4:8], expected, atol=1e-3)


def test_nothing_is_filled_where_nothing_is_missing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert panel(HOURS, fill="linear").series[0].values.tolist() == VALUES


def test_words_for_nothing_are_missing_values(tmp_path):
    rows = "".join(f"{day},{'n/a' if n == 3 else n}\n" for n, day in enumerate(HOURS.astype(str)))
    with pytest.raises(DataError, match="line 5, column 'value': the value is missing"):
        written(tmp_path, f"time,value\n{rows}")
    with pytest.warns(FilledWarning):
        assert written(tmp_path, f"time,value\n{rows}", fill="linear").series[0].values.tolist() == VALUES


def test_ends_are_not_filled():
    for values in ([np.nan, *VALUES[1:]], [*VALUES[:-1], np.nan]):
        with pytest.raises(DataError, match=r"column 'value': the value is missing"):
            panel(HOURS, values, fill="linear")


def test_many_gaps_are_filled():
    kept = HOURS[[0, 2, 3, 6, 7, 11, 12, 15]]
    with pytest.warns(FilledWarning, match=r"are filled \(\w+\): 8"):
        assert panel(kept, fill="previous").frequency == "h"
    months = pd.date_range("2020-01-15", periods=40, freq="MS") + pd.Timedelta("14D")
    with pytest.warns(FilledWarning, match=r"are filled \(\w+\): 2"):
        assert panel(months.delete([7, 20]), range(38), fill="zero").frequency == "month on day 15"


def test_the_first_gap_is_named_though_there_are_many():
    days = pd.date_range("2024-01-01", periods=60, freq="D").delete([20, 30, 31, 50])
    with pytest.raises(DataError, match=r"row 21: 2024-01-22 00:00:00 was found where 2024-01-21 00:00:00"):
        panel(days, range(56))


def test_what_is_no_gap_is_not_filled():
    times = HOURS.to_series().reset_index(drop=True)
    times[8] += pd.Timedelta("7min")
    with pytest.raises(DataError, match=r"row 9: 2024-01-01 08:07:00 was found where .* Write the time"):
        panel(times, fill="linear")
    with pytest.raises(DataError, match="appears twice"):
        panel(HOURS[[0, 1, 1, 2, 3]], fill="linear")


# ---- times as columns


def test_a_column_for_each_time_is_read(tmp_path):
    header = "shop,city,2020-01,2020-02,2020-03,2020-04,2020-05\n"
    found = written(tmp_path, header + "b,X,1,2,3,4,5\na,Y,,6,7,8,\n")
    assert [each.name for each in found.series] == ["b/X", "a/Y"]
    assert [each.values.tolist() for each in found.series] == [[1, 2, 3, 4, 5], [6, 7, 8]]
    assert (found.frequency, str(found.series[1].times[0])) == ("MS", "2020-02-01 00:00:00")
    years = written(tmp_path, "country;1998;1999;2000\nA;1,5;2,5;3,5\n", decimal=",")
    assert (years.frequency, years.series[0].values.tolist()) == ("YS-JAN", [1.5, 2.5, 3.5])


@pytest.mark.parametrize(
    "months",
    [
        "Jan,Feb,Mar,Apr,May,Jun,Jul,Aug,Sep,Oct,Nov,Dec",
        "JANUARY,FEBRUARY,MARCH,APRIL,MAY,JUNE,JULY,AUGUST,SEPTEMBER,OCTOBER,NOVEMBER,DECEMBER",
        ",".join(f"{month:02}" for month in range(1, 13)),
        ",".join(map(str, range(1, 13))),
    ],
)
def test_months_and_quarters_as_columns_are_read(tmp_path, months):
    rows = "2019,,,3,4,5,6,7,8,9,10,11,12\n2020,13,14,15,16,17,,,,,,,\n"
    found = written(tmp_path, f"Year,{months}\n{rows}")
    assert (found.frequency, found.series[0].values.tolist()) == ("MS", list(range(3, 18)))
    assert [str(time)[:7] for time in found.series[0].times[[0, -1]]] == ["2019-03", "2020-05"]
    assert written(tmp_path, f"jahr,{months}\n{rows}", time="jahr").series[0].values.tolist() == list(range(3, 18))
    quarters = written(tmp_path, "shop,year,Q1,Q2,Q3,Q4\na,2019,1,2,3,4\nb,2019,5,6,7,8\na,2020,9,10,11,12\n")
    assert [each.values.tolist() for each in quarters.series] == [[1, 2, 3, 4, 9, 10, 11, 12], [5, 6, 7, 8]]


@pytest.mark.parametrize(
    ("content", "options", "words"),
    [
        (
            "shop,2020-01,2020-02,2020-03\na,1,x,3\n",
            {},
            r"line 2, column '2020-02', column 'value': 'x' is not a number",
        ),
        ("shop,2020-01,2020-02,2020-03,2020-04\na,1,2,,3\n", {}, "line 2, column '2020-03', .*the value is missing"),
        ("shop,2020-01,2020-02,2020-03,2020-05\na,1,2,3,5\n", {}, "column '2020-05': 2020-05-01 .*2020-04-01"),
        (
            "shop,2020-01,2020-02,2020-03\na,1,2,3\na,4,5,6\n",
            {},
            r"column '2020-01': 2020-01-01 00:00:00 appears twice",
        ),
        (
            "shop,2020-01,2020-02,2020-03\na,1,2,3\n",
            {"known": "shop"},
            "has times as columns, such as '2020-01', .*no cov",
        ),
        ("year,Q1,Q2,Q3,Q4,total\n2019,1,2,3,4,10\n2020,1,2,3,5,11\n", {}, "'total' holds numbers but is not a time"),
        ("shop,2020-01,2020-02,2020-03,share\na,1,2,3,0.5\n", {}, "'share' holds numbers but is not a time"),
        ("shop,2020-01,2020-02\na,1,2\n", {}, "no column 'time', 'value'"),
    ],
)
def test_mistakes_in_tables_of_columns_are_explained(tmp_path, content, options, words):
    with pytest.raises(DataError, match=words):
        written(tmp_path, content, **options)


def test_twelve_columns_beside_times_are_no_months():
    frame = pd.DataFrame({str(number): VALUES for number in range(1, 13)}, index=HOURS)
    with pytest.raises(DataError, match="no column 'value'"):
        from_frame(frame, Forecast().columns)
    assert len(from_frame(frame, Forecast(target=("1", "2")).columns).series) == 2


def test_a_frame_with_times_as_columns_is_read():
    months = pd.date_range("2020-01-01", periods=6, freq="MS")
    frame = pd.DataFrame([[1, 2, 3, 4, 5, 6]], columns=months).assign(shop="a")
    found = from_frame(frame, Forecast().columns)
    assert (found.frequency, found.series[0].name) == ("MS", "a")
