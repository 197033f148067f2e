"""Reading of files: separators, decimals, encodings, the standard input, JSON lines, names of columns."""

from __future__ import annotations

import gzip
import io
import json
import sys

import numpy as np
import pandas as pd
import pytest

from fastgru_recipes import numerals, read_files, read_table, separated
from fastgru_recipes.classify import Classify
from fastgru_recipes.errors import DataError
from fastgru_recipes.forecast import Forecast
from fastgru_recipes.generate import Generate
from fastgru_recipes.read_table import TableFormat
from fastgru_recipes.tag import Tag
from fastgru_recipes.training.train import train
from fastgru_recipes.translate import Translate
from fastgru_recipes.translate.read_pairs import Pairs

HOURS = [f"2024-01-01 0{hour}:00" for hour in range(6)]
VALUES = [10.025, 1234.5, 11.628, -12.142, 0.5, 12.97]


@pytest.fixture
def file(tmp_path):
    def write(name, content, encoding="utf-8"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
        return path

    return write


@pytest.fixture
def typed(monkeypatch):
    """Puts bytes on the standard input."""

    def put(content):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
        return "-"

    return put


# ---- separators and decimals


@pytest.mark.parametrize(
    ("separator", "decimal", "texts"),
    [
        (";", "auto", [str(value) for value in VALUES]),
        ("\t", "auto", [str(value) for value in VALUES]),
        ("|", "auto", [str(value) for value in VALUES]),
        (", ", "auto", [str(value) for value in VALUES]),
        (";", ",", ["10,025", "1.234,5", "11,628", "-12,142", "0,5", "12,97"]),
        (";", ",", ["10,025", "1\u202f234,5", "11,628", "\u221212,142", ",5", "12,97"]),
        (";", ",", ["10,025", "1\u00a0234,50", "11,628", "-12,142", "0,5", "12,97"]),
        (";", ",", ["10,025", "1 234,5", "11,628", "-12,142", "5e-1", "12,97"]),
        (";", "auto", ["10.025", "1'234.5", "11.628", "-12.142", "0.5", "12.97"]),
        (",", "auto", ["10.025", '"1,234.5"', "11.628", "-12.142", ".5", "12.97"]),
        (",", ",", ['"10,025"', '"1.234,5"', '"11,628"', '"-12,142"', '"0,5"', '"12,97"']),
    ],
)
def test_numbers_of_spreadsheets_are_read(file, separator, decimal, texts):
    rows = [("time", "value"), *zip(HOURS, texts, strict=True)]
    path = file("d.csv", "".join(separator.join(row) + "\n" for row in rows))
    found = Forecast(decimal=decimal).read(path).series[0]
    np.testing.assert_allclose(found.values, VALUES)
    assert [str(time) for time in found.times[:2]] == ["2024-01-01 00:00:00", "2024-01-01 01:00:00"]


def test_a_separator_that_is_given_is_used(file):
    path = file("d.dat", "time value\n" + "".join(f"2024-01-0{day}   {day}.5\n" for day in range(1, 6)))
    with pytest.raises(DataError, match=r"ends in .dat: cannot tell its format.*the parameter separator"):
        Forecast().read(path)
    assert Forecast(separator="space").read(path).series[0].values.tolist() == [1.5, 2.5, 3.5, 4.5, 5.5]
    texts = file("t.csv", "text;label\na,b;x\nc,d;y\n")
    assert Classify().read(texts).sequences == ["a,b", "c,d"]
    with pytest.raises(DataError, match=r"no column 'text'.*Its columns are 'text;label'"):
        Classify(separator="comma").read(file("u.csv", "text;label\nab;x\ncd;y\n"))
    with pytest.raises(DataError, match=r"separator='tabs' is not one character"):
        Classify(separator="tabs").read(texts)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ("a;b\n1,5;2\n3;4,5\n", ";"),
        ("a,b\n1;2,3\n", ","),
        ("a\n1;2\n", ","),
        ('"a;b"\n"1;2"\n', ","),
        ("text\none; two\nthree\n", ","),
        ('text;label\n"two\nlines";x\n', ";"),
    ],
)
def test_the_separator_is_found(content, found):
    assert separated.separator(content, ",") == found


