"""Frozen layers with weights of 8 bits: what a step computes, the same bits however calls are divided, odd values."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils.rnn import pack_sequence, unpack_sequence
from torch.utils.flop_counter import FlopCounterMode

import fastgru
import quantized_reference
from fastgru.errors import ArgumentError, FrozenError
from fastgru.levels import use_level
from strategies import batches, laid_out, layouts, lengths, long_lengths, seeds, sizes, steps
from tolerance import FLOOR_UNITS, QUANTIZED_OUTPUT, error, size_of

LEVELS = [level.name for level in fastgru.cpu_info() if level.available]
every_level = pytest.mark.parametrize("level", LEVELS)
# Inputs that are quantized, and inputs that are too narrow for that.
widths = st.one_of(sizes, st.sampled_from((31, 32, 33, 63, 64, 65, 100)))
hiddens = st.sampled_from((17, 24, 31, 32, 33, 47, 48, 49, 65))
# Small layers are refused unless their input is wide.
shapes = st.one_of(st.tuples(widths, hiddens), st.tuples(st.sampled_from((64, 65, 100)), sizes))
wide = st.sampled_from((33, 64, 128, 160, 256))


def quietly(layer, *args, **kwargs):
    with torch.no_grad():
        return layer(*args, **kwargs)


def weights_of(layer):
    bias = np.zeros(3 * layer.hidden_size, np.float32)
    found = [parameter.detach().numpy() for parameter in layer.parameters()]
    return found if layer.bias else [*found, bias, bias]


def assert_is_step(got, x, h, layer):
    """One output of the core against the reference's step from the same input and state."""
    want = torch.from_numpy(quantized_reference.step(x.numpy(), h.numpy(), weights_of(layer)))
    assert error(got, want) <= FLOOR_UNITS * torch.finfo(torch.float32).eps * size_of(want)


@every_level
@settings(max_examples=30)
@given(shapes, steps, batches, st.booleans(), st.floats(0.01, 3), st.floats(0, 4), seeds)
def test_every_step_is_the_one_of_the_reference(level, shape, count, batch, bias, input_size, state_size, seed):
    torch.manual_seed(seed)
    layer = fastgru.GRU(*shape, bias=bias)
    x, h_0 = torch.randn(count, batch, shape[0]) * input_size, torch.randn(1, batch, shape[1]) * state_size
    with use_level(level):
        output, h_n = quietly(layer.freeze("int8"), x, h_0)
    for t, before in enumerate([h_0[0], *output[:-1]]):
        assert_is_step(output[t], x[t], before, layer)
    assert torch.equal(h_n[0], output[-1])


@settings(max_examples=50)
@given(widths, hiddens, st.integers(1, 3), st.booleans(), st.booleans(), steps, batches, seeds)
def test_all_levels_with_fused_sums_give_the_same_bits(width, hidden, layers, bias, both, count, batch, seed):
    torch.manual_seed(seed)
    layer = fastgru.GRU(width, hidden, layers, bias, bidirectional=both)
    x, found = torch.randn(count, batch, width), []
    for level in LEVELS:
        if level != "baseline":
            with use_level(level):
                found.append(quietly(layer.freeze("int8"), x)[0])
    assert all(torch.equal(found[0], other) for other in found[1:])


@every_level
@settings(max_examples=20)
@given(widths, wide, steps, batches, st.booleans(), seeds)
def test_threads_and_neighbours_do_not_matter(level, width, hidden, count, batch, both, seed):
    torch.manual_seed(seed)
    layer = fastgru.GRU(width, hidden, 2, bidirectional=both)
    x, h_0 = torch.randn(4 * count, batch, width), torch.randn(4 if both else 2, batch, hidden)
    with use_level(level):
        layer.freeze("int8")
        output, h_n = quietly(layer, x, h_0)
        for threads in (1, 3, 4):
            torch.set_num_threads(threads)
            found = quietly(layer, x, h_0)
            torch.set_num_threads(2)
            assert torch.equal(found[0], output)
            assert torch.equal(found[1], h_n)
        for row in {0, batch - 1}:
            alone, last = quietly(layer, x[:, row : row + 1], h_0[:, row : row + 1])
            assert torch.equal(alone[:, 0], output[:, row])
            assert torch.equal(last[:, 0], h_n[:, row])


