"""A layer that carries its state: chunks have the bits of one call, gradients stop at the start of a call."""

from __future__ import annotations

import copy
import io
import pickle

import pytest
import torch
from torch import nn

import fastgru
from stateful_models import pair_of, went_on
from tolerance import assert_agrees

forms = pytest.mark.parametrize("options", [{}, {"batch_first": True, "state_batch_first": True}, {"learn_h0": True}])


@forms
@pytest.mark.parametrize("chunk", [1, 2, 7])
def test_chunks_have_the_bits_of_the_whole(options, chunk):
    layer, plain = pair_of(options)
    x, at = torch.randn(7, 7, 3), 1 if "batch_first" in options else 0
    with torch.no_grad():
        want, last = plain(x)
        got = torch.cat([layer(part)[0] for part in x.split(chunk, at)], at)
    assert torch.equal(got, want)
    assert torch.equal(layer.state, last)
    layer.reset_state()
    assert layer.state is None
    assert torch.equal(layer(x)[0], want)


@forms
def test_gradients_end_where_a_call_begins(options):
    layer, plain = pair_of(options)
    state = None
    for part in torch.randn(3, 4, 4, 3):
        layer.zero_grad()
        plain.zero_grad()
        layer(part)[0].square().sum().backward()
        output, state = plain(part, state)
        output.square().sum().backward()
        state = state.detach()
        for (name, mine), theirs in zip(layer.named_parameters(), plain.parameters(), strict=True):
            zero = torch.zeros_like(mine)
            assert_agrees(
                {name: zero if mine.grad is None else mine.grad}, {name: zero if theirs.grad is None else theirs.grad}
            )
    assert not layer.state.requires_grad


@forms
def test_some_sequences_start_anew(options):
    layer, plain = pair_of(options)
    x = torch.randn(4, 4, 3)
    layer(x)
    kept = layer.state
    layer.reset_state(torch.tensor([False, True, False, True]))
    output, _ = layer(x)
    fresh, _ = plain(x)
    went_on, _ = plain(x, kept)
    rows = 0 if "batch_first" in options else 1
    for row, is_fresh in enumerate([False, True, False, True]):
        assert torch.equal(output.select(rows, row), (fresh if is_fresh else went_on).select(rows, row))
    with pytest.raises(fastgru.errors.SequenceError, match=r"\(4,\)"):
        layer.reset_state(torch.tensor([True]))


def test_resets_inside_a_call_and_states_set_by_hand():
    layer, plain = pair_of({})
    x, marks = torch.randn(6, 2, 3), torch.rand(6, 2) < 0.4
    layer(x)
    layer.state = state = torch.randn(2, 2, 5)
    assert torch.equal(layer(x, reset=marks)[0], plain(x, state, reset=marks)[0])
    own = torch.randn(2, 2, 5)
    assert torch.equal(layer(x, own)[0], plain(x, own)[0])


def test_the_state_is_no_part_of_a_checkpoint_but_of_a_copy():
    layer, _ = pair_of({})
    x = torch.randn(6, 2, 3)
    layer(x)
    assert list(layer.state_dict()) == list(fastgru.GRU(3, 5, 2).state_dict())
    for copied in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert torch.equal(copied.state, layer.state)
        assert torch.equal(copied(x)[0], copy.deepcopy(layer)(x)[0])
    assert layer.double().state.dtype is torch.float64


def test_the_state_belongs_to_the_layer_alone():
    layer, _ = pair_of({})
    x = torch.randn(6, 2, 3)
    _, h_n = layer(x)
    kept = layer.state.clone()
    with torch.no_grad():
        h_n.zero_()
    assert torch.equal(layer.state, kept)
    before = layer.state
    layer(x)
    assert torch.equal(before, kept), "a call writes into a state that was read"
    own = torch.randn(2, 2, 5)
    layer.state = own
    kept = own.clone()
    own.zero_()
    assert torch.equal(layer.state, kept)
    layer.state[:, 0] = 0
    assert not layer.state[:, 0].any(), "what is written into the state is lost"
    assert layer.state[:, 1].any()


@forms
def test_the_state_is_no_parameter_and_no_buffer(options):
    layer, plain = pair_of(options)
    layer(torch.randn(4, 4, 3))
    layer.state = nn.Parameter(layer.state)
    assert type(layer.state) is torch.Tensor
    assert not layer.state.requires_grad
    assert list(dict(layer.named_parameters())) == list(dict(plain.named_parameters()))
    assert not list(layer.buffers())


