"""Each recipe on tiny data: it learns, rejects bad files, and predictions do not depend on the batch."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from fastgru_recipes import RECIPES, recipe_class
from fastgru_recipes.classify import Classify
from fastgru_recipes.classify import baselines as labels
from fastgru_recipes.classify.read_labelled import Labelled
from fastgru_recipes.errors import DataError
from fastgru_recipes.forecast import Forecast
from fastgru_recipes.generate import Generate
from fastgru_recipes.generate import baselines as texts
from fastgru_recipes.tag.read_tagged import Tagged, from_text, restored_text
from fastgru_recipes.tag.recipe import Tag, micro_f1
from fastgru_recipes.training import run_directory
from fastgru_recipes.training.train import train
from fastgru_recipes.translate import Pairs, Translate
from tiny_data import wave_table


def words(count=400):
    """Sentences of a made-up language, and the same in capitals, words turned round."""
    generator = np.random.default_rng(1)
    known = ["ka", "lo", "mi", "tu"]
    sources = [" ".join(generator.choice(known, size=generator.integers(1, 4))) for _ in range(count)]
    return Pairs(sources, [" ".join(word.upper() for word in source.split()) for source in sources])


TINY = {
    "forecast": (Forecast(context=24, horizon=6, hidden=16, epochs=15, batch=32, rate=0.01, dropout=0.0), None),
    "generate": (
        Generate(hidden=24, embedding=16, window=24, epochs=12, batch=4, rate=0.02),
        "to be or not to be\n" * 60,
    ),
    "translate": (
        Translate(
            unit="characters", hidden=32, embedding=16, epochs=25, batch=32, rate=0.02, beam=2, dropout=0.0, longest=12
        ),
        words(),
    ),
    "classify": (
        Classify(hidden=12, embedding=8, epochs=8, batch=32, rate=0.02),
        Labelled(["abab", "bb", "aab", "bba", "ab", "ba"] * 20, ["a", "b", "a", "b", "a", "b"] * 20),
    ),
    "tag": (
        Tag(hidden=12, embedding=8, spelling=4, epochs=8, batch=32, rate=0.02, least=1),
        Tagged(
            [["the", "cat"], ["a", "dog", "ran"], ["cats", "ran"]] * 20, [["D", "N"], ["D", "N", "V"], ["N", "V"]] * 20
        ),
    ),
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Each recipe once, kept in a run directory."""
    table = tmp_path_factory.mktemp("data") / "wave.csv"
    wave_table().to_csv(table, index=False)
    found = {}
    for name, (recipe, data) in TINY.items():
        directory = tmp_path_factory.mktemp("runs") / name
        data = recipe.read(table) if data is None else data
        found[name] = (train(recipe, data, directory=directory), data, directory)
    return found


def test_every_recipe_is_tried():
    assert set(TINY) == set(RECIPES)


@pytest.mark.parametrize(
    ("name", "least"), [("forecast", -0.95), ("generate", -0.5), ("translate", 90.0), ("classify", 0.95), ("tag", 0.95)]
)
def test_it_learns(trained, name, least):
    recipe, scores = trained[name][0].recipe, trained[name][0].metrics["scores"]
    score = scores[recipe.metric]
    assert (score if recipe.higher_is_better else -score) > least


@pytest.mark.parametrize("name", TINY)
def test_the_state_is_json(trained, name):
    state = trained[name][0].state
    assert json.loads(json.dumps(state)) == state


@pytest.mark.parametrize("name", TINY)
def test_a_run_directory_answers_as_the_run_did(trained, name):
    run, data, directory = trained[name]
    loaded = run_directory.Trained.load(directory)
    expected = run.recipe.predict(run.model, run.state, data)
    pd.testing.assert_frame_equal(loaded.recipe.predict(loaded.model, loaded.state, data), expected, check_exact=True)


@pytest.mark.parametrize("name", TINY)
def test_torchs_layer_takes_our_weights(trained, name):
    run, data, _ = trained[name]
    stock = replace(run.recipe, layer="torch")
    model = stock.build(run.state)
    model.load_state_dict(run.model.state_dict())
    ours, theirs = (r.score(m, run.state, data) for r, m in ((run.recipe, run.model), (stock, model.eval())))
    assert ours == pytest.approx(theirs, rel=1e-4)


