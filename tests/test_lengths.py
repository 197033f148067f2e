"""Padded sequences with lengths: equal to packed ones, for any padding."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import fastgru
from layer_pairs import pair
from strategies import dtypes, seeds, sizes
from tolerance import assert_agrees
from ways import no_kernel

own_lengths = st.lists(st.integers(0, 9), min_size=1, max_size=9)


class Packing(nn.Module):
    """torch's layer on packed sequences; empty ones, which it refuses, are left out and put back."""

    def __init__(self, gru, batch_first):
        super().__init__()
        self.gru, self.batch_first = gru, batch_first

    def forward(self, x, h_0, lengths):
        x = x.transpose(0, 1) if self.batch_first else x
        used = [row for row, length in enumerate(lengths) if length > 0]
        cells = self.gru.num_layers * (2 if self.gru.bidirectional else 1)
        width = self.gru.hidden_size * (2 if self.gru.bidirectional else 1)
        output, h_n = x.new_zeros(*x.shape[:2], width), h_0.clone()
        if used:
            own = [lengths[row] for row in used]
            packed = pack_padded_sequence(x[:, used], own, enforce_sorted=False)
            result, last = self.gru(packed, h_0[:, used])
            output[:, used] = pad_packed_sequence(result, total_length=x.shape[0])[0]
            h_n[:, used] = last
        assert h_n.shape[0] == cells
        return output.transpose(0, 1) if self.batch_first else output, h_n


def outcome(call, x, h_0, parameters):
    """Results and all gradients."""
    x, h_0 = (t.detach().requires_grad_() for t in (x, h_0))
    output, h_n = call(x, h_0)
    weights = torch.linspace(-1, 1, output.numel(), dtype=output.dtype).view(output.shape)
    total = (output * weights).sum() + h_n.sin().sum()
    gradients = torch.autograd.grad(total, [x, h_0, *parameters], allow_unused=True)
    names = ["d_x", "d_h_0", *(f"d_{i}" for i in range(len(parameters)))]
    zeros = [torch.zeros_like(t) if g is None else g for g, t in zip(gradients, [x, h_0, *parameters], strict=True)]
    return {"output": output.detach(), "h_n": h_n.detach()} | dict(zip(names, zeros, strict=True))


def case(own, extra, width, hidden, options, dtype, seed):
    torch.manual_seed(seed)
    ours, stock = pair("GRU", width, hidden, **options, dtype=dtype)
    steps = max([*own, 1]) + extra
    shape = (len(own), steps, width) if options["batch_first"] else (steps, len(own), width)
    cells = options["num_layers"] * (2 if options["bidirectional"] else 1)
    return ours, stock, torch.randn(shape, dtype=dtype), torch.randn(cells, len(own), hidden, dtype=dtype)


layer_options = st.fixed_dictionaries(
    {
        "num_layers": st.integers(1, 2),
        "bidirectional": st.booleans(),
        "batch_first": st.booleans(),
        "bias": st.booleans(),
    }
)


@settings(max_examples=60)
@given(own_lengths, st.integers(0, 2), sizes, sizes, layer_options, dtypes, st.booleans(), seeds)
def test_equals_torchs_packed_sequences(own, extra, width, hidden, options, dtype, recompute, seed):
    ours, stock, x, h_0 = case(own, extra, width, hidden, options, dtype, seed)
    ours.recompute = recompute
    reference = Packing(stock, options["batch_first"])
    got = outcome(lambda x, h: ours(x, h, lengths=own), x, h_0, list(ours.parameters()))
    want = outcome(lambda x, h: reference(x, h, own), x, h_0, list(stock.parameters()))
    assert_agrees(got, want)


@pytest.mark.parametrize("backend", ["aten", "reference"])
@settings(max_examples=15)
@given(own=own_lengths, options=layer_options, seed=seeds)
def test_other_backends_agree(backend, own, options, seed):
    ours, _, x, h_0 = case(own, 1, 3, 5, options, torch.float64, seed)
    got = outcome(lambda x, h: ours(x, h, lengths=own), x, h_0, list(ours.parameters()))
    with fastgru.use_backend(backend):
        want = outcome(lambda x, h: ours(x, h, lengths=own), x, h_0, list(ours.parameters()))
    assert_agrees(got, want)


