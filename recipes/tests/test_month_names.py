"""Times with names of months and weekdays in other languages than English."""

from __future__ import annotations

import pandas as pd
import pytest

from fastgru_recipes.errors import DataError
from fastgru_recipes.forecast import Forecast, month_names, read_times


def read(*texts):
    return read_times.read(pd.Series(texts, name="t"), "d.csv").dt.strftime("%Y-%m-%d %H").tolist()


@pytest.mark.parametrize(
    ("texts", "days"),
    [
        (["1. Januar 2024", "2. März 2024"], ["2024-01-01", "2024-03-02"]),
        (["Mo., 15. Jän. 2024", "Di., 16. Jän. 2024"], ["2024-01-15", "2024-01-16"]),
        (["Mrz 2024", "Mai 2024", "Dez 2024"], ["2024-03-01", "2024-05-01", "2024-12-01"]),
        (["31.Dez.2024", "1.Jan.2025"], ["2024-12-31", "2025-01-01"]),
        (["15 janv. 2024", "1er août 2024"], ["2024-01-15", "2024-08-01"]),
        (["lun. 15 janvier 2024", "mar. 19 mars 2024"], ["2024-01-15", "2024-03-19"]),
        (["1 de enero de 2024", "2 de septiembre de 2024"], ["2024-01-01", "2024-09-02"]),
        (["mar 5 mar 2024", "vie 5 ene 2024"], ["2024-03-05", "2024-01-05"]),
        (["gen 2024", "feb 2024", "dic 2024"], ["2024-01-01", "2024-02-01", "2024-12-01"]),
        (["segunda-feira, 1º de janeiro de 2024"], ["2024-01-01"]),
        (["5 mrt 2024", "1 mei 2024"], ["2024-03-05", "2024-05-01"]),
        (["1 stycznia 2024", "1 lutego 2024"], ["2024-01-01", "2024-02-01"]),
        (["05-Dez-24", "06-Dez-24"], ["2024-12-05", "2024-12-06"]),
        (["05-Dec-24", "Jan 5, 2024"], ["2024-12-05", "2024-01-05"]),
        (["2024-01-05", "6. Januar 2024"], ["2024-01-05", "2024-01-06"]),
    ],
)
def test_names_of_months_are_read(texts, days):
    assert read(*texts) == [f"{day} 00" for day in days]


def test_times_of_the_day_are_kept():
    assert read("15. März 2024 17:00", "15. März 2024 18:00 Uhr") == ["2024-03-15 17", "2024-03-15 18"]


@pytest.mark.parametrize("texts", [["5 foo 2024"], ["5 Jänner 2024", "5 enero 2024"], ["5 montag 2024"], ["jui 2024"]])
def test_other_words_and_mixed_languages_are_no_times(texts):
    with pytest.raises(DataError, match=rf"line 0, column 't': '{texts[0]}' is not a time"):
        read(*texts)


def test_without_babel_english_is_read_and_the_package_is_named(monkeypatch):
    monkeypatch.setattr(month_names, "find_spec", lambda name: None)
    assert read("5 May 2024", "6 May 2024") == ["2024-05-05 00", "2024-05-06 00"]
    with pytest.raises(DataError, match=r"need babel: pip install 'fastgru-recipes\[languages\]'"):
        read("5 Mai 2024")
    with pytest.raises(DataError, match=r"or whole numbers\.$"):
        read("2024-13-45")


@pytest.mark.parametrize(
    "header",
    [
        "Jahr,Jan,Feb,Mär,Apr,Mai,Jun,Jul,Aug,Sep,Okt,Nov,Dez",
        "année,janv.,févr.,mars,avr.,mai,juin,juil.,août,sept.,oct.,nov.,déc.",
        "año,enero,febrero,marzo,abril,mayo,junio,julio,agosto,septiembre,octubre,noviembre,diciembre",
    ],
)
def test_months_as_columns(tmp_path, header):
    rows = "".join(f"{year},{','.join(str(12 * year + month) for month in range(12))}\n" for year in (2022, 2023))
    (tmp_path / "d.csv").write_text(f"{header}\n{rows}")
    found = Forecast().read(tmp_path / "d.csv").series[0]
    assert str(found.times[0]) == "2022-01-01 00:00:00"
    assert found.values.tolist() == [12 * 2022 + month for month in range(24)]


def test_months_of_years_as_columns(tmp_path):
    (tmp_path / "d.csv").write_text("Laden,Jänner 2024,Februar 2024,März 2024,April 2024\nNord,1,2,3,4\n")
    assert Forecast().read(tmp_path / "d.csv").series[0].values.tolist() == [1, 2, 3, 4]