def test_a_number_with_the_wrong_decimal_separator_is_explained(file):
    path = file("d.csv", "time;value\n" + "".join(f"{hour};10,{place}5\n" for place, hour in enumerate(HOURS)))
    with pytest.raises(DataError, match=r"d.csv, line 2, column 'value': '10,05' is not a number.*decimal=','"):
        Forecast().read(path)
    series = file("s.csv", "series;label;f\n1;x;1,5\n2;y;2,5\n")
    with pytest.raises(DataError, match=r"s.csv, line 2, column 'f': '1,5' is not a finite number.*decimal=','"):
        Classify().read(series)
    assert Classify(decimal=",").read(series).sequences[1].tolist() == [[2.5]]
    wrong = file("w.csv", "time;value\n" + "".join(f"{hour};{'1,5' if n else 'x,5'}\n" for n, hour in enumerate(HOURS)))
    with pytest.raises(DataError, match=r"line 2, column 'value': 'x,5' is not a number\.$"):
        Forecast(decimal=",").read(wrong)


@pytest.mark.parametrize(
    ("separator", "values", "is_in_doubt"),
    [
        (";", ["1.234", "987", "12.000"], True),
        (";", ["1.234", "2.345", "3.456"], True),
        ("\t", ["1.234", "987", "12.000"], True),
        ("\t", ["1.234", "2.345", "3.456"], False),
        (",", ["1.234", "987", "12.000"], False),
        (";", ["1.234", "0.987", "2.000"], False),
        (";", ["1.234", "987.5", "2.000"], False),
        (";", ["1.234", "1987", "2.000"], False),
    ],
)
def test_a_point_that_may_group_thousands_is_refused(file, separator, values, is_in_doubt):
    rows = [("time", "value"), *zip(HOURS, values, strict=False)]
    path = file("d.tsv" if separator == "\t" else "d.csv", "".join(separator.join(row) + "\n" for row in rows))
    if is_in_doubt:
        with pytest.raises(DataError, match=r"line 2, column 'value': '1.234' may be a thousand or .*decimal='\.'"):
            Forecast().read(path)
        assert Forecast(decimal=",").read(path).series[0].values[0] == 1234
    else:
        assert Forecast().read(path).series[0].values[0] == 1.234
    assert Forecast(decimal=".").read(path).series[0].values[0] == 1.234


def test_one_thousand_or_one_is_not_guessed():
    alone = numerals.parsed(pd.Series(["1,234", "5,678"]), "auto")
    assert alone.tolist() == ["1,234", "5,678"]
    assert numerals.parsed(pd.Series(["1,234", "5,678"]), ".").tolist() == [1234, 5678]
    assert numerals.parsed(pd.Series(["1.234", "31.12.2024"]), ",").tolist() == [1234.0, "31.12.2024"]
    assert numerals.parsed(pd.Series(["1.23.456", "12 34"]), ",").tolist() == ["1.23.456", "12 34"]


def test_names_of_columns_may_have_spaces(file):
    path = file("d.csv", "time, my value ,x\n" + "".join(f"{hour}, {n}.5, 1\n" for n, hour in enumerate(HOURS)))
    found = Forecast(target="my value", covariates="x").read(path).series[0]
    assert found.values.tolist() == [0.5, 1.5, 2.5, 3.5, 4.5, 5.5]
    quoted = file("t.csv", 'text, label\n"so, good", x\n"so ""bad""", y\n')
    data = Classify().read(quoted)
    assert (data.sequences, data.labels) == (["so, good", 'so "bad"'], ["x", "y"])
    with pytest.raises(DataError, match=r"two columns 'a'"):
        Classify().read(file("u.csv", "text,label,a, a\nx,y,1,2\n"))


def test_the_first_line_of_a_spreadsheet_may_name_the_separator(file):
    path = file("d.csv", "sep=|\ntext|label\na,b;c|x\n|y\n")
    with pytest.raises(DataError, match="line 4: the text is empty"):
        Classify().read(path)
    assert Classify().read(file("d.csv", '"sep=|"\r\ntext|label\r\na,b;c|x\r\n')).sequences == ["a,b;c"]


def test_zero_bytes_are_no_text(file):
    for encoding in ("utf-16-le", "utf-8"):
        path = file("d.csv", "text,label\na\0,x\n", encoding)
        with pytest.raises(DataError, match=r"line \d has a zero byte: .*the parameter encoding"):
            Classify().read(path)