@settings(max_examples=25)
@given(own_lengths, layer_options, seeds)
def test_a_row_has_the_bits_it_has_alone_and_packed(own, options, seed):
    ours, _, x, h_0 = case(own, 1, 7, 33, options, torch.float32, seed)
    output, h_n = ours(x, h_0, lengths=own)
    rows = output if options["batch_first"] else output.transpose(0, 1)
    inputs = x if options["batch_first"] else x.transpose(0, 1)
    for row, length in enumerate(own):
        assert torch.equal(rows[row, length:], torch.zeros_like(rows[row, length:]))
        alone, last = ours(inputs[row, :length], h_0[:, row])
        assert torch.equal(rows[row, :length], alone)
        assert torch.equal(h_n[:, row], last)
    if min(own) > 0:
        packed = pack_padded_sequence(x, own, options["batch_first"], enforce_sorted=False)
        result, last = ours(packed, h_0)
        again = pad_packed_sequence(result, options["batch_first"], total_length=inputs.shape[1])[0]
        assert torch.equal(output, again)
        assert torch.equal(h_n, last)


@pytest.mark.parametrize("threads", [1, 2])
def test_the_same_bits_on_any_number_of_threads(level, threads):
    layer, x = fastgru.GRU(16, 33, 2, bidirectional=True), torch.randn(40, 6, 16)
    own = [40, 3, 0, 17, 40, 29]
    torch.set_num_threads(1)
    want = outcome(lambda x, h: layer(x, h, lengths=own), x, torch.zeros(4, 6, 33), list(layer.parameters()))
    torch.set_num_threads(threads)
    got = outcome(lambda x, h: layer(x, h, lengths=own), x, torch.zeros(4, 6, 33), list(layer.parameters()))
    assert all(torch.equal(got[name], want[name]) for name in want)


@pytest.mark.parametrize("filling", [float("nan"), float("inf"), 1e30])
@pytest.mark.parametrize("backend", ["cpu", "aten", "reference"])
def test_what_stands_in_the_padding_never_matters(filling, backend):
    layer, own = fastgru.GRU(3, 5, 2, bidirectional=True), [4, 0, 2]
    x = torch.randn(5, 3, 3)
    spoiled = x.clone()
    for row, length in enumerate(own):
        spoiled[length:, row] = filling
    with fastgru.use_backend(backend):
        h_0, parameters = torch.randn(4, 3, 5), list(layer.parameters())
        got, want = (outcome(lambda x, h: layer(x, h, lengths=own), t, h_0, parameters) for t in (spoiled, x))
    assert all(torch.equal(got[name], want[name]) for name in want)
    assert not got["d_x"][4:].any()


KINDS = {
    "list": list,
    "tuple": tuple,
    "array": np.array,
    "int32": lambda own: torch.tensor(own, dtype=torch.int32),
    "int64": torch.tensor,
    "uint8": lambda own: torch.tensor(own, dtype=torch.uint8),
    "strided": lambda own: torch.tensor([[n, 0] for n in own])[:, 0],
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("training", [False, True])
def test_lengths_come_in_any_form(kind, training):
    layer, x, own = fastgru.GRU(3, 4), torch.randn(6, 4, 3), [2, 6, 0, 3]
    with torch.set_grad_enabled(training):
        for got, want in zip(layer(x, lengths=KINDS[kind](own)), layer(x, lengths=torch.tensor(own)), strict=True):
            assert torch.equal(got, want)


def test_one_length_for_a_sequence_without_a_batch():
    layer, x = fastgru.GRU(3, 4), torch.randn(6, 3)
    output, h_n = layer(x, lengths=4)
    assert torch.equal(output[:4], layer(x[:4])[0])
    assert torch.equal(h_n, layer(x[:4])[1])
    assert not output[4:].any()


@pytest.mark.parametrize("own", [[0, 0], [5, 5]])
def test_all_empty_and_all_full(own):
    layer, x, h_0 = fastgru.GRU(3, 4, bidirectional=True), torch.randn(5, 2, 3), torch.randn(2, 2, 4)
    output, h_n = layer(x, h_0, lengths=own)
    want, last = layer(x, h_0) if own[0] else (torch.zeros(5, 2, 8), h_0)
    assert torch.equal(output, want)
    assert torch.equal(h_n, last)


def test_a_frozen_layer_takes_lengths():
    layer, x, own = fastgru.GRU(3, 4), torch.randn(6, 4, 3), [2, 6, 0, 3]
    with torch.no_grad():
        want = layer(x, lengths=own)
        got = layer.freeze()(x, lengths=own)
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(got, want, strict=True))


def test_dropout_draws_no_less_than_without_lengths():
    layer, x = fastgru.GRU(3, 4, 2, dropout=0.5), torch.randn(6, 4, 3)
    torch.manual_seed(1)
    want = layer(x)[0]
    torch.manual_seed(1)
    got = layer(x, lengths=[6, 6, 6, 3])[0]
    assert torch.equal(got[:, :3], want[:, :3])
    assert torch.equal(got[:3, 3], want[:3, 3])