@pytest.mark.parametrize("wrong", [torch.zeros(2, 5, 4), torch.zeros(3, 5), torch.zeros(5), torch.zeros(1, 2, 2, 5)])
def test_a_state_of_other_sizes_is_refused(wrong):
    layer, _ = pair_of({})
    with pytest.raises(fastgru.errors.ShapeError, match=r"Expected \(2, B, 5\)"):
        layer.state = wrong
    with pytest.raises(fastgru.errors.ShapeError, match=r"Expected \(B, 2, 5\)"):
        fastgru.StatefulGRU(3, 5, 2, state_batch_first=True).state = wrong
    with pytest.raises(TypeError, match="`state` is of type list"):
        layer.state = [0.0]


@forms
def test_what_inference_mode_leaves_can_be_trained_on(options):
    x = torch.randn(4, 4, 3)
    for way in ("call", "reset", "set", "move"):
        layer, _ = pair_of(options)
        layer(x)
        with torch.inference_mode():
            if way == "call":
                layer(x.clone())
            elif way == "reset":
                layer.reset_state(torch.tensor([True, False, False, True]))
            elif way == "set":
                layer.state = layer.state.clone()
            else:
                layer._apply(lambda t: t if t.requires_grad else t.clone())
            read = layer.state
        assert not layer.state.is_inference(), way
        layer(x, read)[0].sum().backward()
        layer.state[0] = 0
        layer(x)[0].sum().backward()


def test_the_state_moves_with_the_layer():
    layer, _ = pair_of({})
    layer(torch.randn(4, 2, 3))
    state = layer.state
    for dtype in (torch.float64, torch.float16, torch.bfloat16):
        assert torch.equal(copy.deepcopy(layer).to(dtype).state, state.to(dtype))
    model = nn.Sequential(layer).double()
    assert went_on(layer, torch.randn(4, 2, 3).double())
    assert model.to("meta")[0].state.is_meta
    assert model.to_empty(device="cpu")[0].state is None


def test_the_state_serves_a_call_of_another_type():
    layer, _ = pair_of({})
    x = torch.randn(4, 2, 3)
    with torch.autocast("cpu", torch.bfloat16):
        layer(x)
        assert layer.state.dtype is torch.bfloat16
    state = layer.state.float()
    plain = fastgru.GRU(3, 5, 2)
    plain.load_state_dict(layer.state_dict())
    assert torch.equal(layer(x)[0], plain(x, state)[0])


def test_a_file_keeps_the_state_on_request():
    layer, plain = pair_of({})
    x, file = torch.randn(6, 2, 3), io.BytesIO()
    layer(x)
    torch.save({"weights": layer.state_dict(), "state": layer.state}, file)
    file.seek(0)
    saved, other = torch.load(file), fastgru.StatefulGRU(3, 5, 2)
    other.load_state_dict(saved["weights"])
    other.state = saved["state"]
    assert torch.equal(other(x)[0], plain(x, layer.state)[0])


def test_a_whole_layer_in_a_file_keeps_the_state():
    layer, _ = pair_of({})
    layer(torch.randn(6, 2, 3))
    file = io.BytesIO()
    torch.save(nn.Sequential(layer), file)
    file.seek(0)
    assert went_on(torch.load(file, weights_only=False)[0], torch.randn(6, 2, 3))


def test_one_sequence_without_a_batch():
    layer, plain = pair_of({"learn_h0": True})
    x = torch.randn(4, 3)
    layer(x)
    kept = layer.state
    layer.reset_state(torch.tensor(False))
    assert torch.equal(layer.state, kept)
    layer.reset_state(torch.tensor(True))
    assert torch.equal(layer(x)[0], plain(x)[0])
    with pytest.raises(fastgru.errors.SequenceError, match="without a batch"):
        layer.reset_state(torch.tensor([True] * 5))


def test_a_batch_of_another_size_is_an_error_that_tells_the_way_out():
    layer, _ = pair_of({})
    layer(torch.randn(4, 2, 3))
    with pytest.raises(RuntimeError, match=r"reset_state\(\) first"):
        layer(torch.randn(4, 3, 3))
    layer.reset_state()
    layer(torch.randn(4, 3, 3))


def test_a_packed_batch_of_fewer_rows_than_before_loses_no_state():
    layer, _ = pair_of({})
    layer(torch.randn(4, 3, 3))
    packed = nn.utils.rnn.pack_padded_sequence(torch.randn(4, 2, 3), [3, 4], enforce_sorted=False)
    with pytest.raises(RuntimeError, match=r"reset_state\(\) first"):
        layer(packed)


def test_a_second_direction_is_refused():
    with pytest.raises(ValueError, match="cannot be bidirectional"):
        fastgru.StatefulGRU(3, 5, bidirectional=True)
