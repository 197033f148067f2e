"""Tagging: windows of long texts, files of words and columns, the validation split, baselines."""

from __future__ import annotations

import lzma
import random
from dataclasses import replace

import pandas as pd
import pytest
import torch

from fastgru_recipes.errors import DataError
from fastgru_recipes.tag import baselines
from fastgru_recipes.tag.read_tagged import TEXT_TAGS, Tagged, from_text, split
from fastgru_recipes.tag.recipe import NO_TAG, Tag
from fastgru_recipes.training import run_directory
from fastgru_recipes.training.train import train

# Which mark follows "well" is told by the next word alone: a tagger must look ahead.
TEXT = " ".join(random.Random(0).choices(["Well, he said yes.", "Well; it was yes!"], k=120))


@pytest.fixture(scope="module")
def recipe():
    return Tag(hidden=16, embedding=8, spelling=4, window=16, overlap=4, epochs=6, batch=4, rate=0.03, dropout=0.0)


@pytest.fixture(scope="module")
def trained(recipe, tmp_path_factory):
    directory = tmp_path_factory.mktemp("runs") / "tag"
    return train(recipe, from_text([TEXT], with_tags=True), directory=directory), directory


def test_context_is_learned_that_bigrams_do_not_have(trained):
    run, _ = trained
    data = from_text([TEXT], with_tags=True)
    best = max(baselines.scores(data, data).values())
    assert best < 0.9
    assert run.metrics["scores"]["micro_f1"] > 0.99


def test_text_comes_back(trained):
    run, directory = trained
    plain = ["well it was yes well he said yes", "", "well he said yes"]
    expected = ["Well; it was yes! Well, he said yes.", "", "Well, he said yes."]
    assert run.recipe.restore(run.model, run.state, plain) == expected
    loaded = run_directory.Trained.load(directory)
    assert loaded.recipe.restore(loaded.model, loaded.state, plain) == expected


def test_torchs_layer_finds_the_same_tags(trained):
    run, _ = trained
    stock = replace(run.recipe, layer="torch")
    model = stock.build(run.state)
    model.load_state_dict(run.model.state_dict())
    data = from_text([TEXT], with_tags=True)
    assert stock.score(model.eval(), run.state, data) == run.recipe.score(run.model, run.state, data)


# ---- windows


def test_every_token_is_one_windows_own(recipe):
    data = Tagged([[f"w{i}" for i in range(37)], ["w1"]], [[f"t{i % 3}" for i in range(37)], ["t0"]])
    state = recipe.learn_state(data)
    windows = recipe.examples(data, state)
    assert [len(window.tokens) for window in windows] == [20, 24, 9, 1]  # 16 own, 4 of each neighbour
    own = [token for window in windows for token in window.tokens[window.own]]
    assert own == [*data.tokens[0], "w1"]
    tags = torch.cat([window.tags for window in windows])
    assert [state["tags"][number] for number in tags[tags != NO_TAG]] == [*data.tags[0], "t0"]
    assert [int((window.tags != NO_TAG).sum()) for window in windows] == [16, 16, 5, 1]


def test_the_loss_counts_each_token_once(recipe):
    data = from_text(["one two three four five six, seven"] * 5 + ["Long " * 50], with_tags=True)
    state = recipe.learn_state(data)
    batch = recipe.collate(recipe.examples(data, state))
    assert recipe.loss(recipe.build(state), batch).terms == 5 * 7 + 50


def test_a_tag_does_not_depend_on_the_other_windows(trained):
    run, _ = trained
    data = from_text([TEXT[:400], "It was yes.", TEXT[:90]], with_tags=False)
    together = run.recipe.predict(run.model, run.state, data)
    alone = replace(run.recipe, batch=1).predict(run.model, run.state, data)
    pd.testing.assert_frame_equal(together, alone)
    assert together["sentence"].value_counts().sort_index().tolist() == [len(tokens) for tokens in data.tokens]


def test_scores_do_not_depend_on_the_batch_to_the_last_bit(trained):
    run, _ = trained
    windows = run.recipe.examples(from_text([TEXT[:300]], with_tags=False), run.state)
    inputs = []
    run.model.gru.register_forward_hook(lambda module, given, output: inputs.append(output[0]))
    with torch.inference_mode():
        run.model(run.recipe.collate(windows))
        for window in windows:
            run.model(run.recipe.collate([window]))
    for row, alone in zip(inputs[0], inputs[1:], strict=True):
        assert torch.equal(row[: alone.shape[1]], alone[0])


# ---- what is held out


def test_the_end_of_a_text_is_held_out():
    data = from_text(["one two three four", "five six seven eight nine ten"], with_tags=True)
    learned, held_out = split(data, 0.3)
    assert learned.tokens == [["one", "two", "three", "four"], ["five", "six", "seven"]]
    assert held_out.tokens == [["eight", "nine", "ten"]]
    assert held_out.is_text


