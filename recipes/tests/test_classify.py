"""Classification: the validation split, data of another kind, baselines."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fastgru_recipes.classify import Classify, baselines
from fastgru_recipes.classify.read_labelled import Labelled
from fastgru_recipes.errors import DataError
from fastgru_recipes.example_sets import sets
from fastgru_recipes.training.train import train

TEXTS = Labelled(["abab", "bb", "aab", "bba", "ab", "ba"] * 10, ["a", "b"] * 30)


def series(count=40, features=2):
    """Runs of 3 to 8 steps that rise or fall."""
    generator = np.random.default_rng(0)
    lengths = generator.integers(3, 9, size=count)
    signs = [1.0, -1.0] * (count // 2)
    steps = [
        np.linspace(0, sign, length)[:, None].repeat(features, 1) for sign, length in zip(signs, lengths, strict=True)
    ]
    return Labelled([np.float32(each) for each in steps], ["up", "down"] * (count // 2))


@pytest.fixture(scope="module")
def trained():
    return train(Classify(hidden=8, epochs=10, rate=0.02, dropout=0.0, validation=0.2), series())


def test_series_are_learned(trained):
    assert trained.metrics["scores"]["accuracy"] == 1.0


def test_series_alone_have_the_probabilities_that_they_have_together(trained):
    data = series(12)
    together = trained.recipe.predict(trained.model, trained.state, data)
    for index in range(12):
        alone = trained.recipe.predict(trained.model, trained.state, data.part([index]))
        assert alone["label"][0] == together["label"][index]
        np.testing.assert_allclose(alone.iloc[0, 1:].astype(float), together.iloc[index, 1:].astype(float), rtol=1e-5)


def test_each_label_gives_its_share_to_validation():
    data = Labelled([f"{i}" for i in range(60)], ["a"] * 40 + ["b"] * 20)
    learned, held_out = Classify(validation=0.25).split(data)
    assert (held_out.labels.count("a"), held_out.labels.count("b")) == (10, 5)
    assert sorted([*learned.sequences, *held_out.sequences]) == sorted(data.sequences)


def test_data_of_another_kind_are_explained(trained):
    with pytest.raises(DataError, match="the data are texts, but training was on series"):
        trained.recipe.predict(trained.model, trained.state, TEXTS)
    with pytest.raises(DataError, match="a series has 3 features; training had 2"):
        trained.recipe.predict(trained.model, trained.state, series(4, features=3))


def test_a_folder_with_other_columns_is_explained(tmp_path):
    for label, columns in (("down", "a,b"), ("up", "a,c")):
        (tmp_path / label).mkdir()
        (tmp_path / label / "1.csv").write_text(f"{columns}\n1,2\n")
    with pytest.raises(DataError, match=r"1.csv has the columns a, c, but .*1.csv has a, b"):
        Classify().read(tmp_path)


def test_baselines_by_hand():
    test = Labelled(["ab", "bb"], ["a", "a"])
    assert baselines.majority(Labelled(["x", "y", "z"], ["a", "a", "b"]), test) == 1.0
    assert baselines.naive_bayes(TEXTS.part([0, 1]), test) == 0.5  # "abab" is a, "bb" is b
    near = Labelled([np.float32([[0], [1]]), np.float32([[5], [9]])], ["a", "b"])
    assert baselines.nearest(near, Labelled([np.float32([[0], [0], [1]])], ["a"])) == 1.0


def test_baselines_of_series_by_hand():
    training = Labelled([np.linspace(0, end, 5)[:, None] for end in (1.0, 2.0, -1.0, -2.0)], ["u", "u", "d", "d"])
    test = Labelled([np.linspace(0, end, steps)[:, None] for end, steps in ((1.5, 3), (-1.5, 9))], ["u", "d"])
    for baseline in (baselines.nearest_by_steps, baselines.linear, baselines.forest, baselines.nearest):
        assert baseline(training, test) == 1.0
        assert baseline(training, replace(test, labels=["d", "u"])) == 0.0
    assert baselines.nearest(training, test, steps=2) == 1.0
    assert baselines._shorter(np.array([[0.0], [2.0], [5.0]]), 2).tolist() == [[1.0], [5.0]]


def test_warped_distances_are_those_of_the_whole_table():
    generator = np.random.default_rng(0)
    series, others = generator.normal(size=(7, 2)), [generator.normal(size=(steps, 2)) for steps in (1, 4, 9, 9)]
    for other, found in zip(others, baselines.warped_distances(series, others), strict=True):
        table = np.full((8, len(other) + 1), np.inf)
        table[0, 0] = 0
        for i, j in np.ndindex(7, len(other)):
            table[i + 1, j + 1] = ((series[i] - other[j]) ** 2).sum() + min(
                table[i, j + 1], table[i + 1, j], table[i, j]
            )
        assert found == pytest.approx(table[7, len(other)])


def test_the_vowels_are_the_standard_split():
    parts = sets("classify")[0].load(Classify(), False)
    assert (len(parts.training.sequences), len(parts.test.sequences)) == (270, 370)
    assert {each.shape[1] for each in parts.training.sequences} == {12}
    assert len(set(parts.test.labels)) == 9


def test_one_of_some_labels_is_held_out_where_each_has_few():
    data = Labelled([str(number) for number in range(30)], [str(number % 10) for number in range(30)])
    training, held_out = Classify().split(data)
    assert len(held_out.sequences) == 3  # a tenth of all, less than one of three
    assert len(set(held_out.labels)) == 3
    assert set(training.labels) == set(data.labels)
    assert {*training.sequences} | {*held_out.sequences} == {*data.sequences}
    assert Classify().split(data)[1].sequences == held_out.sequences
    single = Labelled(["a", "b"], ["a", "b"])  # none can be spared
    assert Classify().split(single)[1].sequences == []
