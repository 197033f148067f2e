"""The other published convention of the update gate: proofs, and the converter."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import fastgru
from fastgru.convert.gate_order import flip_z, reorder_gates


def z_takes_new(x, h, weight_ih, weight_hh, bias_ih, bias_hh):
    """h' = (1 - z) h + z n, written out on its own: the form that many texts print."""
    size = h.shape[-1]
    a, c = x @ weight_ih.T + bias_ih, h @ weight_hh.T + bias_hh
    r = torch.sigmoid(a[:, :size] + c[:, :size])
    z = torch.sigmoid(a[:, size : 2 * size] + c[:, size : 2 * size])
    n = torch.tanh(a[:, 2 * size :] + r * c[:, 2 * size :])
    return (1 - z) * h + z * n


@pytest.fixture
def layer():
    return fastgru.GRU(3, 5, dtype=torch.float64)


@pytest.fixture
def x():
    return torch.randn(6, 2, 3, dtype=torch.float64)


def run_other(x, weights):
    h = torch.zeros(x.shape[1], weights[1].shape[1], dtype=torch.float64)
    outputs = []
    for step in x:
        h = z_takes_new(step, h, *weights)
        outputs.append(h)
    return torch.stack(outputs)


def test_both_conventions_are_one_layer_after_the_sign_of_z(layer, x):
    flipped = [flip_z(weight.detach()) for weight in layer.parameters()]
    torch.testing.assert_close(run_other(x, flipped), layer(x)[0].detach(), rtol=0, atol=1e-14)


def test_without_the_flip_they_differ(layer, x):
    other = run_other(x, [weight.detach() for weight in layer.parameters()])
    assert (other - layer(x)[0]).abs().max() > 0.01


def test_one_bias_for_each_gate_is_torchs_layer_with_bias_hh_zero(layer, x):
    weight_ih, weight_hh, bias = torch.randn(15, 3).double(), torch.randn(15, 5).double(), torch.randn(15).double()
    state = {"weight_ih_l0": weight_ih, "weight_hh_l0": weight_hh, "bias_ih_l0": bias}
    layer.load_state_dict(fastgru.convert.read("torch", state, convention="z_takes_new"))
    want = run_other(x, [weight_ih, weight_hh, bias, torch.zeros(15).double()])
    torch.testing.assert_close(layer(x)[0].detach(), want, rtol=0, atol=1e-14)


@pytest.mark.parametrize("options", [{}, {"num_layers": 2, "bidirectional": True}, {"bias": False}])
@pytest.mark.parametrize("convention", ["z_keeps_old", "z_takes_new"])
def test_there_and_back_is_exact(options, convention):
    state = fastgru.GRU(3, 5, **options).state_dict()
    there = fastgru.convert.write("torch", state, convention=convention)
    back = fastgru.convert.read("torch", there, convention=convention)
    assert list(back) == list(state)
    assert all(torch.equal(back[name], value) for name, value in state.items())
    differs = any(not torch.equal(there[name], value) for name, value in state.items())
    assert differs == (convention == "z_takes_new")


@pytest.mark.parametrize("convention", ["z_keeps_old", "z_takes_new"])
@pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy])
def test_every_value_survives_to_the_bit(convention, kind):
    values = np.array([-0.0, np.inf, np.nan, 0.0, -np.inf, 1e-45], dtype=np.float32)
    state = {"bias_ih_l0": kind(values.copy())}
    there = fastgru.convert.read("torch", state, convention=convention)
    back = fastgru.convert.write("torch", there, convention=convention)
    assert np.asarray(back["bias_ih_l0"]).tobytes() == values.tobytes()
    assert np.asarray(there["bias_hh_l0"]).tobytes() == np.zeros_like(values).tobytes()


def test_numpy_arrays_stay_numpy_and_inputs_stay_as_they_are():
    weight = np.arange(6, dtype=np.float32).reshape(6, 1)
    state = fastgru.convert.read("torch", {"weight_hh_l0": weight}, convention="z_takes_new")
    assert isinstance(state["weight_hh_l0"], np.ndarray)
    assert state["weight_hh_l0"].dtype == np.float32
    assert state["weight_hh_l0"].ravel().tolist() == [0, 1, -2, -3, 4, 5]
    assert weight.ravel().tolist() == [0, 1, 2, 3, 4, 5]


def test_gates_are_reordered_by_name():
    rows = np.array([[1], [2], [3], [4], [5], [6]])
    assert reorder_gates(rows, "zrn", "rzn").ravel().tolist() == [3, 4, 1, 2, 5, 6]
    assert reorder_gates(reorder_gates(rows, "nrz", "rzn"), "rzn", "nrz").tolist() == rows.tolist()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: fastgru.convert.read("keras9", {}), "no converter for 'keras9'. Known ones: torch"),
        (lambda: fastgru.convert.read("torch", {}, convention="z"), "no convention 'z'. Expected one of: z_keeps_old"),
        (lambda: fastgru.convert.read("torch", {"gru.weight_ih_l0": np.ones((3, 1))}), "without the prefix"),
        (lambda: fastgru.convert.read("torch", {"bias_ih_l0": np.ones(4)}), "has shape (4,). Expected (3H,)"),
        (
            lambda: fastgru.convert.read("torch", {"weight_ih_l0": np.ones(3)}),
            "has shape (3,). Expected (3H, features)",
        ),
        (lambda: fastgru.convert.read("torch", {"bias_ih_l0": np.float64(1)}), "has shape (). Expected (3H,)"),
        (lambda: fastgru.convert.read("torch", {"bias_ih_l0": [1, 2, 3]}), "is of type list. Expected a NumPy array"),
        (lambda: fastgru.convert.read("torch", {0: np.ones(3)}), "0 is not a parameter of a GRU"),
    ],
)
def test_errors_name_what_came_and_what_to_do(call, words):
    with pytest.raises(ValueError, match=r".") as caught:
        call()
    assert words in str(caught.value)
    assert isinstance(caught.value, fastgru.errors.FastGRUError)
