"""The reference against torch and finite differences."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from fastgru import GRUSpec, reference
from fastgru.backends.reference import OPERATIONS
from strategies import lengths, seeds, sizes, steps
from tolerance import assert_agrees

_OPTIONS = sizes, st.integers(1, 9), st.integers(1, 3), st.booleans(), st.booleans()
specs = st.builds(GRUSpec, *_OPTIONS, st.just(True))  # what torch's layer computes
all_specs = st.builds(GRUSpec, *_OPTIONS, st.booleans())


def stock_layer(spec: GRUSpec) -> nn.GRU:
    return nn.GRU(
        spec.input_size,
        spec.hidden_size,
        spec.num_layers,
        spec.bias,
        bidirectional=spec.bidirectional,
        dtype=torch.float64,
    )


def states(spec: GRUSpec, batch: int) -> torch.Tensor:
    cells = spec.num_layers * spec.num_directions
    return torch.randn(cells, batch, spec.hidden_size, dtype=torch.float64)


@settings(max_examples=60)
@given(specs, steps, st.integers(1, 5), st.booleans(), seeds)
def test_equals_torch_in_float64(spec, count, batch, with_state, seed):
    torch.manual_seed(seed)
    layer, x = stock_layer(spec), torch.randn(count, batch, spec.input_size, dtype=torch.float64)
    h_0 = states(spec, batch) if with_state else None
    output, h_n = reference.run(OPERATIONS, spec, x, h_0, list(layer.parameters()))
    want, want_h_n = layer(x, h_0)
    assert_agrees({"output": output, "h_n": h_n}, {"output": want, "h_n": want_h_n})


@settings(max_examples=60)
@given(specs, lengths, seeds)
def test_ragged_equals_torchs_packed(spec, own, seed):
    torch.manual_seed(seed)
    layer, x = stock_layer(spec), torch.randn(max(own), len(own), spec.input_size, dtype=torch.float64)
    h_0 = states(spec, len(own))
    output, h_n = reference.run(OPERATIONS, spec, x, h_0, list(layer.parameters()), torch.tensor(own))
    want, want_h_n = layer(pack_padded_sequence(x, own, enforce_sorted=False), h_0)
    assert_agrees({"output": output, "h_n": h_n}, {"output": pad_packed_sequence(want)[0], "h_n": want_h_n})


@settings(max_examples=60)
@given(specs, lengths, seeds)
def test_a_reset_is_a_new_sequence(spec, own, seed):
    torch.manual_seed(seed)
    layer, x = stock_layer(spec), torch.randn(max(own), len(own), spec.input_size, dtype=torch.float64)
    h_0, anew = states(spec, len(own)), states(spec, len(own))
    marks = torch.rand(max(own), len(own)) < 0.3
    weights = list(layer.parameters())
    output, h_n = reference.run(OPERATIONS, spec, x, h_0, weights, torch.tensor(own), marks, anew)
    for row, length in enumerate(own):
        borders = sorted({0, *(t for t in range(length) if marks[t, row]), length})
        for start, end in itertools.pairwise(borders):
            first = anew[:, row].clone()
            forward, backward = slice(0, None, spec.num_directions), slice(1, None, 2)
            if start == 0 and not marks[0, row]:
                first[forward] = h_0[forward, row]
            if end == length and spec.bidirectional:
                first[backward] = h_0[backward, row]
            want, last = layer(x[start:end, row], first)
            assert_agrees({"": output[start:end, row]}, {"": want})
            if end == length:
                assert_agrees({"": h_n[forward, row]}, {"": last[forward]})
            if start == 0 and spec.bidirectional:
                assert_agrees({"": h_n[backward, row]}, {"": last[backward]})


@settings(max_examples=40)
@given(all_specs, lengths, seeds)
def test_numpy_gives_what_torch_gives(spec, own, seed):
    torch.manual_seed(seed)
    weights = [torch.randn(shape, dtype=torch.float64) for shape in spec.parameter_shapes]
    x = torch.randn(max(own), len(own), spec.input_size, dtype=torch.float64)
    sequences = torch.tensor(own), torch.rand(x.shape[:2]) < 0.3, states(spec, len(own))
    h_0 = states(spec, len(own))
    want = reference.run(OPERATIONS, spec, x, h_0, weights, *sequences)
    arrays = [weight.numpy() for weight in weights]
    numpy = reference.NumPyOperations()
    got = reference.run(numpy, spec, x.numpy(), h_0.numpy(), arrays, *(t.numpy() for t in sequences))
    for mine, expected in zip(got, want, strict=True):
        assert_agrees({"": torch.from_numpy(mine)}, {"": expected})


def test_numpy_sigmoid_does_not_overflow():
    x = np.array([-1e30, -800.0, -0.0, 0.0, 800.0, np.inf, -np.inf], dtype=np.float32)
    got = reference.NumPyOperations.sigmoid(x)
    assert got.dtype == np.float32
    assert got.tolist() == [0, 0, 0.5, 0.5, 1, 1, 0]


@pytest.mark.parametrize(
    "spec", [GRUSpec(2, 3), pytest.param(GRUSpec(2, 2, 2, True, True), marks=pytest.mark.slow), GRUSpec(3, 2, 2, False)]
)
@pytest.mark.parametrize("own", [None, [2, 4, 0]])
@pytest.mark.parametrize("resets", [False, True])
@pytest.mark.parametrize("reset_after", [False, True])
def test_derivatives_are_those_of_finite_differences(spec, own, resets, reset_after):
    spec = spec._replace(reset_after=reset_after)
    x, h_0, anew = torch.randn(4, 3, spec.input_size, dtype=torch.float64), states(spec, 3), states(spec, 3)
    weights = [torch.randn(shape, dtype=torch.float64) * 0.5 for shape in spec.parameter_shapes]
    arguments = [t.requires_grad_() for t in (x, h_0, anew, *weights)]
    marks = torch.rand(4, 3) < 0.4 if resets else None
    sequences = None if own is None else torch.tensor(own), marks

    def run(x, h_0, anew, *weights):
        output, h_n = reference.run(OPERATIONS, spec, x, h_0, weights, *sequences, anew)
        return output, h_n + 0 * anew.sum()  # without resets, nothing else depends on it

    assert torch.autograd.gradcheck(run, arguments, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(run, arguments)


@settings(max_examples=30)
@given(all_specs, seeds)
def test_states_stay_within_one_or_the_first_state(spec, seed):
    torch.manual_seed(seed)
    weights = [3 * torch.randn(shape, dtype=torch.float64) for shape in spec.parameter_shapes]
    h_0 = 2 * states(spec, 2)
    _, h_n = reference.run(OPERATIONS, spec, torch.randn(7, 2, spec.input_size).double(), h_0, weights)
    assert (h_n.abs() <= h_0.abs().clamp_min(1) + 1e-12).all()


def test_an_open_update_gate_keeps_the_state():
    spec = GRUSpec(2, 3)
    weights = [torch.randn(shape, dtype=torch.float64) for shape in spec.parameter_shapes]
    weights[2][3:6] = 1e4  # the rows of z
    h_0 = states(spec, 4)
    _, h_n = reference.run(OPERATIONS, spec, torch.randn(5, 4, 2).double(), h_0, weights)
    assert torch.equal(h_n, h_0)