@every_level
@settings(max_examples=20)
@given(widths, st.one_of(hiddens, wide), batches, st.lists(st.integers(1, 7), min_size=1, max_size=6), seeds)
def test_cuts_in_time_do_not_matter(level, width, hidden, batch, pieces, seed):
    torch.manual_seed(seed)
    layer = fastgru.GRU(width, hidden, 2)
    x = torch.randn(sum(pieces), batch, width)
    with use_level(level):
        layer.freeze("int8")
        whole, last = quietly(layer, x)
        for cuts in (pieces, [1] * len(x)):
            state, outputs = None, []
            for piece in x.split(cuts):
                output, state = quietly(layer, piece, state)
                outputs.append(output)
            assert torch.equal(torch.cat(outputs), whole)
            assert torch.equal(state, last)
        stepper = layer.stepper(batch)
        assert torch.equal(torch.stack([stepper(step).clone() for step in x]), whole)


@every_level
@settings(max_examples=20)
@given(widths, st.one_of(hiddens, wide), st.one_of(lengths, long_lengths), st.booleans(), seeds)
def test_a_ragged_batch_gives_what_each_sequence_gives_alone(level, width, hidden, own, both, seed):
    torch.manual_seed(seed)
    layer = fastgru.GRU(width, hidden, 2, bidirectional=both, batch_first=True)
    rows = [torch.randn(n, width) for n in own]
    padded = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=float("nan"))
    with use_level(level):
        layer.freeze("int8")
        packed, h_n = quietly(layer, pack_sequence(rows, enforce_sorted=False))
        output, last = quietly(layer, padded, lengths=own)
        assert torch.equal(last, h_n)
        for i, (row, part) in enumerate(zip(rows, unpack_sequence(packed), strict=True)):
            alone, own_last = quietly(layer, row)
            assert torch.equal(alone, part)
            assert torch.equal(alone, output[i, : own[i]])
            assert torch.equal(own_last, h_n[:, i])


@every_level
@settings(max_examples=20)
@given(widths, hiddens, st.integers(2, 10), st.booleans(), seeds)
def test_resets_give_what_the_pieces_give(level, width, hidden, count, both, seed):
    torch.manual_seed(seed)
    layer, x = fastgru.GRU(width, hidden, bidirectional=both), torch.randn(count, 3, width)
    cut, state = count // 2, 3 * torch.randn(2 if both else 1, hidden)
    reset = torch.zeros(count, 3, dtype=torch.bool)
    reset[cut, 1] = True
    with use_level(level):
        output, _ = quietly(layer.freeze("int8"), x, reset=reset, reset_state=state)
        start = state[:1, None] if not both else torch.stack([torch.zeros(hidden), state[1]])[:, None]
        before, _ = quietly(layer, x[:cut, 1:2], start if both else None)
        after, _ = quietly(
            layer, x[cut:, 1:2], torch.stack([state[0], torch.zeros(hidden)])[:, None] if both else start
        )
        assert torch.equal(output[:, 1:2], torch.cat([before, after]))
        assert torch.equal(output[:, :1], quietly(layer, x[:, :1])[0])


@settings(max_examples=30)
@given(widths, hiddens, st.integers(1, 3), st.booleans(), steps, batches, seeds)
def test_results_are_near_those_of_the_parameters(width, hidden, layers, both, count, batch, seed):
    torch.manual_seed(seed)
    layer = fastgru.GRU(width, hidden, layers, bidirectional=both)
    x = torch.randn(count, batch, width)
    plain = quietly(layer, x)[0]
    assert error(quietly(layer.freeze("int8"), x)[0], plain) <= QUANTIZED_OUTPUT


@given(layouts, seeds)
def test_the_layout_of_an_argument_does_not_matter(layout, seed):
    torch.manual_seed(seed)
    layer = fastgru.GRU(40, 33).freeze("int8")
    x, h_0 = laid_out(torch.randn(5, 3, 40), layout), laid_out(torch.randn(1, 3, 33), layout)
    want = quietly(layer, x.contiguous(), h_0.contiguous())
    assert all(torch.equal(a, b) for a, b in zip(quietly(layer, x, h_0), want, strict=True))


