"""Tables of texts and series: quotes, columns without a name or with one of ours, tables with one column."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from fastgru_recipes import SequenceClassifier, Tagger, Translator
from fastgru_recipes.classify import Classify
from fastgru_recipes.classify.read_labelled import Labelled
from fastgru_recipes.errors import DataError
from fastgru_recipes.estimators import inputs
from fastgru_recipes.forecast import Forecast
from fastgru_recipes.tag import Tag
from fastgru_recipes.training.train import train
from fastgru_recipes.translate import Pairs, Translate

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
    assert Translate().read(path) == Pairs(QUOTED, QUOTED)
    assert Translate().read_inputs(path).sources == QUOTED
    tagged = Tag().read(path)
    assert (tagged.tokens, tagged.tags) == ([QUOTED], [QUOTED])
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
    with pytest.raises(DataError, match=r'names in quotes, "time", "value"; in TSV quotes are part of the text'):
        Forecast().read(path)


# ---- names that collide


def test_a_class_may_be_called_label():
    names = ["label", "probability of label"]
    data = Labelled(["aab", "aba", "bba", "bab"] * 8, names * 16)
    run = train(Classify(hidden=4, epochs=1, validation=0.0), data)
    table = run.recipe.predict(run.model, run.state, data)
    assert table.columns.tolist() == ["label", "probability of probability of label", "probability of label"]
    assert set(table["label"]) <= set(names)
    np.testing.assert_allclose(table.iloc[:, 1:].sum(axis=1), 1.0, rtol=1e-5)
    likeliest = table.iloc[:, 1:].to_numpy().argmax(1)
    assert table["label"].tolist() == [names[index] for index in likeliest]


def test_a_feature_called_text_is_no_text(tmp_path):
    rows = "series,label,text,time\n" + "".join(f"{n // 3},{'ab'[n // 3 % 2]},{n}.5,{n}\n" for n in range(12))
    path = write(tmp_path / "d.csv", rows)
    with pytest.raises(DataError, match="'text' holds only numbers: it may be texts, or a feature of series"):
        Classify().read(path)
    data = Classify(text_column="texts").read(path)
    assert data.features == ("text", "time")
    named = write(tmp_path / "named.csv", "series,text,label\n1,so good,x\n2,7,y\n")
    assert Classify().read(named).sequences == ["so good", "7"]


def test_a_column_without_a_name_is_no_feature(tmp_path):
    table = pd.DataFrame({"series": [1, 1, 2, 2], "label": [*"aabb"], "x": 1.5})
    table.to_csv(tmp_path / "d.csv")
    with pytest.raises(DataError, match="a column without a name, which pandas calls 'Unnamed: 0'"):
        Classify().read(tmp_path / "d.csv")
    for label in ("up", "down"):
        (tmp_path / "d" / label).mkdir(parents=True)
        table[["x"]].to_csv(tmp_path / "d" / label / "1.csv")
    with pytest.raises(DataError, match=r"1.csv has a column without a name"):
        Classify().read(tmp_path / "d")


def test_a_name_that_is_column_and_index_is_explained(tmp_path):
    table = pd.DataFrame({"text": ["a", "b"], "label": ["x", "y"]})
    table.set_index("text", drop=False).to_parquet(tmp_path / "d.parquet")
    with pytest.raises(DataError, match="has 'text' as a column and as an index"):
        Classify().read(tmp_path / "d.parquet")


def test_columns_may_be_called_self(tmp_path):
    path = write(tmp_path / "d.csv", "series,self,x\n1,a,1\n2,b,2\n")
    assert Classify(label_column="self").read(path).labels == ["a", "b"]


# ---- tables where texts are expected

TEXTS = ["aa", "bb", "ab", "ba"] * 8
ONE = pd.DataFrame({"words": TEXTS})


@pytest.mark.parametrize("form", [ONE, ONE.to_numpy(), ONE["words"], np.array(TEXTS), np.array(TEXTS)[:, None]])
def test_one_column_of_texts_is_taken(form):
    assert inputs.sequences(form).sequences == TEXTS
    assert inputs.pairs(form, form) == Pairs(TEXTS, TEXTS)
    assert inputs.one_text(form) == "\n".join(TEXTS)


def test_a_classifier_learns_from_one_column_of_texts():
    labels = [text[0] for text in TEXTS]
    options = {"hidden": 4, "epochs": 1, "validation": 0.0}
    expected = SequenceClassifier(**options).fit(TEXTS, labels).predict_proba(TEXTS)
    classifier = SequenceClassifier(**options).fit(ONE, labels)
    for form in (ONE, ONE.to_numpy(), TEXTS):
        np.testing.assert_array_equal(classifier.predict_proba(form), expected)


TWO = ONE.assign(more=TEXTS)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda: Translator().fit(TWO, ONE),
            r"sentences are a table with the columns \['words', 'more'\]. Give a single column",
        ),
        (lambda: Translator().fit(ONE, TWO.to_numpy()), r"translations are an array of the shape \(32, 2\)"),
        (lambda: Translator().fit({"a": 1}, ["A"]), "sentences are dict; give a list"),
        (lambda: Translator().fit({"a", "b"}, ["A", "B"]), "sentences are set; give a list"),
        (lambda: SequenceClassifier().fit(TWO, TEXTS), r"texts are a table with the columns \['words', 'more'\]"),
        (lambda: SequenceClassifier().fit({"a": 1}, [1]), "X is dict; give a list of texts or of series"),
        (lambda: SequenceClassifier().fit([["a"], ["b"]] * 4, [1, 2] * 4), "series 1 does not consist of numbers"),
        (lambda: Tagger().fit(TWO, TWO), "sentence 1: tokens are str; give a list"),
    ],
)
def test_tables_of_several_columns_are_explained(call, words):
    with pytest.raises(DataError, match=words):
        call()
