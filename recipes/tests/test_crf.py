"""The conditional random field of `tag`, against all paths; spelling marks; entities; probabilities of tags."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise, product

import numpy as np
import pytest
import torch

from fastgru_recipes import Tagger
from fastgru_recipes.tag import Tag, Tagged
from fastgru_recipes.tag.crf import CRF
from fastgru_recipes.tag.entities import are_entities, entities, entity_f1
from fastgru_recipes.tag.spelling import SHAPES, affixes, learned_affixes, shape, spellings

TAGS, LENGTHS = 3, [4, 1, 3]


@pytest.fixture
def crf():
    generator = torch.Generator().manual_seed(0)
    field = CRF(TAGS).double()
    for parameter in field.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    return field


@pytest.fixture
def scores():
    return torch.randn(3, 4, TAGS, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def paths(crf, scores, length):
    """Each path of tags with its score."""
    for path in product(range(TAGS), repeat=length):
        total = crf.start[path[0]] + crf.end[path[-1]] + sum(scores[step, tag] for step, tag in enumerate(path))
        yield path, float(total + sum(crf.transitions[a, b] for a, b in pairwise(path)))


@torch.no_grad()
def test_all_paths_are_summed_and_the_best_is_found(crf, scores):
    found, lengths = crf.partition(scores, torch.tensor(LENGTHS)), torch.tensor(LENGTHS)
    decoded, shares = crf.decode(scores, lengths), crf.marginals(scores, lengths)
    for row, length in enumerate(LENGTHS):
        every = dict(paths(crf, scores[row], length))
        total = np.logaddexp.reduce(list(every.values()))
        assert float(found[row]) == pytest.approx(total)
        assert tuple(decoded[row, :length].tolist()) == max(every, key=every.get)
        assert not decoded[row, length:].any()
        for step, tag in product(range(length), range(TAGS)):
            share = sum(np.exp(score - total) for path, score in every.items() if path[step] == tag)
            assert float(shares[row, step, tag]) == pytest.approx(share)


@torch.no_grad()
def test_the_loss_is_of_the_tags_that_are_known(crf, scores):
    tags = torch.tensor([[0, 2, 1, 1], [2, -1, -1, -1], [-1, 0, -1, -1]])
    losses = crf.loss(scores, tags, torch.tensor(LENGTHS))
    for row, length in enumerate(LENGTHS):
        every = dict(paths(crf, scores[row], length))
        known = {step: tag for step, tag in enumerate(tags[row, :length].tolist()) if tag >= 0}
        fitting = [score for path, score in every.items() if all(path[step] == tag for step, tag in known.items())]
        expected = np.logaddexp.reduce(list(every.values())) - np.logaddexp.reduce(fitting)
        assert float(losses[row]) == pytest.approx(expected)


def test_gradients_are_those_of_finite_differences(crf, scores):
    tags, lengths = torch.tensor([[0, 2, 1, 1], [2, -1, -1, -1], [-1, 0, 1, -1]]), torch.tensor(LENGTHS)
    parameters = [scores.requires_grad_(), *crf.parameters()]

    def loss(given, transitions, start, end):
        crf_of = {"transitions": transitions, "start": start, "end": end}
        return torch.func.functional_call(Loss(crf), {f"crf.{k}": v for k, v in crf_of.items()}, (given, tags, lengths))

    assert torch.autograd.gradcheck(loss, parameters)


class Loss(torch.nn.Module):
    def __init__(self, crf):
        super().__init__()
        self.crf = crf

    def forward(self, *given):
        return self.crf.loss(*given)


# Which tag a token has is told by the tag before it alone: "x" is A, then B, then A.
TURNS = Tagged([["s", *["x"] * 7]] * 16, [["S", *"ABABABA"]] * 16)
OPTIONS = {"hidden": 8, "embedding": 4, "spelling": 4, "affix": 2, "epochs": 2, "batch": 4, "rate": 0.05}


def test_a_tagger_with_a_field_gives_paths_and_probabilities():
    tagger = Tagger(**OPTIONS, crf=True).fit(TURNS.tokens, TURNS.tags)
    shares = tagger.predict_proba([TURNS.tokens[0], ["s"]])
    assert [each.shape for each in shares] == [(8, 3), (1, 3)]
    assert tagger.classes_.tolist() == ["A", "B", "S"]
    np.testing.assert_allclose(np.concatenate(shares).sum(1), 1.0, rtol=1e-5)
    model = tagger.trained_.model
    model.crf.transitions.data = torch.full((3, 3), -50.0)
    model.crf.transitions.data[[2, 0, 1], [0, 1, 0]] = 50.0  # S A B A B A ...
    assert tagger.predict(TURNS.tokens[:1]) == TURNS.tags[:1]
    along = tagger.predict_proba(TURNS.tokens[:1])[0]
    np.testing.assert_allclose(along.argmax(1), [2, 0, 1, 0, 1, 0, 1, 0])
    table = tagger.trained_.recipe.predict(model, tagger.trained_.state, Tagged(TURNS.tokens[:1], None), True)
    np.testing.assert_array_equal(table[["A", "B", "S"]].to_numpy(), along)


def test_a_tagger_without_a_field_gives_probabilities():
    tagger = Tagger(**OPTIONS).fit(TURNS.tokens, TURNS.tags)
    shares = tagger.predict_proba(TURNS.tokens[:2])
    likeliest = [tagger.classes_[each.argmax(1)].tolist() for each in shares]
    assert likeliest == tagger.predict(TURNS.tokens[:2])
    np.testing.assert_allclose(np.concatenate(shares).sum(1), 1.0, rtol=1e-5)
    assert tagger.predict_proba([]) == []


# ---- spelling


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("cat", "lower case"),
        ("don't", "lower case"),
        ("Cat", "Capital"),
        ("A", "Capital"),
        ("NASA", "UPPER CASE"),
        ("iPhone", "miXed"),
        ("1,000", "digits"),
        ("B2", "letters and digits"),
        ("--", "neither"),
        ("", "neither"),
    ],
)
def test_shapes(word, name):
    assert SHAPES[shape(word)] == name


def test_affixes_of_more_than_one_word_are_known():
    assert affixes("Talking") == ("ta", "tal", "ng", "ing")
    known = learned_affixes({"talking": 9, "walking": 1, "tax": 1}, least=2)
    assert known == [["ta"], [], ["ng"], ["ing"]]
    marks = spellings(["Tin", "walking"], ["walking"], "t", known)
    assert (marks["Tin"].word, marks["walking"].word) == (1, 2)
    assert marks["walking"].marks.tolist() == [1, 1, 2, 2, 0]
    assert marks["Tin"].marks.tolist() == [1, 1, 1, 1, 1]
    assert marks["Tin"].characters.tolist() == [1, 1, 1]


def test_a_tagger_without_affixes_has_no_vectors_for_them():
    recipe = Tag(hidden=4, spelling=2, embedding=3)
    state = recipe.learn_state(TURNS)
    assert recipe.build(state).gru.input_size == 3 + 2 * 2 + 5 * 16
    assert replace(recipe, affix=0).build(state).gru.input_size == 3 + 2 * 2


def test_a_linear_model_of_the_word_and_its_neighbours_is_added():
    recipe = Tag(hidden=4, spelling=2, embedding=3, least=1)
    data = Tagged([["a", "b", "c"], ["b"]], [["X", "Y", "X"], ["Y"]])
    state = recipe.learn_state(data)
    direct, batch = recipe.build(state).direct, recipe.collate(recipe.examples(data, state))
    assert not direct(batch).any()
    with torch.no_grad():
        for place, table in enumerate((direct.here[0], direct.before[0], direct.after[0])):
            table.weight[2 + state["words"].index("b"), 0] = 10.0**place
        direct.after[0].weight[2 + state["words"].index("a"), 0] = 1000.0
        found = direct(batch)[..., 0]
    # "b" itself counts 1, after a "b" it is 10, before one 100. Padding has the number of "a", and is no neighbour.
    assert found[0].tolist() == [100.0, 1.0, 10.0]
    assert found[1, 0] == 1.0


# ---- entities


@pytest.mark.parametrize(
    ("tags", "found"),
    [
        ("B-P I-P O B-L", {("P", 0, 2), ("L", 3, 4)}),
        ("I-P I-P B-P I-L", {("P", 0, 2), ("P", 2, 3), ("L", 3, 4)}),
        ("B-P E-P S-P I-P", {("P", 0, 2), ("P", 2, 3), ("P", 3, 4)}),
        ("B-P L-P U-L O", {("P", 0, 2), ("L", 2, 3)}),
        ("O O", set()),
    ],
)
def test_entities_are_whole_spans(tags, found):
    assert entities(tags.split()) == found


def test_an_entity_counts_only_as_a_whole():
    right = [["B-P", "I-P", "O", "B-L"]]
    assert entity_f1([["B-P", "O", "O", "B-L"]], right) == 0.5
    assert entity_f1(right, right) == 1.0
    assert entity_f1([["O"] * 4], right) == 0.0


def test_only_tags_of_entities_are_scored_as_entities():
    assert are_entities(["O", "B-P", "I-P"])
    assert not are_entities(["O"])
    assert not are_entities(["B-P", "NOUN", "O"])
    assert not are_entities(["lower", "Capital"])
    data = Tagged([["a", "Al"]] * 8, [["O", "B-P"]] * 8)
    recipe = Tag(hidden=4, spelling=2, embedding=3)
    state = recipe.learn_state(data)
    assert "entity_f1" in recipe.score(recipe.build(state).eval(), state, data)
    other = replace(data, tags=[["D", "N"]] * 8)
    state = recipe.learn_state(other)
    assert "entity_f1" not in recipe.score(recipe.build(state).eval(), state, other)