def test_a_followed_call_takes_the_rounded_weights():
    layer, x = fastgru.GRU(40, 33, 2), torch.randn(5, 3, 40)
    rounded = copy.deepcopy(layer)
    with torch.no_grad():
        for name, parameter in rounded.named_parameters():
            if name.startswith("weight"):
                integers, scale = quantized_reference.quantized_weight(parameter.numpy())
                parameter.copy_(torch.from_numpy(integers * scale[:, None]))
    layer.freeze("int8")
    want = quietly(rounded, x)[0]
    with FlopCounterMode(display=False):
        assert torch.equal(quietly(layer, x)[0], want)
    assert torch.equal(quietly(torch.compile(layer, backend="eager"), x)[0], want)
    assert error(quietly(layer, x)[0], want) <= QUANTIZED_OUTPUT
    output, _ = layer(x)  # takes gradients
    assert torch.equal(output, layer.unfreeze()(x)[0])


@every_level
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("width", [3, 40])
def test_what_is_not_finite_spoils_its_own_row_alone(level, width, value):
    layer, x = fastgru.GRU(width, 33), torch.randn(6, 4, width)
    h_0 = torch.randn(1, 4, 33)
    with use_level(level):
        layer.freeze("int8")
        clean = quietly(layer, x, h_0)[0]
        x[2, 1, 0] = value
        h_0[0, 3, 5] = value
        output = quietly(layer, x, h_0)[0]
    assert torch.equal(output[:, [0, 2]], clean[:, [0, 2]])
    assert torch.equal(output[:2, 1], clean[:2, 1])
    if width == 40:  # a narrow input is not quantized: gates saturate as with other weights
        assert output[2:, 1].isnan().all()
    assert output[:, 3].isnan().all()


@every_level
@pytest.mark.parametrize("scale", [0.0, 1e-38, 1e-20, 1e20, 1e30])
def test_states_and_inputs_of_any_size(level, scale):
    layer, x, h_0 = fastgru.GRU(40, 33), torch.randn(1, 4, 40) * scale, torch.randn(1, 4, 33) * scale
    with use_level(level):
        assert_is_step(quietly(layer.freeze("int8"), x, h_0)[0][0], x[0], h_0[0], layer)


@every_level
@pytest.mark.parametrize("scale", [0.0, 1e-42, 1e-20, 1e20, 1e35])
def test_weights_of_any_size(level, scale):
    layer, x, h_0 = fastgru.GRU(40, 33), torch.randn(1, 4, 40), torch.randn(1, 4, 33)
    with torch.no_grad():
        layer.weight_ih_l0[:20] *= scale
        layer.weight_hh_l0[40:60] *= scale
    with use_level(level):
        assert_is_step(quietly(layer.freeze("int8"), x, h_0)[0][0], x[0], h_0[0], layer)


def test_what_cannot_be_stored_is_refused():
    with pytest.raises(FrozenError, match="float64 and not torch"):
        fastgru.GRU(3, 4, dtype=torch.float64).freeze("int8")
    with pytest.raises(ArgumentError, match="return_all_layers"):
        fastgru.GRU(3, 40, return_all_layers=True).freeze("int8")
    for small in ((3, 16), (63, 1)):
        with pytest.raises(FrozenError, match="at least 64 inputs or 17 hidden units"):
            fastgru.GRU(*small).freeze("int8")
    report = fastgru.freeze(nn.Sequential(fastgru.GRU(3, 4), fastgru.GRU(3, 40)), weights="int8")
    assert report.frozen == ("1",)
    assert "takes longer" in report.skipped["0"]
    with pytest.raises(FrozenError, match=r"weight_ih_l0 has rows of 133145 values.* fit 32 bits"):
        fastgru.GRU(133_145, 2).freeze("int8")
    layer = fastgru.GRU(40, 20)
    with torch.no_grad():
        layer.weight_ih_l0[1, 1] = float("nan")
    with pytest.raises(FrozenError, match="weight_ih_l0 has a NaN"):
        layer.freeze("int8")


def test_the_widest_sums_fit():
    layer, x = fastgru.GRU(133_144, 1), torch.ones(1, 1, 133_144)
    with torch.no_grad():
        layer.weight_ih_l0.fill_(1e-5)
        layer.freeze("int8")
        want = fastgru.functional.gru(x, None, tuple(layer.parameters()))[0]
        torch.testing.assert_close(layer(x)[0], want, rtol=1e-3, atol=1e-3)


def test_what_is_stored_is_told():
    layer, x = fastgru.GRU(40, 20).freeze("int8"), torch.randn(2, 1, 40)
    assert "weights=int8" in repr(layer)
    assert fastgru.explain(layer, x).weights == "int8"
    with torch.no_grad():
        layer.weight_hh_l0.add_(1)
    with pytest.raises(FrozenError, match="unfreeze"):
        quietly(layer, x)