def test_a_line_with_too_many_fields_is_named(file):
    path = file("d.csv", 'text,label\n"a\nb",x\nso, so,y\n')
    with pytest.raises(DataError, match=r"d.csv, line 4 has 3 fields, more than the first line has names \(2\)"):
        Classify().read(path)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("d.csv", "<!DOCTYPE html>\n<html></html>\n", "d.csv is a web page, not a table"),
        ("d.csv", "  <html><body>404 Not Found</body></html>\n", "d.csv is a web page, not a table"),
        ("d.csv", "# of 2024\ntext,label\na,x\n", r"line 1 is a comment: '# of 2024'\. Remove what comes before"),
        ("d.csv", bytes(range(256)), "line 2 has bytes that are not text: it is a file of another kind"),
        ("d.bin", "text,label\na,x\n", "ends in .bin: cannot tell its format"),
        ("d.csv", "#,text,label\n1,a,x\n", ""),
    ],
)
def test_what_is_no_table_is_told(file, name, content, words):
    path = file(name, content)
    if not words:
        assert Classify().read(path).keys["#"].tolist() == ["1"]
        return
    with pytest.raises(DataError, match=words):
        Classify().read(path)


@pytest.mark.parametrize("text", ["5 kg", "5%", "5 %", "$5.50", "1,234.50 EUR", "\u20ac -5"])
def test_numbers_with_units_are_explained(file, text):
    rows = "".join(f'{hour},"{text}"\n' for hour in HOURS)
    with pytest.raises(DataError, match=r"is not a number\. Write the number alone, without a unit\."):
        Forecast().read(file("d.csv", f"time,value\n{rows}"))


@pytest.mark.parametrize("text", ["x", "kilogram 5", "5 kilograms", "-", "a,5"])
def test_other_words_are_no_units(text):
    assert "unit" not in numerals.remedy(text)


def test_a_directory_is_no_file(tmp_path):
    with pytest.raises(DataError, match=r"is a directory\. Give one file"):
        Forecast().read(tmp_path)


# ---- encodings


@pytest.mark.parametrize("recipe", [Classify(), Translate(), Tag(), Generate()])
def test_an_encoding_is_named_with_the_remedy_and_taken(recipe, file):
    content = "text,label\ncafé,x\ncafé,y\n" if isinstance(recipe, Classify) else "caf\u00e9\tB\nthé\tO\n"
    path = file("d.csv" if isinstance(recipe, Classify) else "d.tsv", content, "latin-1")
    place = 2 if isinstance(recipe, Classify) else 1
    with pytest.raises(DataError, match=rf"line {place}: byte 0xe9 is not UTF-8\..*Latin-1.*encoding='cp1252'"):
        recipe.read(path)
    for encoding in ("cp1252", "latin-1"):
        assert "café" in str(type(recipe)(encoding=encoding).read(path))
    with pytest.raises(DataError, match="encoding='latin-x' is unknown"):
        type(recipe)(encoding="latin-x").read(path)


def test_utf16_is_named(file):
    path = file("d.csv", "text,label\né,x\n", "utf-16")
    with pytest.raises(DataError, match=r"is UTF-16. Give that encoding: encoding='utf-16'"):
        Classify().read(path)
    assert Classify(encoding="utf-16").read(path).sequences == ["é"]
    with pytest.raises(DataError, match=r"byte 0xff is not ASCII. Give the encoding of the file"):
        Classify(encoding="ascii").read(file("e.csv", b"text,label\n\xff,x\n"))


# ---- standard input


def test_the_standard_input_is_read_once_and_may_be_packed(typed):
    content = b"text;label\nab;x\nba;y\n"
    for given in (content, gzip.compress(content)):
        path = typed(given)
        assert Classify().read(path).sequences == Classify().read(path).sequences == ["ab", "ba"]
        assert len(read_files.fingerprint(path)) == 64
    assert Classify().read(typed(b'{"text": "ab", "label": 1}\n')).labels == ["1"]
    assert Translate().read(typed(b"a\tA\nb\tB\n")) == Pairs(["a", "b"], ["A", "B"])
    assert Tag().read(typed(b"a A\nb B\n")).tokens == [["a", "b"]]
    assert Generate().read(typed(b"to be")) == "to be"


def test_mistakes_of_the_standard_input_say_so(typed):
    path = typed(b"text,label\nab,x\n,y\n")
    with pytest.raises(DataError, match=r"^standard input, line 3: the text is empty"), read_files.about(path):
        Classify().read(path)