@pytest.mark.parametrize("name", TINY)
def test_an_lstm_trains_too(trained, name):
    run, data, _ = trained[name]
    other = train(replace(run.recipe, layer="lstm", epochs=1, layers=2), data)
    assert np.isfinite(list(other.metrics["scores"].values())).all()


@pytest.mark.parametrize("precision", ["64-true", "bf16-mixed"])
@pytest.mark.parametrize("name", TINY)
def test_each_precision_trains_and_is_kept(trained, tmp_path, name, precision):
    _, data, _ = trained[name]
    recipe = replace(TINY[name][0], epochs=1, precision=precision)
    run = train(recipe, data, directory=tmp_path / "run")
    loaded = run_directory.Trained.load(tmp_path / "run").model.state_dict()
    assert all(torch.equal(value, loaded[key]) for key, value in run.model.state_dict().items())
    assert {value.dtype for value in loaded.values()} == {recipe.dtype}


@pytest.mark.parametrize(
    ("recipe", "file", "content", "words"),
    [
        (TINY["generate"][0], "t.txt", b"caf\xe9", "line 1: byte 0xe9 is not UTF-8"),
        (TINY["generate"][0], "t.txt", b" \n", "is empty"),
        (TINY["generate"][0], "t.txt", b"abc", "a smaller window"),
        (Translate(validation=0.0), "t.tsv", b"a\tb\nc d\n", "line 2 has no tab: 'c d'"),
        (Translate(validation=0.0), "t.tsv", b"a\tb\tc\n", "line 1 has 2 tabs"),
        (Translate(validation=0.0), "t.tsv", b"a\t\n", "line 1 has an empty side"),
        (Translate(validation=0.0), "t.tsv", b"a\tb\n\nc\td\n", "line 2 is empty"),
        (Translate(validation=0.0), "t.tsv", b"a\tb\n", "there are 1 pairs"),
        (Translate(), "t.tsv", b"a\tb\nc\td\n", "the validation part is empty: a fraction of 0.1"),
        (Tag(validation=0.0), "t.conll", b"the D\ncat\n", "line 2 has one column: 'cat'"),
        (Tag(validation=0.0), "t.conll", b"the D\ncat x N\n", "line 2 has 3 columns; the lines before have 2"),
        (Tag(validation=0.0), "t.conll", b"the D\ncat D\n", "the data have 1 tag"),
        (Classify(), "d.csv", b"text,label\nab,x\nba,y\n", "the validation part is empty"),
    ],
)
def test_a_file_that_cannot_be_learned_from_is_explained(tmp_path, recipe, file, content, words):
    (tmp_path / file).write_bytes(content)
    with pytest.raises(DataError, match=words):
        train(recipe, recipe.read(tmp_path / file), directory=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_bad_test_part_is_noticed_before_training(monkeypatch):
    monkeypatch.setattr("fastgru_recipes.training.train.fit", lambda *_, **__: pytest.fail("it trained first"))
    recipe, data = TINY["classify"]
    with pytest.raises(DataError, match="label 'c' is not among the learned ones"):
        train(recipe, data, test=Labelled(["ab"], ["c"]))


# ---- forecast


def test_quantiles_rise_and_the_forecast_goes_on_from_the_end(trained):
    run, data, _ = trained["forecast"]
    table = run.recipe.predict(run.model, run.state, data)
    assert (table["q0.1"] <= table["q0.5"]).all()
    assert (table["q0.5"] <= table["q0.9"]).all()
    assert list(table["time"]) == list(pd.date_range("2024-01-31", periods=6, freq="h"))


def test_rolled_smoothing_is_statsmodels_own():
    ets = pytest.importorskip("statsmodels.tsa.exponential_smoothing.ets")
    from fastgru_recipes.forecast.baselines import ExponentialSmoothing

    values = wave_table(300)["value"].to_numpy()
    for trend in (False, True):
        method = ExponentialSmoothing(24, 30, trend)
        found = method(values[:200], values, 250)
        learned = ets.ETSModel(values[:200], **method.kind).fit(disp=False).params
        expected = ets.ETSModel(values[:250], **method.kind).smooth(learned).forecast(30)
        np.testing.assert_allclose(found, expected)


# ---- generate


def test_smoothing_knows_series_apart_that_were_freed():
    from fastgru_recipes.forecast.baselines import ExponentialSmoothing

    method = ExponentialSmoothing(1, 2, False)
    for level in range(5):  # of arrays that may all come to lie in one place
        assert method(np.full(40, level) + 1e-3 * np.arange(40), np.full(50, float(level)), 45)[0] == pytest.approx(
            level, abs=0.1
        )


def test_the_end_of_a_text_without_lines_is_cut_within_a_line():
    training, held_out = Generate(validation=0.1).split("a" * 460 + "\n" + "b" * 539)
    assert len(held_out) == 100
    assert training + held_out == "a" * 460 + "\n" + "b" * 539
    assert Generate(validation=0.1).split("abc\n" * 250)[1].startswith("abc")


def test_kneser_ney_sums_to_one():
    model = texts.KneserNey("abracadabra, a cobra and a zebra", 4)
    for context in ("bra", "a c", "zzz", "\x02\x02a"):
        total = sum(model.probability(character, context) for character in [*model.known, texts.UNKNOWN_CHARACTER])
        assert total == pytest.approx(1.0)


def test_surprise_is_that_of_the_whole_text_in_one_call(trained, monkeypatch):
    run, _, _ = trained["generate"]
    whole, _, _ = run.recipe.surprise(run.model, run.state, "to be or not, that is\n")
    monkeypatch.setattr("fastgru_recipes.generate.recipe.PIECE", 5)
    pieces, places, _ = run.recipe.surprise(run.model, run.state, "to be or not, that is\n")
    np.testing.assert_allclose(whole, pieces, rtol=1e-4, atol=1e-5)
    assert places[0] == (0, 1)
    assert pieces["to be or not, that is\n".index("h")] > 20  # never seen: one of a million characters


def test_text_goes_on_as_learned_and_by_the_seed(trained):
    run, _, _ = trained["generate"]

    def draw(**options):
        return "".join(run.recipe.sample(run.model, run.state, "to be", 12, **options))

    assert draw(temperature=0.0) == " or not to b"
    assert draw(seed=1) == draw(seed=1)
    assert draw(temperature=3.0, seed=1) != draw(temperature=3.0, seed=2)
    assert draw(temperature=3.0, top_k=1) == draw(temperature=3.0, top_p=1e-9) == draw(temperature=0.0)


# ---- translate


def test_a_translation_does_not_depend_on_its_company(trained):
    run, data, _ = trained["translate"]
    together = run.recipe.translations(run.model, run.state, data.sources[:40])
    assert together == [run.recipe.translations(run.model, run.state, [each])[0] for each in data.sources[:40]]


def test_attention_looks_at_the_source_and_nowhere_else(trained):
    run, _, _ = trained["translate"]
    attention, written, read = run.recipe.attention(run.model, run.state, "ka lo", "KA LO")
    assert attention.shape == (6, 5)
    assert (written, read) == ([*"KA LO", "end"], [*"ka lo"])
    np.testing.assert_allclose(attention.sum(-1), 1.0, rtol=1e-5)


# ---- classify


def test_probabilities_do_not_depend_on_company_or_padding(trained):
    run, data, _ = trained["classify"]
    together = run.recipe.predict(run.model, run.state, data.part(range(6)))
    for index in range(6):
        alone = run.recipe.predict(run.model, run.state, data.part([index]))
        np.testing.assert_allclose(together.iloc[[index], 1:], alone.iloc[:, 1:], rtol=1e-5)


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("d.csv", "text,label\nabc,x\n,y\n", "line 3: the text is empty"),
        ("d.csv", "text,label\nabc,x\nabd,\n", "line 3: the label is missing"),
        ("d.csv", "words,label\nabc,x\n", "no column 'text' of texts, nor 'series' of series"),
        ("d.csv", "series,label,f\n1,x,1.5\n,x,2\n", "line 3: the series is missing in column 'series'"),
        ("d.csv", "series,label\n1,x\n", "has no columns of numbers"),
        ("d.csv", "series,label,f\n1,x,1e300\n", "line 2, column 'f': 1e\\+300 is not a finite number"),
        ("d.csv", "text,label\nabc,x,1\n", "line 2 has 3 fields, more than the first line has names"),
        ("d.csv", "text,label,label\nabc,x,1\n", "two columns 'label'"),
        ("d.csv", "text,label\nabc,x\n\nabc,y\n", "line 3 is empty"),
        ("d.csv", 'text,label\n"a\nc",x\nabd,\n', "line 4: the label is missing"),
        ("d.jsonl", '{"text": "a\\ud800", "label": "x"}\n', r"line 1: 'text' has '\\ud800', which is not a character"),
        ("d.jsonl", '{"text": "abc", "label": " "}\n', "line 1: the label is missing"),
        ("d.jsonl", '{"text": "abc", "label": ["x"]}\n', r"line 1: the label is \['x'\]. Give one text"),
        ("d.jsonl", "[" * 100_000, "line 1 is not valid JSON"),
        ("d.csv.gz", "text,label\n", "d.csv.gz is damaged, or is not a .gz file"),
        ("d.csv.xz", "text,label\n", "d.csv.xz is damaged, or is not a .xz file"),
        ("d.parquet", "text,label\n", "d.parquet cannot be read as Parquet"),
        ("d.csv", "series,label,f\n1,x,1.5\n1,x,oops\n", "line 3, column 'f': 'oops' is not a finite number"),
        ("d.csv", "series,label,f\n1,x,1.5\n1,y,2\n", "series 1 has the labels x, y"),
        ("d.jsonl", '{"text": "abc", "label": "x"}\n{"text": \n', "line 2 is not valid JSON"),
        ("d.jsonl", '["abc", "x"]\n', "line 1 is list, not an object"),
        ("d.txt", "abc\n", "ends in .txt: cannot tell its format"),
    ],
)
def test_bad_labelled_files_are_explained(tmp_path, file, content, words):
    (tmp_path / file).write_text(content)
    with pytest.raises(DataError, match=words):
        Classify().read(tmp_path / file)


