"""Tables of texts and series: their quotes."""

from __future__ import annotations

import pandas as pd
import pytest

pytest.importorskip("lightning", reason="needs the extra tasks")

from fastgru.errors import DataError
from fastgru.tasks.classify import Classify
from fastgru.tasks.forecast import Forecast
from fastgru.tasks.tag import Tag
from fastgru.tasks.translate import Translate

QUOTED = ['"fine" film', 'a "fine" film', '"so" good', '"', '""', '"whole"', "'fine' film", 'the "last', '"not closed']


def write(path, content):
    path.write_text(content, encoding="utf-8")
    return path


# ---- quotes


def test_quotes_are_letters_in_tsv(tmp_path):
    path = write(tmp_path / "d.tsv", "text\tlabel\n" + "".join(f'{text}\t"{text}\n' for text in QUOTED))
    read = Classify().read(path)
    assert (read.sequences, read.labels) == (QUOTED, [f'"{text}' for text in QUOTED])
    assert Classify().read_inputs(path).sequences == QUOTED
    bare = write(tmp_path / "bare.tsv", "text\n" + "\n".join(QUOTED) + "\n")
    assert Classify().read_inputs(bare).sequences == QUOTED


def test_quotes_are_letters_in_columns_and_pairs(tmp_path):
    path = write(tmp_path / "d.tsv", "".join(f"{text}\t{text}\n" for text in QUOTED))
    assert Translate().read(path) == (QUOTED, QUOTED)
    assert Translate().read_inputs(path).sources == QUOTED
    assert Tag().read(path)[:2] == ([QUOTED], [QUOTED])
    assert Tag().read_inputs(path).tokens == [QUOTED]


def test_csv_has_whole_fields_in_quotes(tmp_path):
    texts = [*QUOTED, "a, b", 'two\nlines of "text"']
    pd.DataFrame({"text": texts, "label": "x"}).to_csv(tmp_path / "d.csv", index=False)
    assert Classify().read(tmp_path / "d.csv").sequences == texts
    assert Classify().read_inputs(tmp_path / "d.csv").sequences == texts
    path = write(tmp_path / "inside.csv", 'text,label\na "fine" film,x\n')
    assert Classify().read(path).sequences == ['a "fine" film']


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (
            'a,x\n"so" good,x\n',
            r"line 3: a field begins with a quote that goes on after the closing one: '\"so\" good,x'",
        ),
        ('"so" ,x\n', "line 2: a field begins with a quote that goes on"),
        ('a,x\n"b\nc",x\nd,"y" or z\n', "line 5: a field begins with a quote that goes on"),
        (
            '"quoted,x\nb,y\nsay "hi",x\n',
            "line 2: a field begins with a quote that goes on",
        ),  # which joined three lines
        ('a,x\n"quoted,x\nb,y\n', 'line 3: a field begins with a quote that is never closed.*with "" for each quote'),
    ],
)
def test_half_a_quote_in_csv_is_explained(tmp_path, rows, words):
    with pytest.raises(DataError, match=words):
        Classify().read(write(tmp_path / "d.csv", "text,label\n" + rows))


def test_a_tsv_whose_names_are_quoted_is_explained(tmp_path):
    path = write(tmp_path / "d.tsv", '"time"\t"value"\n"2024-01-01"\t1\n')
    with pytest.raises(DataError, match=r'names in quotes, "time", "value"; in TSV quotes are letters'):
        Forecast().read(path)
