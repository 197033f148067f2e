"""Excel files: sheets, cells of different kinds, mistakes."""

from __future__ import annotations

import io
import sys
from datetime import datetime

import pytest

from fastgru.errors import MissingExtra
from fastgru_recipes import spreadsheets
from fastgru_recipes.classify import Classify
from fastgru_recipes.errors import DataError
from fastgru_recipes.forecast import Forecast
from fastgru_recipes.translate import Translate

DAYS = [datetime(2024, 1, day) for day in range(1, 6)]


@pytest.fixture
def workbook(tmp_path):
    openpyxl = pytest.importorskip("openpyxl")

    def write(name="d.xlsx", **sheets):
        book = openpyxl.Workbook()
        book.remove(book.active)
        for title, rows in sheets.items():
            sheet = book.create_sheet(title)
            for row in rows:
                sheet.append(row)
        book.save(tmp_path / name)
        return tmp_path / name

    return write


def test_series_are_read_from_cells(workbook):
    rows = [("time", "value"), *zip(DAYS, [1, 2.5, "3", "4,5", 5], strict=True), (None, None)]
    found = Forecast(decimal=",").read(workbook(a=rows)).series[0]
    assert found.values.tolist() == [1, 2.5, 3, 4.5, 5]
    assert found.times.tolist() == DAYS
    with pytest.raises(DataError, match=r"d.xlsx, line 5, column 'value': '4,5' is not a number"):
        Forecast().read(workbook(a=rows))


def test_texts_and_keys_are_as_they_are_shown(workbook):
    rows = [("id", "text", "label"), (7, "NA", 1), ("007", "so bad", 0.0)]
    found = Classify().read(workbook(a=rows))
    assert (found.sequences, found.labels) == (["NA", "so bad"], ["1", "0"])
    assert found.keys["id"].tolist() == ["7", "007"]
    pairs = Translate(columns="de,en").read(workbook(a=[("de", "en"), ("ja", "yes"), ("zwei", 2)]))
    assert (pairs.sources, pairs.targets) == (["ja", "zwei"], ["yes", "2"])


def test_a_sheet_is_chosen_by_name_or_number(workbook):
    texts = [("text", "label"), ("a", "x")]
    path = workbook(About=[("see below",)], Data=texts)
    with pytest.raises(DataError, match=r"has 2 sheets: 'About', 'Data'\. Choose one: sheet='About'"):
        Classify().read(path)
    for sheet in ("Data", "2"):
        assert Classify(sheet=sheet).read(path).sequences == ["a"]
    with pytest.raises(DataError, match=r"has no sheet '3'\. Its sheets are 'About', 'Data'"):
        Classify(sheet="3").read(path)


def test_the_standard_input_may_be_a_spreadsheet(workbook, monkeypatch):
    content = workbook(a=[("text", "label"), ("a", "x")]).read_bytes()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    assert Classify().read("-").sequences == ["a"]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([], "is empty. Give a sheet with names of columns in its first row"),
        ([("text", "label")], "is empty. Give a sheet"),
        ([("text", "label"), ("a", "x"), (None, None), ("b", "y")], "line 3 is empty. Remove it"),
        ([("text", "label"), (None, "x")], "line 2: the text is empty"),
        ([("text", "text"), ("a", "x")], "two columns 'text'|no column 'label'"),
    ],
)
def test_mistakes_in_sheets_are_named(workbook, rows, words):
    with pytest.raises(DataError, match=words):
        Classify().read(workbook(a=rows))


def test_what_is_no_spreadsheet_is_told(workbook, tmp_path):
    for content in (b"", b"PK", b"text,label\na,x\n"):
        (tmp_path / "d.xlsx").write_bytes(content)
        with pytest.raises(DataError, match=r"d.xlsx cannot be read as an Excel file: .*or save it as CSV"):
            Classify().read(tmp_path / "d.xlsx")


def test_the_package_that_reads_them_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(spreadsheets, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"needs openpyxl, which is not installed. Run: .*fastgru-recipes\[excel\]"):
        Classify().read(tmp_path / "d.xlsx")
    with pytest.raises(DataError, match=r"d.ods is a spreadsheet of another format than \.xlsx"):
        Classify().read(tmp_path / "d.ods")
