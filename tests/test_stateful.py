"""A layer that carries its state: streams have the bits of the whole, gradients end where a call begins."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch

import fastgru
from tolerance import assert_agrees

forms = pytest.mark.parametrize("options", [{}, {"batch_first": True, "state_batch_first": True}, {"learn_h0": True}])


def pair_of(options):
    layer, plain = fastgru.StatefulGRU(3, 5, 2, **options), fastgru.GRU(3, 5, 2, **options)
    if "learn_h0" in options:
        torch.nn.init.normal_(layer.h_0)
    plain.load_state_dict(layer.state_dict())
    return layer, plain


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
    with pytest.raises(fastgru.errors.BoundsError, match=r"\(4,\)"):
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


def test_a_batch_of_another_size_is_an_error_that_tells_the_way_out():
    layer, _ = pair_of({})
    layer(torch.randn(4, 2, 3))
    with pytest.raises(RuntimeError, match=r"reset_state\(\) first"):
        layer(torch.randn(4, 3, 3))
    layer.reset_state()
    layer(torch.randn(4, 3, 3))


def test_a_second_direction_is_refused():
    with pytest.raises(ValueError, match="cannot be bidirectional"):
        fastgru.StatefulGRU(3, 5, bidirectional=True)