def test_the_only_sentence_with_a_tag_is_learned():
    data = Tagged([["a"], ["b"], ["c"], ["d"]], [["X"], ["X"], ["Y"], ["Z"]])
    learned, held_out = split(data, 0.5)
    assert (learned.tokens, held_out.tokens) == ([["a"], ["c"], ["d"]], [["b"]])
    with pytest.raises(DataError, match="none of the 2 sentences can be held out"):
        split(data.part([1, 2]), 0.5)


def test_a_text_may_have_marks_that_were_not_learned(trained):
    run, _ = trained
    assert sorted(run.state["tags"]) == sorted(TEXT_TAGS)
    scores = run.recipe.score(run.model, run.state, from_text(["WHO? Well, he said yes."], with_tags=True))
    # Of five tokens "who" alone is wrong; "Well," and "yes." are right.
    assert scores["accuracy"] == pytest.approx(4 / 5)


# ---- files


def test_lines_are_joined_and_paragraphs_are_not(tmp_path):
    (tmp_path / "text.txt").write_text("It cost 1,000,\nhe said.\n\n* * *\n\nDon\u2019t go\n")
    data = Tag().read(tmp_path / "text.txt")
    assert data.tokens == [["it", "cost", "1,000", "he", "said"], ["don\u2019t", "go"]]
    assert data.tags == [["Capital", "lower", "lower,", "lower", "lower."], ["Capital", "lower"]]


def test_a_packed_text_is_a_text(tmp_path):
    (tmp_path / "text.TXT.xz").write_bytes(lzma.compress(b"Come, and see."))
    assert Tag().read(tmp_path / "text.TXT.xz").tags == [["Capital,", "lower", "lower."]]


def test_columns_are_read_with_or_without_tags(tmp_path):
    (tmp_path / "tags.tsv").write_text("\nNew York\tX\tB\nran\tX\tO\n\n\nit\tX\tO\n")
    data = Tag().read(tmp_path / "tags.tsv")
    assert data == Tagged([["New York", "ran"], ["it"]], [["B", "O"], ["O"]])
    (tmp_path / "words.conll").write_text("a\nb\n\nc\n")
    assert Tag().read_inputs(tmp_path / "words.conll") == Tagged([["a", "b"], ["c"]], None)


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("t.conll", b"the\tD\n\tN\n", "t.conll, line 2 has an empty column"),
        ("t.conll", b"the D\ncaf\xe9 N\n", "t.conll, line 2: byte 0xe9 is not UTF-8"),
        ("t.conll", b"\n\n", "t.conll is empty"),
        ("t.txt", b"... --\n", "t.txt has no words"),
        ("t.txt", b"in small letters\n\nwithout marks\n", "t.txt has neither capitals nor any of"),
    ],
)
def test_bad_files_are_explained(tmp_path, file, content, words):
    (tmp_path / file).write_bytes(content)
    with pytest.raises(DataError, match=words):
        Tag().read(tmp_path / file)


def test_text_is_not_for_a_run_that_learned_columns(recipe):
    data = Tagged([["a", "dog"], ["the", "dog"]] * 4, [["D", "N"]] * 8)
    run = train(replace(recipe, epochs=1), data)
    with pytest.raises(DataError, match="are running text, but training was on columns"):
        run.recipe.predict(run.model, run.state, from_text(["a dog"], with_tags=False))


def test_a_plain_tag_must_be_there(recipe):
    with pytest.raises(DataError, match="plain='O' is not a tag of the data: D, N"):
        train(replace(recipe, plain="O"), Tagged([["a", "dog"]] * 4, [["D", "N"]] * 4))


# ---- columns that are no tokens

CAT = "1\tThe\tthe\tDET\tDT\t_\t2\tdet\t_\t_\n2\tcat\tcat\tNOUN\tNN\t_\t0\troot\t_\tSpaceAfter=No\n"
DU = (
    "# text = du\n1-2\tdu\t_\t_\t_\t_\t_\t_\t_\t_\n1\tde\tde\tADP\t_\t_\t2\tcase\t_\t_\n"
    "1.1\tx\tx\tVERB\t_\t_\t_\t_\t_\t_\n2\tle\tle\tDET\t_\t_\t0\tdet\t_\t_\n"
)
UNIVERSAL = Tagged([["The", "cat"], ["de", "le"]], [["DET", "NOUN"], ["ADP", "DET"]])


@pytest.mark.parametrize("comments", ["", "# newdoc\n# sent_id = 1\n#text = The cat\n"])
@pytest.mark.parametrize("ending", ["conllu", "conll", "tsv"])
def test_conllu_is_words_and_classes(tmp_path, ending, comments):
    path = tmp_path / f"d.{ending}"
    path.write_text(f"{comments}{CAT}\n{DU}\n")
    assert Tag().read(path) == UNIVERSAL
    assert Tag().read_inputs(path) == replace(UNIVERSAL, tags=None)


