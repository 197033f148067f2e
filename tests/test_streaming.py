"""Steppers: the bits of the layer, one step at a time."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import fastgru
from fastgru import _core
from fastgru.levels import use_level
from strategies import batches, dtypes, laid_out, layouts, seeds, sizes, steps
from tolerance import GROWTH_BYTES

LEVELS = [level.name for level in fastgru.cpu_info() if level.available]
wide = st.one_of(sizes, st.sampled_from((128, 200)))


@pytest.mark.parametrize("level", LEVELS)
@settings(max_examples=30)
@given(dtypes, sizes, wide, st.integers(1, 3), st.booleans(), steps, batches, layouts, st.integers(1, 4), seeds)
def test_steps_have_the_bits_of_the_sequence(
    level, dtype, inputs, hidden, layers, bias, count, batch, layout, threads, seed
):
    torch.manual_seed(seed)
    torch.set_num_threads(threads)
    layer = fastgru.GRU(inputs, hidden, layers, bias, dtype=dtype)
    x, h_0 = torch.randn(count, batch, inputs, dtype=dtype), torch.randn(layers, batch, hidden, dtype=dtype)
    with use_level(level), torch.no_grad():
        for start in (None, h_0):
            if layout == "expanded":
                x = laid_out(x, layout).clone()
            output, h_n = layer(x, start)
            stepper = layer.stepper(batch, start)
            for t in range(count):
                step = laid_out(x[t].clone(), layout if layout != "expanded" else "dense")
                assert torch.equal(stepper(step), output[t])
            assert torch.equal(stepper.state, h_n)
    torch.set_num_threads(2)


def test_the_state_is_advanced_in_place_and_may_be_written():
    layer, x = fastgru.GRU(3, 5, 2), torch.randn(4, 2, 3)
    stepper = layer.stepper(2)
    state, output = stepper.state, stepper.output
    for step in x[:2]:
        assert stepper(step) is output
    assert stepper.state is state
    state[:, 0] = 0  # the first stream begins anew
    stepper(x[2])
    with torch.no_grad():
        _, middle = layer(x[:2])
        middle[:, 0] = 0
        assert torch.equal(state, layer(x[2:3], middle)[1])


def test_reset_begins_again():
    layer, x = fastgru.GRU(3, 5), torch.randn(2, 1, 3)
    stepper = layer.stepper()
    first = stepper(x[0]).clone()
    stepper(x[1])
    stepper.reset()
    assert torch.equal(stepper(x[0]), first)
    h_0 = torch.randn(1, 1, 5)
    stepper.reset(h_0)
    with torch.no_grad():
        assert torch.equal(stepper(x[1]), layer(x[1:], h_0)[0][0])


def test_later_changes_of_the_layer_are_not_seen():
    layer, x = fastgru.GRU(3, 5), torch.randn(1, 3)
    stepper = layer.stepper()
    first = stepper(x).clone()
    with torch.no_grad():
        layer.weight_ih_l0.zero_()
    stepper.reset()
    assert torch.equal(stepper(x), first)


def test_a_frozen_layer_has_steppers_too():
    layer, x = fastgru.GRU(3, 5).freeze(), torch.randn(1, 3)
    with torch.no_grad():
        assert torch.equal(layer.stepper()(x), layer(x[None])[0][0])


def test_steps_take_no_memory():
    stepper, x = fastgru.GRU(64, 64).stepper(), torch.randn(1, 64)
    stepper(x)
    before = _core.pooled_bytes()
    for _ in range(1000):
        stepper(x)
    assert _core.pooled_bytes() <= before + GROWTH_BYTES


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: fastgru.GRU(3, 5, bidirectional=True).stepper(), ValueError, "bidirectional"),
        (lambda: fastgru.GRU(3, 5, 2, dropout=0.1).stepper(), ValueError, "eval"),
        (lambda: fastgru.GRU(3, 5).stepper(0), ValueError, "batch is 0"),
        (lambda: fastgru.GRU(3, 5).stepper(1.5), ValueError, "batch is 1.5"),
        (lambda: fastgru.GRU(3, 5).half().stepper(), ValueError, "float16"),
        (lambda: fastgru.GRU(3, 5).stepper(1, torch.zeros(1, 2, 5)), RuntimeError, r"\(1, 1, 5\)"),
        (lambda: fastgru.GRU(3, 5).stepper(1, "zeros"), TypeError, "h_0"),
    ],
)
def test_what_cannot_be_made_says_why(make, error, words):
    with pytest.raises(error, match=words):
        make()


@pytest.mark.parametrize(
    ("step", "error", "words"),
    [
        (lambda: torch.randn(1, 4), RuntimeError, r"\(1, 3\)"),
        (lambda: torch.randn(2, 3), RuntimeError, r"\(1, 3\)"),
        (lambda: torch.randn(1, 1, 3), RuntimeError, "itself for sequences"),
        (lambda: torch.randn(1, 3).double(), RuntimeError, "Double"),
        (lambda: torch.randn(1, 3, device="meta"), RuntimeError, "meta"),
        (lambda: [1.0, 2.0, 3.0], TypeError, "input"),
    ],
)
def test_a_wrong_step_says_why_and_changes_nothing(step, error, words):
    stepper = fastgru.GRU(3, 5).stepper()
    stepper(torch.randn(1, 3))
    before = stepper.state.clone()
    with pytest.raises(error, match=words):
        stepper(step())
    assert torch.equal(stepper.state, before)