@pytest.mark.parametrize("batch_first", [False, True])
def test_jagged_tensors_come_and_go(batch_first):
    layer = fastgru.GRU(3, 4, bidirectional=True, batch_first=batch_first)
    rows = [torch.randn(n, 3) for n in (4, 1, 0, 6)]
    nested = torch.nested.nested_tensor(rows, layout=torch.jagged, requires_grad=True)
    output, h_n = layer(nested)
    assert output.is_nested
    total = 0.0
    for row, (got, x) in enumerate(zip(output.unbind(), rows, strict=True)):
        if len(x) > 0:
            want, last = layer(x)
            assert torch.equal(got, want)
            assert torch.equal(h_n[:, row], last)
            total = total + want.sum()
    output.values().sum().backward()
    got = layer.weight_hh_l0.grad.clone()
    layer.zero_grad()
    total.backward()
    assert_agrees({"": got}, {"": layer.weight_hh_l0.grad})
    assert nested.grad.values().shape == (11, 3)


@pytest.mark.parametrize("batch_first", [False, True])
def test_the_last_output(batch_first):
    layer = fastgru.GRU(3, 4, batch_first=batch_first)
    own = [2, 6, 0, 3]
    x = torch.randn(4, 6, 3) if batch_first else torch.randn(6, 4, 3)
    output, h_n = layer(x, lengths=own)
    got = fastgru.last_output(output, own, batch_first)
    assert torch.equal(got, h_n[-1])  # zeros for the empty one, as its h_0
    with pytest.raises(fastgru.errors.SequenceError, match=r"lengths\[1\]` is 7"):
        fastgru.last_output(output, [1, 7, 0, 0], batch_first)


MISTAKES = {
    "too long": ({"lengths": [2, 7, 1]}, "`lengths[1]` is 7. Expected 0 to 5"),
    "negative": ({"lengths": torch.tensor([1, 2, -3])}, "`lengths[2]` is -3"),
    "too few": ({"lengths": [1, 2]}, "shape (2,). Expected (3,)"),
    "two dimensions": ({"lengths": [[1, 2, 3]]}, "shape (1, 3). Expected (3,)"),
    "floats": ({"lengths": [1.0, 2.0, 3.0]}, "has dtype torch.float32. Expected integers"),
    "booleans": ({"lengths": torch.tensor([True, True, False])}, "has dtype torch.bool. Expected integers"),
    "words": ({"lengths": ["one", "two"]}, "is a list that cannot be converted to a tensor"),
    "mask of floats": ({"reset": torch.zeros(5, 3)}, "has dtype torch.float32. Expected booleans"),
    "mask turned": ({"reset": torch.zeros(3, 5).bool()}, "shape (3, 5). Expected (T, B) = (5, 3)"),
    "state alone": ({"reset_state": torch.zeros(1, 4)}, "was given without `reset`"),
    "state of another size": (
        {"reset": torch.zeros(5, 3).bool(), "reset_state": torch.zeros(2, 4)},
        "shape (2, 4). Expected (1, 4)",
    ),
}


@pytest.mark.parametrize("length", [2**70, "two", [[1], [2, 3]]], ids=str)
def test_a_length_of_one_sequence_that_makes_no_tensor(length):
    with pytest.raises(fastgru.errors.SequenceTypeError, match="cannot be converted to a tensor"):
        fastgru.GRU(2, 4)(torch.randn(5, 2), lengths=length)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_named_before_any_work(mistake, training):
    options, words = MISTAKES[mistake]
    with torch.set_grad_enabled(training), no_kernel(), pytest.raises(fastgru.errors.SequenceError) as caught:
        fastgru.GRU(2, 4)(torch.randn(5, 3, 2), **options)
    assert words in str(caught.value)
    assert isinstance(caught.value, (RuntimeError, ValueError))


def test_lengths_beside_sequences_that_have_their_own():
    layer = fastgru.GRU(2, 4)
    packed = nn.utils.rnn.pack_sequence([torch.randn(2, 2)])
    with pytest.raises(fastgru.errors.SequenceError, match="PackedSequence alone"):
        layer(packed, lengths=[2])
    nested = torch.nested.nested_tensor([torch.randn(2, 2)], layout=torch.jagged)
    with pytest.raises(fastgru.errors.SequenceError, match="nested tensor alone"):
        layer(nested, lengths=[2])