def test_a_document_begins_a_sentence_and_is_no_token(tmp_path):
    for line in ("-DOCSTART- -X- -X- O\n\n", "-DOCSTART- -X- -X- O\n", "-DOCSTART-\n\n", "-docstart- O\n"):
        path = tmp_path / "d.conll"
        path.write_text(f"{line}EU NNP B-NP B-ORG\nsays VBZ B-VP O\n{line}It PRP B-NP O\n")
        assert Tag().read(path) == Tagged([["EU", "says"], ["It"]], [["B-ORG", "O"], ["O"]])
        assert Tag().read_inputs(path) == Tagged([["EU", "says"], ["It"]], None)


def test_hashes_may_be_tokens(tmp_path):
    for content in ("# B\n#MeToo B\nran O\n", "#\t#\n#MeToo\tB\nran\tO\n", "# #\n#MeToo B\nran O\n"):
        (tmp_path / "d.conll").write_text(content)
        assert Tag().read(tmp_path / "d.conll").tokens == [["#", "#MeToo", "ran"]]


NUMBERED = "1\tThe\tDET\n2\tcat\tNOUN\n\n1\tIt\tPRON\n"


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("d.conll", "# sent_id = 1\nthe D\n", "line 1 looks like a comment: '# sent_id = 1'. Remove such lines"),
        ("d.conll", "the D\n# newdoc\ncat N\n", "line 2 looks like a comment: '# newdoc'"),
        ("d.conll", "# id 12\tdomain=en\nthe\tD\n", "line 1 looks like a comment"),
        ("d.conll", "#begin document (a); part 0\na 0 D\n", "line 1 looks like a comment"),
        ("d.conll", NUMBERED, r"line 1: the first column numbers the tokens.*'1\\tThe\\tDET'.*columns='2,4'"),
        ("d.conll", NUMBERED.replace("\t", " "), "the first column numbers the tokens"),
        ("d.conll", "1\tThe\t_\t_\tD\n2\tcat\t_\t_\tN\n", "the first column numbers the tokens"),
        ("d.conll", "a/1 0 0 The DT\na/1 0 1 cat NN\n\na/1 0 0 It P\na/1 0 1 ran V\n", "names sentences or documents"),
        ("d.conllu", "the D\n", "line 1 has 2 columns; CoNLL-U has 10"),
        ("d.conllu", CAT.replace("2\tcat", "b\tcat"), "line 2: 'b' is not the ID of a word"),
        ("d.conllu", CAT.replace("DET", "_").replace("NOUN", "_"), "no part-of-speech tags in column 4.*columns='2,5'"),
        ("d.conllu", "# nothing\n", "has no tokens"),
        ("d.conll", "-DOCSTART- O\n", "has no tokens"),
    ],
)
def test_what_is_no_token_is_explained(tmp_path, file, content, words):
    (tmp_path / file).write_text(content)
    with pytest.raises(DataError, match=words):
        Tag().read(tmp_path / file)


def test_numbers_are_tokens_where_they_do_not_count(tmp_path):
    for content in ("1 A\n0 B\n1 A\n1 A\n", "7 A\n9 B\n8 C\n"):
        (tmp_path / "d.conll").write_text(content)
        assert Tag().read(tmp_path / "d.conll").tokens == [content.split()[::2]]
    (tmp_path / "words.conll").write_text("1\n2\n3\n")
    assert Tag().read_inputs(tmp_path / "words.conll").tokens == [["1", "2", "3"]]
    (tmp_path / "words.conll").write_text("1 The\n2 cat\n3 sat\n")
    with pytest.raises(DataError, match="the first column numbers the tokens"):
        Tag().read_inputs(tmp_path / "words.conll")


# ---- baselines


def test_bigrams_back_off_to_words_and_words_to_the_most_frequent_tag():
    learned = Tagged([["a", "b"], ["c", "b"], ["d", "b"], ["d", "d"]], [["O", "X"], ["O", "Y"], ["O", "Y"], ["O", "O"]])
    test = Tagged([["a", "b"], ["c", "b", "e"], ["f", "b"]], [["O", "X"], ["O", "Y", "X"], ["O", "Y"]])
    # Right are X, Y, X, Y. By word: Y three times, two of them right, 2 * 2 / (3 + 4). By pair: X, Y, Y, all right.
    assert baselines.scores(learned, test) == pytest.approx(
        {"majority": 0.0, "majority of the word": 4 / 7, "bigram": 6 / 7}
    )
    assert baselines.accuracies(learned, test) == pytest.approx(
        {"majority": 3 / 7, "majority of the word": 5 / 7, "bigram": 6 / 7}
    )