def test_labels_are_texts_whatever_they_look_like(tmp_path):
    (tmp_path / "d.csv").write_text("text,label\n123,01\nNA,1\n")
    data = Classify().read(tmp_path / "d.csv")
    assert (data.sequences, data.labels) == (["123", "NA"], ["01", "1"])


def test_an_unknown_label_is_named(trained):
    run, _, _ = trained["classify"]
    with pytest.raises(DataError, match="label 'c' is not among the learned ones: a, b"):
        run.recipe.score(run.model, run.state, Labelled(["ab"], ["c"]))


def test_a_folder_of_series_is_read(tmp_path):
    for label, value in (("up", 1.0), ("down", -1.0)):
        (tmp_path / label).mkdir()
        for number in range(2):
            pd.DataFrame({"a": [0.0, value], "b": [1.0, 2.0]}).to_csv(tmp_path / label / f"{number}.csv", index=False)
    data = Classify().read(tmp_path)
    assert data.labels == ["down", "down", "up", "up"]
    assert data.sequences[0].tolist() == [[0.0, 1.0], [-1.0, 2.0]]


def test_warped_distance_of_stretched_series_is_zero():
    series = np.array([[0.0], [1.0], [2.0]])
    others = [np.repeat(series, 2, axis=0), series + 1, series[:1]]
    # By hand: 0-1, 1-1, 2-2, 2-3 costs 1 + 0 + 0 + 1; and all three steps to the one 0 cost 0 + 1 + 4.
    np.testing.assert_allclose(labels.warped_distances(series, others), [0.0, 2.0, 5.0])