def test_a_closed_standard_input_is_told(monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(DataError, match=r"^standard input is closed"), read_files.about("-"):
        Classify().read("-")


def test_parquet_on_the_standard_input(typed):
    buffer = io.BytesIO()
    pd.DataFrame({"text": ["ab"], "label": ["x"]}).to_parquet(buffer)
    assert Classify().read(typed(buffer.getvalue())).sequences == ["ab"]


# ---- JSON lines


def json_lines(*rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


def test_json_lines_are_taken_everywhere(file):
    rows = [{"time": hour, "value": value} for hour, value in zip(HOURS, VALUES, strict=True)]
    assert Forecast().read(file("s.jsonl", json_lines(*rows))).series[0].values.tolist() == VALUES
    pairs = file("p.jsonl", json_lines({"source": "a", "target": "A"}, {"source": "b", "target": "B"}))
    assert Translate().read(pairs) == Pairs(["a", "b"], ["A", "B"])
    sentences = json_lines({"tokens": ["a", "b"], "tags": ["A", "B"]}, {"tokens": [], "tags": []})
    assert Tag().read(file("t.ndjson", sentences)).tags == [["A", "B"]]
    assert Tag().read_inputs(file("u.ndjson", json_lines({"tokens": ["a"]}))).tokens == [["a"]]
    assert Generate().read(file("g.jsonl", json_lines({"text": "to"}, {"text": "be"}))) == "to\nbe\n"


@pytest.mark.parametrize(
    ("recipe", "rows", "words"),
    [
        (Tag(), [{"tokens": ["a"], "tags": ["A"]}, {"tokens": "b"}], r"line 2: 'tokens' is str; a list of texts"),
        (Tag(), [{"words": ["a"]}], "line 1: there is no 'tokens'; a list"),
        (Tag(), [{"tokens": ["a", "b"], "tags": ["A"]}], "line 1 has 2 tokens and 1 tags"),
        (Tag(), [{"tokens": ["a", 3], "tags": ["A", "B"]}], "line 1: token 2 is int, not a text"),
        (Generate(), [{"texts": "a"}], r"no column 'text'. Did you mean 'texts'\?.*the parameter text_column"),
        (Translate(), [{"source": "a", "target": "A"}, {"source": "b"}], "line 2, column 'target' is empty"),
        (Forecast(), [{"time": "2024-01-01", "valeu": 1}], r"no column 'value'. Did you mean 'valeu'\?"),
    ],
)
def test_mistakes_in_json_lines_are_explained(recipe, rows, words, file):
    with pytest.raises(DataError, match=words):
        recipe.read(file("d.jsonl", json_lines(*rows)))


# ---- columns


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("Time,Value", r"no column 'time', 'value'\. Did you mean 'Time', 'Value'\? Its columns are 'Time', 'Value'"),
        ("time,vlaue", r"no column 'value'\. Did you mean 'vlaue'\?"),
        ("time,price", r"no column 'value'\. Its columns are 'time', 'price'"),
        ("2023-12-31,5", r"Its columns are '2023-12-31', '5'\. The first row must have the names of the columns"),
        ("Report 2024,", r"Its columns are 'Report 2024', 'Unnamed: 1'\. The first row must have the names"),
    ],
)
def test_names_of_columns_are_suggested(file, header, words):
    with pytest.raises(DataError, match=words):
        Forecast().read(file("d.csv", f"{header}\n2024-01-01,1\n"))


def test_pairs_are_read_from_any_columns(file):
    content = "id\tde\ten\n1\tja\tyes\n2\tnein\tno\n"
    expected = Pairs(["ja", "nein"], ["yes", "no"])
    for name in ("d.tsv", "d.txt"):
        assert Translate(columns="de,en").read(file(name, content)) == expected
    bare = file("d.tsv", content.partition("\n")[2])
    assert Translate(columns="2,3").read(bare) == expected
    assert Translate(columns="3,2").read_inputs(bare) == Pairs(["yes", "no"], None)
    assert Translate(columns="2,3").read_inputs(file("half.tsv", "1\tja\n2\tnein\n")) == Pairs(["ja", "nein"], None)
    assert Translate(columns="de,en").read_inputs(file("half.csv", "de\nja\n")) == Pairs(["ja"], None)
    assert Translate(columns="de,en").read(file("d.csv", content.replace("\t", ";"))) == expected
    table = pd.DataFrame({"source": ["ja"], "target": ["yes"]})
    table.to_parquet(bare.with_suffix(".parquet"))
    assert Translate().read(bare.with_suffix(".parquet")) == Pairs(["ja"], ["yes"])


@pytest.mark.parametrize(
    ("columns", "content", "words"),
    [
        ("de,en", "DE\ten\nja\tyes\n", r"no column 'de'. Did you mean 'DE'\?.*columns='source,target'"),
        ("de,en", "de\ten\nja\t\n", "line 2, column 'en' is empty"),
        ("1,3", "ja\tyes\n", r"line 1 has no text in column 3 of 2 \(separated by a tab\): 'ja\\tyes'"),
        ("0,1", "ja\tyes\n", "columns 0,1: numbers of columns begin at 1"),
    ],
)
def test_mistakes_in_columns_of_pairs_are_explained(file, columns, content, words):
    with pytest.raises(DataError, match=words):
        Translate(columns=columns).read(file("d.tsv", content))


