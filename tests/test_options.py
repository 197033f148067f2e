"""Options of the constructor that torch does not have, and inputs with zero steps or rows."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils.rnn import pack_sequence

import fastgru
from strategies import seeds
from tolerance import assert_agrees

directions = pytest.mark.parametrize("bidirectional", [False, True])
batch_firsts = pytest.mark.parametrize("batch_first", [False, True])
OPTIONS = [
    {"state_batch_first": True},
    {"return_all_layers": True},
    {"learn_h0": True},
    {"proj_size": 3},
    {"proj_size": 3, "learn_h0": True, "return_all_layers": True, "state_batch_first": True},
]


def same(got, want):
    return all(torch.equal(mine, theirs) for mine, theirs in zip(got, want, strict=True))


@directions
@batch_firsts
def test_states_may_have_the_batch_first(bidirectional, batch_first):
    options = {"bidirectional": bidirectional, "batch_first": batch_first}
    plain, layer = fastgru.GRU(3, 5, 2, **options), fastgru.GRU(3, 5, 2, **options, state_batch_first=True)
    layer.load_state_dict(plain.state_dict())
    cells = 4 if bidirectional else 2
    x, h_0 = torch.randn(4, 4, 3), torch.randn(4, cells, 5)
    output, h_n = layer(x, h_0)
    want, last = plain(x, h_0.transpose(0, 1))
    assert same((output, h_n), (want, last.transpose(0, 1)))
    assert h_n.is_contiguous()
    assert same(layer(x), (plain(x)[0], plain(x)[1].transpose(0, 1)))
    assert same(layer(x[0], h_0[0]), plain(x[0], h_0[0]))
    packed = pack_sequence([torch.randn(n, 3) for n in (2, 4, 1, 3)], enforce_sorted=False)
    got, got_h_n = layer(packed, h_0)
    want, last = plain(packed, h_0.transpose(0, 1))
    assert same((got.data, got_h_n), (want.data, last.transpose(0, 1)))
    with pytest.raises(RuntimeError, match=rf"\(4, {cells}, 5\)"):
        layer(x, torch.randn(cells, 3, 5))


@directions
@batch_firsts
@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_every_layers_output(bidirectional, batch_first, dropout):
    options = {"bidirectional": bidirectional, "batch_first": batch_first, "dropout": dropout}
    stock, layer = nn.GRU(3, 5, 3, **options), fastgru.GRU(3, 5, 3, **options, return_all_layers=True)
    layer.load_state_dict(stock.state_dict())
    x = torch.randn(4, 6, 3)
    torch.manual_seed(3)
    outputs, h_n = layer(x)
    torch.manual_seed(3)
    want, last = stock(x)
    assert_agrees({"output": outputs[-1], "h_n": h_n}, {"output": want, "h_n": last})
    assert [output.shape for output in outputs] == [want.shape] * 3
    if dropout == 0:
        below, width = x, 3
        for k, output in enumerate(outputs):
            one = nn.GRU(width, 5, bidirectional=bidirectional, batch_first=batch_first)
            own = {name.replace(f"_l{k}", "_l0"): w for name, w in stock.state_dict().items() if f"_l{k}" in name}
            one.load_state_dict(own)
            below, width = one(below)[0], want.shape[-1]
            assert_agrees({"": output}, {"": below})


def test_every_layers_output_in_every_form():
    plain, layer = fastgru.GRU(3, 5, 2), fastgru.GRU(3, 5, 2, return_all_layers=True)
    layer.load_state_dict(plain.state_dict())
    rows = [torch.randn(n, 3) for n in (2, 4, 1)]
    packed = pack_sequence(rows, enforce_sorted=False)
    outputs, h_n = layer(packed)
    assert same((outputs[1].data, h_n), (plain(packed)[0].data, plain(packed)[1]))
    assert same((layer(rows[1])[0][1], layer(rows[1])[1]), plain(rows[1]))
    nested = torch.nested.nested_tensor(rows, layout=torch.jagged)
    assert torch.equal(layer(nested)[0][1].values(), plain(nested)[0].values())


@directions
def test_a_learned_first_state(bidirectional):
    plain, layer = (fastgru.GRU(3, 5, 2, bidirectional=bidirectional, learn_h0=learns) for learns in (False, True))
    assert "h_0" not in plain.state_dict()
    assert not layer.h_0.any()
    nn.init.normal_(layer.h_0)
    plain.load_state_dict({name: w for name, w in layer.state_dict().items() if name != "h_0"})
    x = torch.randn(4, 6, 3)
    given = layer.h_0.detach().unsqueeze(1).repeat(1, 6, 1).requires_grad_()
    assert same(layer(x), plain(x, given))
    layer(x)[0].square().sum().backward()
    plain(x, given)[0].square().sum().backward()
    assert_agrees({"": layer.h_0.grad}, {"": given.grad.sum(1)})
    assert same(layer(x, torch.zeros_like(given)), plain(x))
    assert same(layer(x[:, 0]), plain(x[:, 0], given[:, 0]))
    with torch.no_grad():
        assert same(copy.deepcopy(layer).freeze()(x), layer(x))
    if not bidirectional:
        stepper = layer.stepper(6)
        assert torch.equal(torch.stack([stepper(step).clone() for step in x]), layer(x)[0])
    layer.reset_parameters()
    assert not layer.h_0.any()


def projected_by_the_book(layer, x, h_0):
    """r, z, n from projected states p = W_hr h; the states themselves keep their size."""
    directions = 2 if layer.bidirectional else 1
    h_n = []
    for k in range(layer.num_layers):
        outputs = []
        for d in range(directions):
            weight_ih, weight_hh, bias_ih, bias_hh, weight_hr = layer.all_weights[k * directions + d]
            h, steps = h_0[k * directions + d], []
            for row in x.flip(0) if d else x:
                a = (row @ weight_ih.T + bias_ih).chunk(3, -1)
                c = (h @ weight_hr.T @ weight_hh.T + bias_hh).chunk(3, -1)
                r, z = torch.sigmoid(a[0] + c[0]), torch.sigmoid(a[1] + c[1])
                h = (1 - z) * torch.tanh(a[2] + r * c[2]) + z * h
                steps.append(h @ weight_hr.T)
            outputs.append(torch.stack(steps).flip(0) if d else torch.stack(steps))
            h_n.append(h)
        x = torch.cat(outputs, -1)
    return x, torch.stack(h_n)


@settings(max_examples=20)
@given(st.integers(1, 2), st.booleans(), seeds)
def test_projections_follow_their_equations(layers, bidirectional, seed):
    torch.manual_seed(seed)
    layer = fastgru.GRU(4, 6, layers, bidirectional=bidirectional, proj_size=2, dtype=torch.float64)
    cells = layers * (2 if bidirectional else 1)
    x, h_0 = torch.randn(5, 3, 4).double().requires_grad_(), torch.randn(cells, 3, 6).double().requires_grad_()
    got, want = layer(x, h_0), projected_by_the_book(layer, x, h_0)
    assert_agrees(dict(enumerate(t.detach() for t in got)), dict(enumerate(t.detach() for t in want)))
    leaves = [x, h_0, *layer.parameters()]
    mine, theirs = (torch.autograd.grad(sum(t.sin().sum() for t in results), leaves) for results in (got, want))
    assert_agrees(dict(enumerate(mine)), dict(enumerate(theirs)))


def test_projections_have_torchs_names_and_sizes():
    ours, lstm = (
        fastgru.GRU(4, 6, 2, bidirectional=True, proj_size=2),
        nn.LSTM(4, 6, 2, bidirectional=True, proj_size=2),
    )
    assert list(ours.state_dict()) == list(lstm.state_dict())
    for mine, theirs in zip(ours.parameters(), lstm.parameters(), strict=True):
        assert mine.shape[1:] == theirs.shape[1:]
    bound = 6**-0.5
    assert all(0 < p.abs().max() <= bound for p in ours.parameters())
    lengths = [3, 0, 5]
    output, _ = ours(torch.randn(5, 3, 4), lengths=lengths)
    assert output.shape == (5, 3, 4)
    assert not output[3:, 0].any()


@pytest.mark.parametrize("options", OPTIONS)
def test_options_survive_copies_and_files(options):
    layer = fastgru.GRU(4, 5, 2, **options)
    x = torch.randn(3, 2, 4)
    want = layer(x)
    for copied in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        got = copied(x)
        assert torch.equal(got[1], want[1])
    loaded = fastgru.GRU(4, 5, 2, **options)
    loaded.load_state_dict(layer.state_dict())
    assert torch.equal(loaded(x)[1], want[1])
    assert all(f"{name}={value}" in repr(layer) for name, value in options.items())
    with pytest.raises(TypeError, match=r"torch\.nn.*GRU does not have"):
        layer.to_torch()


def test_layers_with_projections_refuse_what_packs_weights():
    layer = fastgru.GRU(4, 5, proj_size=2)
    for act in (layer.freeze, layer.stepper):
        with pytest.raises(ValueError, match="not possible for a GRU with proj_size"):
            act()


@directions
@pytest.mark.parametrize("training", [False, True])
def test_outputs_with_the_batch_first_are_contiguous(bidirectional, training):
    layer = fastgru.GRU(3, 5, 2, batch_first=True, bidirectional=bidirectional)
    with torch.set_grad_enabled(training):
        assert layer(torch.randn(4, 6, 3))[0].is_contiguous()
        assert layer(torch.randn(4, 6, 3), lengths=[1, 6, 0, 2])[0].is_contiguous()
        assert layer(torch.randn(6, 4, 3).transpose(0, 1))[0].is_contiguous()


@directions
@batch_firsts
@pytest.mark.parametrize("shape", [(0, 2), (3, 0), (0, 0), (0,)])
def test_sequences_of_no_steps_and_batches_of_no_rows(bidirectional, batch_first, shape):
    layer = fastgru.GRU(3, 5, 2, bidirectional=bidirectional, batch_first=batch_first)
    lead = shape[::-1] if batch_first else shape
    cells, width = (4, 10) if bidirectional else (2, 5)
    x = torch.randn(*lead, 3, requires_grad=True)
    h_0 = torch.randn(cells, *shape[1:], 5, requires_grad=True)
    output, h_n = layer(x, h_0)
    assert output.shape == (*lead, width)
    assert torch.equal(h_n, h_0)
    (output.sum() + h_n.sum()).backward()
    assert torch.equal(h_0.grad, torch.ones_like(h_0))
    assert not layer(x)[1].any()