# ---- tag


def test_running_text_gives_its_tags_and_comes_back():
    data = from_text(["The LORD said, “Go!” Then he went"], with_tags=True)
    assert data.tokens == [["the", "lord", "said", "go", "then", "he", "went"]]
    assert data.tags == [["Capital", "UPPER", "lower,", "Capital!", "Capital", "lower", "lower"]]
    assert restored_text(data.tokens[0], data.tags[0]) == "The LORD said, Go! Then he went"


def test_micro_f1_counts_all_but_the_plain_tag():
    # Found A, A, B beside right A, B, B, O: two hits among three found and three right.
    assert micro_f1(["A", "O", "B", "A"], ["A", "B", "B", "O"], "O") == pytest.approx(4 / 6)


def test_an_unknown_tag_is_named(trained):
    run, _, _ = trained["tag"]
    with pytest.raises(DataError, match="tag 'X' is not among the learned ones: D, N, V"):
        run.recipe.score(run.model, run.state, Tagged([["the"]], [["X"]]))


def test_tags_do_not_depend_on_company(trained):
    run, data, _ = trained["tag"]
    together = run.recipe.tags(run.model, run.state, data.tokens[:3])
    assert together == [run.recipe.tags(run.model, run.state, [each])[0] for each in data.tokens[:3]]


def test_an_unknown_option_of_a_recipe_is_a_type_error():
    with pytest.raises(TypeError):
        recipe_class("classify")(size=3)
