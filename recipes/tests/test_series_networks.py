"""The network of `classify` for series: convolutions, pooling, statistics, weights of labels and series."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from fastgru.errors import ArgumentError
from fastgru_recipes import SequenceClassifier
from fastgru_recipes.classify import Classify, Labelled, weights
from fastgru_recipes.classify.front import Front, fitting_stride, strides
from fastgru_recipes.classify.network import PARTS, largest_step, mean_step
from fastgru_recipes.classify.statistics import learned_scales, scaled_statistics, scaled_steps, statistics
from fastgru_recipes.errors import DataError
from fastgru_recipes.training.train import train

SERIES = Labelled([np.full((5, 1), float(sign)) + np.arange(5)[:, None] for sign in [1, -1] * 10], ["up", "down"] * 10)


@pytest.mark.parametrize(("steps", "stride", "each"), [(24, 1, [1, 1, 1]), (150, 4, [2, 2, 1]), (2000, 32, [4, 4, 2])])
def test_some_tens_of_steps_are_left(steps, stride, each):
    assert fitting_stride(steps) == stride
    assert strides(stride) == each
    left, lengths = Front(2, 4, stride)(torch.randn(3, steps, 2), torch.tensor([steps, steps // 2, 1]))
    assert left.shape == (3, int(lengths[0]), 4)
    assert lengths.tolist() == [-(-steps // stride), -(-(steps // 2) // stride), 1]
    assert int(lengths[0]) <= 68


@pytest.mark.parametrize("training", [True, False])
def test_padding_is_not_read(training):
    torch.manual_seed(0)
    front = Front(1, 8, 4).train(training)
    steps, lengths = torch.randn(2, 40, 1), torch.tensor([40, 21])
    steps[1, 21:] = 0
    padded = torch.cat([steps, torch.zeros(2, 30, 1)], 1)
    short, long = front(steps, lengths)[0], front(padded, lengths)[0]
    torch.testing.assert_close(long[:, : short.shape[1]], short)
    assert not long[:, short.shape[1] :].any()
    assert not short[1, 6:].any()  # 21 steps are six of four


def test_one_step_alone_is_learned_from():
    front = Front(1, 4, 1).train()
    left, _ = front(torch.ones(1, 1, 1), torch.tensor([1]))
    assert left.isfinite().all()


def test_means_and_maxima_are_of_the_steps_and_not_of_the_padding():
    steps = torch.tensor([[[-1.0], [-3.0], [0.0]], [[1.0], [2.0], [6.0]]])
    lengths = torch.tensor([2, 3])
    assert mean_step(steps, lengths).tolist() == [[-2.0], [3.0]]
    assert largest_step(steps, lengths).tolist() == [[-1.0], [6.0]]


def test_statistics_by_hand():
    series = np.array([[0.0, 1.0], [2.0, 1.0]])
    found = statistics(series).reshape(8, 2)
    expected = [1, 1, 0, 2, 2, 0.5, 1, 1.5]  # mean, deviation, smallest, largest, slope, quartiles
    assert found[:, 0].tolist() == expected
    assert found[:, 1].tolist() == [1, 0, 1, 1, 0, 1, 1, 1]
    assert statistics(series[:1]).reshape(8, 2)[4].tolist() == [0, 0]


def test_a_series_is_read_on_two_scales():
    moments = learned_scales([np.array([[0.0], [4.0]]), np.array([[4.0], [8.0]])])
    both = scaled_steps(np.array([[6.0], [10.0]]), moments, "both")
    np.testing.assert_allclose(both, [[2 / 8**0.5, -1], [6 / 8**0.5, 1]])
    assert scaled_steps(np.array([[6.0], [10.0]]), moments, "series").tolist() == [[-1.0], [1.0]]


def test_statistics_are_scaled_by_deviation_and_by_rank():
    scales = learned_scales([np.full((2, 1), value) for value in (0.0, 1.0, 1000.0)])["statistics"]
    deviations, ranks = scaled_statistics(np.full((3, 1), 1.0), scales).reshape(2, 8)
    assert deviations[0] == pytest.approx(-0.706, abs=1e-3)  # nearly that of 0
    assert ranks[0] == pytest.approx(0.0)  # the middle one of three
    assert scaled_statistics(np.full((3, 1), 1e9), scales).reshape(2, 8).max(1).tolist() == [8.0, 1.0]


@pytest.mark.parametrize("pooling", ["auto", *PARTS])
@pytest.mark.parametrize("filters", [0, 4])
def test_each_pooling_trains_every_weight(pooling, filters):
    recipe = Classify(hidden=4, filters=filters, pooling=pooling, dropout=0.0)
    state = recipe.learn_state(SERIES)
    model = recipe.build(state)
    vectors = 3 if pooling == "auto" else len(PARTS[pooling])
    assert model.head.in_features == 8 * vectors + 2 * filters + 16
    recipe.loss(model, recipe.collate(recipe.examples(SERIES, state))).total.backward()
    assert all(weight.grad is not None and weight.grad.any() for weight in model.parameters())


def test_texts_have_no_convolutions():
    recipe = Classify(hidden=4, embedding=4)
    model = recipe.build(recipe.learn_state(Labelled(["ab", "b"], ["x", "y"])))
    assert model.front is None
    assert model.head.in_features == 8


@pytest.mark.parametrize("stride", [3, 12])
def test_a_stride_is_a_power_of_two(stride):
    with pytest.raises(ArgumentError, match=f"stride={stride} is not a power of two"):
        Classify(stride=stride)


# ---- weights


def test_balanced_weights_are_those_of_scikit_learn():
    data = Labelled(["a"] * 8, ["x"] * 6 + ["y"] * 2)
    assert weights.of_labels("balanced", data, ["x", "y"]) == pytest.approx([8 / 12, 8 / 4])
    given = weights.of_labels(weights.as_option({"y": 3}), data, ["x", "y"])
    assert given == pytest.approx([1 / 1.5, 3 / 1.5])  # (6 * 1 + 2 * 3) / 8 is 1.5


def test_the_loss_counts_labels_and_series_by_their_weights():
    recipe = Classify(hidden=4, dropout=0.0, class_weight={"up": 3.0})
    data = Labelled(SERIES.sequences, SERIES.labels, weights=[2.0, *[1.0] * 19])
    state = recipe.learn_state(data)
    examples = recipe.examples(data, state)
    assert [example.weight for example in examples[:3]] == [3.0, 0.5, 1.5]
    model = recipe.build(state).eval()
    with torch.no_grad():
        each = [recipe.loss(model, recipe.collate([example._replace(weight=1.0)])).total for example in examples]
        total, terms = recipe.loss(model, recipe.collate(examples))
    expected = sum(example.weight * float(loss) for example, loss in zip(examples, each, strict=True))
    assert float(total) == pytest.approx(expected, rel=1e-5)
    assert terms == 20
    assert recipe.collate(examples)["statistics"].shape == (20, 16)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("even", "class_weight='even' is neither balanced nor labels .* as in class_weight={'cat': 2.0}"),
        ([1.0, 2.0], "is neither balanced nor"),
        ({"up": 0}, "class_weight gives label 'up' the weight 0. Give a positive number"),
        ('{"up": "much"}', "gives label 'up' the weight 'much'"),
    ],
)
def test_bad_weights_of_labels_are_explained(given, words):
    with pytest.raises(ArgumentError, match=words):
        Classify(class_weight=given)


def test_a_weight_for_a_label_that_is_not_there_is_explained():
    with pytest.raises(DataError, match="class_weight names label 'left', which is not in the data: down, up"):
        train(Classify(class_weight={"left": 2.0}), SERIES)


def test_weights_of_labels_are_stored_as_text():
    assert json.loads(Classify(class_weight={1: 2}).class_weight) == {"1": 2.0}
    assert Classify(class_weight='{"1": 2}') == Classify(class_weight={1: 2})


def test_series_without_weight_are_not_learned():
    X, wrong = [*SERIES.sequences, *SERIES.sequences], [*SERIES.labels, *SERIES.labels[1:], SERIES.labels[0]]
    classifier = SequenceClassifier(hidden=4, filters=4, epochs=3, batch=8, rate=0.03, validation=0.0)
    classifier.fit(X, wrong, sample_weight=[0.0] * 20 + [1.0] * 20)
    assert classifier.score(SERIES.sequences, SERIES.labels) == 0.0


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([1.0], r"sample_weight has shape \(1,\); 20 sequences need \(20,\)"),
        ([-1.0] * 20, "weight 1 of sample_weight is -1.0"),
        ([0.0] * 20, "all weights of sample_weight are zero"),
        (["a"] * 20, "sample_weight does not consist of numbers"),
    ],
)
def test_bad_weights_of_series_are_explained(given, words):
    with pytest.raises(DataError, match=words):
        SequenceClassifier().fit(SERIES.sequences, SERIES.labels, sample_weight=given)
