"""Resets inside sequences: the bits of the pieces run one by one, and the gradients of the reference."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import fastgru
from strategies import dtypes, seeds, sizes
from tolerance import assert_agrees

own_lengths = st.one_of(st.none(), st.lists(st.integers(0, 9), min_size=3, max_size=3))


def case(width, hidden, layers, directions, batch_first, dtype, seed, steps=9):
    torch.manual_seed(seed)
    layer = fastgru.GRU(width, hidden, layers, bidirectional=directions == 2, batch_first=batch_first, dtype=dtype)
    lead, cells = ((3, steps) if batch_first else (steps, 3)), layers * directions
    x, h_0 = torch.randn(*lead, width, dtype=dtype), torch.randn(cells, 3, hidden, dtype=dtype)
    return layer, x, h_0, torch.rand(lead) < 0.3


@settings(max_examples=60)
@given(sizes, sizes, st.integers(1, 2), st.integers(1, 2), st.booleans(), dtypes, own_lengths, st.integers(0, 2), seeds)
def test_pieces_have_the_same_bits(width, hidden, layers, directions, batch_first, dtype, own, state, seed):
    layer, x, h_0, marks = case(width, hidden, layers, directions, batch_first, dtype, seed)
    cells = layers * directions
    anew = torch.randn(*((cells, hidden), (cells, 3, hidden))[state % 2], dtype=dtype) if state else None
    output, h_n = layer(x, h_0, lengths=own, reset=marks, reset_state=anew)
    per_row = (
        torch.zeros_like(h_0) if anew is None else anew.expand(3, -1, -1).transpose(0, 1) if anew.dim() == 2 else anew
    )
    if not batch_first:
        x, output, marks = x.transpose(0, 1), output.transpose(0, 1), marks.T
    alone = fastgru.GRU(width, hidden, layers, bidirectional=directions == 2, dtype=dtype)
    alone.load_state_dict(layer.state_dict())
    forward, backward = slice(0, None, directions), slice(1, None, 2)
    for row in range(3):
        length = 9 if own is None else own[row]
        borders = sorted({0, *(t for t in range(length) if marks[row, t]), length})
        if length == 0:
            assert torch.equal(h_n[:, row], h_0[:, row])
        for start, end in itertools.pairwise(borders):
            first = per_row[:, row].clone()
            if start == 0 and not marks[row, 0]:
                first[forward] = h_0[forward, row]
            if end == length and directions == 2:
                first[backward] = h_0[backward, row]
            want, last = alone(x[row, start:end], first)
            assert torch.equal(output[row, start:end], want)
            if end == length:
                assert torch.equal(h_n[forward, row], last[forward])
            if start == 0 and directions == 2:
                assert torch.equal(h_n[backward, row], last[backward])


def gradients(layer, x, h_0, marks, own, anew):
    leaves = [None if t is None else t.detach().requires_grad_() for t in (x, h_0, anew)]
    output, h_n = layer(leaves[0], leaves[1], lengths=own, reset=marks, reset_state=leaves[2])
    total = output.sin().sum() + (h_n * torch.linspace(-1, 1, h_n.numel(), dtype=h_n.dtype).view(h_n.shape)).sum()
    wanted = [t for t in (*leaves, *layer.parameters()) if t is not None]
    return dict(enumerate(torch.autograd.grad(total, wanted)))


@settings(max_examples=50)
@given(
    sizes,
    sizes,
    st.integers(1, 2),
    st.integers(1, 2),
    st.booleans(),
    own_lengths,
    st.integers(0, 2),
    st.booleans(),
    seeds,
)
def test_gradients_are_the_references(width, hidden, layers, directions, batch_first, own, state, recompute, seed):
    layer, x, h_0, marks = case(width, hidden, layers, directions, batch_first, torch.float64, seed)
    layer.recompute = recompute
    cells = layers * directions
    anew = torch.randn(*((cells, hidden), (cells, 3, hidden))[state % 2], dtype=torch.float64) if state else None
    got = gradients(layer, x, h_0, marks, own, anew)
    with fastgru.use_backend("reference"):
        assert_agrees(got, gradients(layer, x, h_0, marks, own, anew))


@pytest.mark.parametrize("threads", [1, 2])
def test_the_same_bits_on_any_number_of_threads(level, threads):
    layer, x, h_0, marks = case(16, 33, 2, 2, False, torch.float32, 0, steps=40)
    own, anew = [40, 7, 31], torch.randn(4, 33)
    torch.set_num_threads(1)
    want = gradients(layer, x, h_0, marks, own, anew)
    torch.set_num_threads(threads)
    got = gradients(layer, x, h_0, marks, own, anew)
    assert all(torch.equal(got[name], want[name]) for name in want)


@pytest.mark.parametrize("batch", [1, 3, 8])
@pytest.mark.parametrize("is_frozen", [False, True])
def test_a_policy_sees_its_steps_as_training_sees_the_sequence(batch, is_frozen):
    layer, x, marks = fastgru.GRU(5, 12, 2), torch.randn(20, batch, 5), torch.rand(20, batch) < 0.2
    with torch.no_grad():
        want, last = layer(x, reset=marks)
        h, outputs = None, []
        if is_frozen:
            layer.freeze()
        for step, done in zip(x, marks, strict=True):
            output, h = layer(step[None], h, reset=done[None])
            outputs.append(output)
    assert torch.equal(torch.cat(outputs), want)
    assert torch.equal(h, last)


@pytest.mark.parametrize("batch_first", [False, True])
def test_packed_sequences_are_reset_in_the_order_before_packing(batch_first):
    layer = fastgru.GRU(3, 5, 2, bidirectional=True, batch_first=batch_first)
    own, lead = [3, 6, 1], (3, 6) if batch_first else (6, 3)
    x, marks, anew = torch.randn(*lead, 3), torch.rand(lead) < 0.4, torch.randn(4, 3, 5)
    want, last = layer(x, lengths=own, reset=marks, reset_state=anew)
    packed = pack_padded_sequence(x, own, batch_first, enforce_sorted=False)
    output, h_n = layer(packed, reset=marks, reset_state=anew)
    assert torch.equal(pad_packed_sequence(output, batch_first)[0], want)
    assert torch.equal(h_n, last)


@pytest.mark.parametrize("rows", [1, 3])
def test_states_to_reset_to_that_a_packed_batch_does_not_have(rows):
    layer, packed = fastgru.GRU(3, 5), pack_padded_sequence(torch.randn(4, 2, 3), [3, 4], enforce_sorted=False)
    marks = torch.zeros(4, 2, dtype=torch.bool)
    with pytest.raises(fastgru.errors.SequenceError, match=r"Expected \(1, 5\)"):
        layer(packed, reset=marks, reset_state=torch.zeros(1, rows, 5))


def test_a_sequence_without_a_batch():
    layer, x, marks = fastgru.GRU(3, 5), torch.randn(6, 3), torch.tensor([False, False, True, False, False, True])
    output, h_n = layer(x, reset=marks, reset_state=torch.ones(1, 5))
    assert torch.equal(output[2:5], layer(x[2:5], torch.ones(1, 5))[0])
    assert torch.equal(h_n, layer(x[5:], torch.ones(1, 5))[1])


def test_a_learned_state_is_what_resets_put_in():
    layer, x = fastgru.GRU(3, 5, learn_h0=True), torch.randn(6, 2, 3)
    torch.nn.init.normal_(layer.h_0)
    marks = torch.zeros(6, 2, dtype=torch.bool)
    marks[3] = True
    output, _ = layer(x, reset=marks)
    assert torch.equal(output[3:], layer(x[3:])[0])
    output[3:].sum().backward()
    got = layer.h_0.grad.clone()
    layer.zero_grad()
    layer(x[3:])[0].sum().backward()
    assert_agrees({"": got}, {"": layer.h_0.grad})


def test_derivatives_of_second_order():
    layer, x, h_0, marks = case(2, 3, 2, 2, False, torch.float64, 0, steps=4)
    anew = torch.randn(4, 3, dtype=torch.float64)
    leaves = [t.requires_grad_() for t in (x, h_0, anew)]

    def call(x, h_0, anew):
        return layer(x, h_0, lengths=[4, 0, 3], reset=marks, reset_state=anew)

    assert torch.autograd.gradcheck(call, leaves)
    assert torch.autograd.gradgradcheck(call, leaves)


def test_torchs_operator_says_why_it_cannot():
    layer, x = fastgru.GRU(3, 5), torch.randn(6, 2, 3)
    with fastgru.use_backend("aten"), pytest.raises(RuntimeError, match="does not put states back"):
        layer(x, reset=torch.zeros(6, 2, dtype=torch.bool))
