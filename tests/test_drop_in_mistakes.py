"""Mistakes in the use of a layer: ours raises like torch's."""

from __future__ import annotations

import pytest
import torch

import fastgru
from layer_pairs import KINDS, pair

NAMES = {
    "GRU": ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"),
    "GRUCell": ("weight_ih", "weight_hh", "bias_ih", "bias_hh"),
}
INPUTS = {"GRU": (5, 3, 4), "GRUCell": (3, 4)}
OTHER_TYPES = (torch.int64, torch.int32, torch.uint8, torch.bool, torch.float64, torch.float16, torch.complex64)
every_kind = pytest.mark.parametrize("kind", KINDS)
with_and_without_gradients = pytest.mark.parametrize("trains", [False, True])


def error_of(call):
    """What the call raises; None where it works."""
    try:
        call()
    except Exception as error:
        return error
    return None


def assert_raise_alike(ours, stock):
    """Whoever catches what torch raises catches what we raise."""
    mine, torchs = error_of(ours), error_of(stock)
    assert (mine is None) == (torchs is None), f"ours: {mine!r}, torch's: {torchs!r}"
    assert torchs is None or isinstance(mine, type(torchs)), f"ours: {mine!r}, torch's: {torchs!r}"


@every_kind
@with_and_without_gradients
@pytest.mark.parametrize("index", range(4))
def test_a_parameter_that_is_none(kind, trains, index):
    ours, stock = pair(kind, 4, 8)
    x, name = torch.randn(INPUTS[kind]), NAMES[kind][index]
    for layer in (ours, stock):
        setattr(layer, name, None)
    with torch.set_grad_enabled(trains):
        assert_raise_alike(lambda: ours(x), lambda: stock(x))


@with_and_without_gradients
@pytest.mark.parametrize("name", NAMES["GRU"])
def test_the_error_names_the_parameter(trains, name):
    layer = fastgru.GRU(4, 8)
    layer.register_parameter(name, None)
    with torch.set_grad_enabled(trains), pytest.raises(fastgru.errors.InputTypeError, match=name) as caught:
        layer(torch.randn(INPUTS["GRU"]))
    assert "expected Tensor as element" in str(caught.value)
    assert "bias=False" in str(caught.value)


@every_kind
@with_and_without_gradients
@pytest.mark.parametrize("dtype", OTHER_TYPES, ids=str)
@pytest.mark.parametrize("part", ["input", "state", "weight", "bias"])
def test_another_type(kind, trains, dtype, part):
    ours, stock = pair(kind, 4, 8)
    x = torch.randn(INPUTS[kind])
    state = torch.zeros(1, 3, 8) if kind == "GRU" else torch.zeros(3, 8)
    if part in ("weight", "bias"):
        name = NAMES[kind][0 if part == "weight" else 2]
        for layer in (ours, stock):
            other = getattr(layer, name).detach().to(dtype)
            setattr(layer, name, torch.nn.Parameter(other, requires_grad=False))
    x, state = (x.to(dtype) if part == "input" else x), (state.to(dtype) if part == "state" else state)
    with torch.set_grad_enabled(trains):
        assert_raise_alike(lambda: ours(x, state), lambda: stock(x, state))
        assert_raise_alike(lambda: ours(x), lambda: stock(x))


@pytest.mark.filterwarnings("ignore:Casting complex values")
@every_kind
@pytest.mark.parametrize("value", [None, 3.0, "text", [1, 2], (torch.zeros(3, 4),)], ids=str)
def test_no_tensor(kind, value):
    ours, stock = pair(kind, 4, 8)
    x = torch.randn(INPUTS[kind])
    assert_raise_alike(lambda: ours(value), lambda: stock(value))
    if value is not None:
        assert_raise_alike(lambda: ours(x, value), lambda: stock(x, value))


@pytest.mark.parametrize("rows", [1, 2, 3, 17])
@pytest.mark.parametrize("lengths", [[5, 3], [3, 5]], ids=str)
@pytest.mark.parametrize("enforces", [False, True])
def test_more_states_than_a_packed_batch_has_rows(rows, lengths, enforces):
    ours, stock = pair("GRU", 4, 8)
    if enforces:
        lengths = sorted(lengths, reverse=True)
    packed = torch.nn.utils.rnn.pack_padded_sequence(torch.randn(5, 2, 4), lengths, enforce_sorted=enforces)
    state = torch.randn(1, rows, 8)
    assert_raise_alike(lambda: ours(packed, state), lambda: stock(packed, state))
    if error_of(lambda: stock(packed, state)) is None:
        torch.testing.assert_close(ours(packed, state)[1], stock(packed, state)[1])


@pytest.mark.parametrize("value", [torch.zeros(24, 4).numpy(), 1.5], ids=["array", "number"])
def test_an_attribute_that_is_no_tensor_in_the_place_of_a_weight(value):
    ours, stock = pair("GRU", 4, 8)
    state = stock.state_dict()
    for layer in (ours, stock):
        del layer.weight_ih_l0
        layer.weight_ih_l0 = value
    assert_raise_alike(ours.flatten_parameters, stock.flatten_parameters)
    assert_raise_alike(lambda: ours.load_state_dict(state), lambda: stock.load_state_dict(state))


def test_a_cells_error_has_torchs_words():
    ours, stock = pair("GRUCell", 4, 8)
    x = torch.ones(3, 4, dtype=torch.int64)
    assert str(error_of(lambda: stock(x))) in str(error_of(lambda: ours(x)))