CAT = (
    "# sent_id = 1\n1-2\tThec\t_\t_\t_\t_\t_\t_\t_\t_\n"
    "1\tThe\tthe\tDET\tDT\t_\t2\tdet\t_\t_\n"
    "2\tcat\tcat\tNOUN\tNN\t_\t0\troot\t_\t_\n"
)


@pytest.mark.parametrize(
    ("columns", "tokens", "tags"),
    [
        ("form,xpos", ["The", "cat"], ["DT", "NN"]),
        ("LEMMA,UPOS", ["the", "cat"], ["DET", "NOUN"]),
        ("2,8", ["The", "cat"], ["det", "root"]),
        ("3,-6", ["the", "cat"], ["DT", "NN"]),
    ],
)
def test_columns_of_conllu_are_chosen(file, columns, tokens, tags):
    data = Tag(columns=columns).read(file("d.conllu", CAT))
    assert (data.tokens, data.tags) == ([tokens], [tags])
    assert Tag(columns=columns).read_inputs(file("d.conllu", CAT)).tokens == [tokens]


def test_columns_of_other_files_are_chosen(file):
    numbered = file("d.conll", "-DOCSTART- -X- O\n\n1 The DET\n2 cat NOUN\n\n1 It PRON\n")
    data = Tag(columns="2,3").read(numbered)
    assert (data.tokens, data.tags) == ([["The", "cat"], ["It"]], [["DET", "NOUN"], ["PRON"]])
    with pytest.raises(DataError, match=r"'1 The DET'. Give columns that it has with the parameter columns"):
        Tag(columns="2,4").read(numbered)
    with pytest.raises(DataError, match=r"column 'form' is not a number such as 1"):
        Tag(columns="form,upos").read(numbered)
    with pytest.raises(DataError, match=r"column 'word' is not a name of CoNLL-U \(id, form"):
        Tag(columns="word,upos").read(file("d.conllu", CAT))


# ---- what predictions repeat


def test_keys_of_rows_are_kept(file):
    texts = Classify().read_inputs(file("t.csv", "id,text,label,x\n7,ab,y,1\n8,ba,y,2\n"))
    assert texts.keys.to_dict("list") == {"id": ["7", "8"], "x": ["1", "2"]}
    assert texts.part([1]).keys.to_dict("list") == {"id": ["8"], "x": ["2"]}
    series = Classify().read_inputs(file("s.csv", "series,f\n01,1\n01,2\nb,3\n"))
    assert series.keys.to_dict("list") == {"series": ["01", "b"]}
    answers = pd.DataFrame({"label": ["y"], "x": [0.5]})
    assert read_table.beside(texts.part([0]).keys, answers).columns.tolist() == ["id", "input x", "label", "x"]


def test_keys_that_look_like_numbers_are_not_in_doubt(file):
    path = file("d.csv", "version;text;label\n1.234;ab;x\n987;ba;y\n")
    assert Classify().read(path).keys["version"].tolist() == ["1.234", "987"]


def test_texts_stay_as_they_are(file):
    found = read_table.table(
        file("d.tsv", 'text\tn\n"1\t01\n'), TableFormat(decimal=","), texts=["text"], as_written=["n"]
    )
    assert found.iloc[0].tolist() == ['"1', "01"]


def test_names_of_sentences_of_conllu_are_carried_to_predictions(file):
    names = "# sent_id = de-1 \n{}\n# text = no name\n{}\n#sent_id=de-3\n{}\n"
    word = "{}\tcat\tcat\tNOUN\t_\t_\t0\troot\t_\t_\n"
    content = names.format(word.format(1), word.format(1), word.format(1) + word.format(2).replace("NOUN", "VERB"))
    recipe = Tag(hidden=4, embedding=4, spelling=4, affix=0, steps=1, validation=0.0)
    data = recipe.read(file("named.conllu", content))
    assert data.keys["sent_id"].fillna("-").tolist() == ["de-1", "-", "de-3"]
    trained = train(recipe, data)
    table = recipe.predict(trained.model, trained.state, data)
    assert table.columns.tolist()[0] == "sent_id"
    assert table["sent_id"].fillna("-").tolist() == ["de-1", "-", "de-3", "de-3"]
    assert recipe.read(file("unnamed.conllu", word.format(1))).keys is None
