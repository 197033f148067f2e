"""Half precision and autocast: sums in float32, smaller errors than torch's, dtypes like torch.nn.Linear."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import fastgru
from layer_pairs import everything, pair
from strategies import batches, lengths, seeds, sizes, steps
from tolerance import assert_no_worse_than_torch, rms_error

HALF = (torch.bfloat16, torch.float16)


def all_three(dtype, args, options, x):
    """Results of our layer and torch's in `dtype`, and of torch's in float64, all from numbers that `dtype` has."""
    ours, stock = pair("GRU", *args, **options, dtype=dtype)
    exact = nn.GRU(*args, **options, dtype=torch.float64)
    exact.load_state_dict(stock.state_dict())
    x = x.to(dtype)
    return everything(ours, x), everything(stock, x), everything(exact, x.detach().double())


@settings(max_examples=60)
@given(st.sampled_from(HALF), sizes, sizes, steps, batches, st.booleans(), st.booleans(), seeds)
def test_never_noticeably_worse_than_torch(dtype, width, hidden, count, batch, bidirectional, bias, seed):
    torch.manual_seed(seed)
    options = {"num_layers": 2, "bidirectional": bidirectional, "bias": bias}
    got, torchs, truth = all_three(dtype, (width, hidden), options, torch.randn(count, batch, width))
    for name, want in truth.items():
        assert got[name].dtype is dtype
        assert_no_worse_than_torch(got[name], torchs[name], want, name)


@pytest.mark.parametrize("dtype", HALF)
def test_errors_are_smaller_than_torchs(dtype):
    got, torchs, truth = all_three(dtype, (64, 64), {"num_layers": 2}, torch.randn(50, 8, 64))
    for name, want in truth.items():
        assert rms_error(got[name], want) <= rms_error(torchs[name], want), name


@pytest.mark.parametrize("dtype", HALF)
@pytest.mark.parametrize("kind", ["GRU", "GRUCell"])
def test_our_kernels_serve_it(dtype, kind):
    layer = getattr(fastgru, kind)(3, 4, dtype=dtype)
    x = torch.randn(2, 3, dtype=dtype)
    assert fastgru.explain(layer, x).chosen == "cpu"


@settings(max_examples=60)
@given(st.sampled_from(HALF), lengths, st.integers(1, 40), st.booleans(), st.booleans(), st.data(), seeds)
def test_bits_are_the_rounded_ones_of_a_layer_in_float32(dtype, own, hidden, batch_first, recompute, data, seed):
    """In every form of call, results and gradients: numbers of 16 bits are widened once and rounded once."""
    torch.manual_seed(seed)
    options = {"num_layers": 2, "bidirectional": True, "batch_first": batch_first, "recompute": recompute}
    layer = fastgru.GRU(5, hidden, **options, dtype=dtype)
    wide = fastgru.GRU(5, hidden, **options)
    wide.load_state_dict(layer.state_dict())
    rows, count = len(own), max(own)
    x = torch.randn(*((rows, count) if batch_first else (count, rows)), 5).to(dtype)
    form = data.draw(st.sampled_from(["plain", "lengths", "resets", "packed", "state"]))
    h_0 = torch.randn(4, rows, hidden).to(dtype) if form == "state" else None
    sequences = {"lengths": own} if form in ("lengths", "resets") else {}
    if form == "resets":
        sequences |= {"reset": torch.rand(x.shape[:2]) < 0.3, "reset_state": torch.randn(4, hidden).to(dtype)}

    def call(layer, kind):
        given = x.to(kind, copy=True).requires_grad_()
        tensors = {
            name: t.to(kind) if torch.is_tensor(t) and t.is_floating_point() else t for name, t in sequences.items()
        }
        start = None if h_0 is None else h_0.to(kind)
        if form == "packed":
            kept = [max(1, steps) for steps in own]
            packed = nn.utils.rnn.pack_padded_sequence(given, kept, batch_first, enforce_sorted=False)
            output, h_n = layer(packed)
            output = output.data
        else:
            output, h_n = layer(given, start, **tensors)
        outer = torch.linspace(-1, 1, output.numel()).view_as(output).to(dtype).to(kind)
        output.backward(outer, retain_graph=True)
        return [output, h_n, given.grad, *(p.grad for p in layer.parameters())]

    for mine, want in zip(call(layer, dtype), call(wide, torch.float32), strict=True):
        assert mine.dtype is dtype
        assert torch.equal(mine, want.to(dtype))
    if form != "packed":
        with torch.no_grad():
            want = layer(x, h_0, **sequences)
            got = layer.freeze()(x, h_0, **sequences)
        assert all(torch.equal(mine, theirs) for mine, theirs in zip(got, want, strict=True))


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("rows", [1, 3, 5])
@pytest.mark.parametrize("dtype", HALF)
def test_bits_of_layers_whose_weights_come_from_a_far_cache(dtype, rows, threads):
    """Up to three rows their kernels widen weights in every step; frozen, also with more rows, once in a call."""
    layer, wide = fastgru.GRU(7, 304, 2, dtype=dtype), fastgru.GRU(7, 304, 2)
    wide.load_state_dict(layer.state_dict())
    x, before = torch.randn(40, rows, 7).to(dtype), torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with torch.no_grad():
            want = [t.to(dtype) for t in wide(x.float())]
            for got in (layer(x), layer.freeze()(x)):
                assert all(torch.equal(mine, theirs) for mine, theirs in zip(got, want, strict=True))
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("dtype", HALF)
def test_second_derivatives_are_those_of_float32(dtype):
    layer = fastgru.GRU(3, 4, dtype=dtype)
    wide = fastgru.GRU(3, 4)
    wide.load_state_dict(layer.state_dict())
    x, found = torch.randn(5, 2, 3).to(dtype), []
    for one in (layer, wide):
        given = x.to(one.weight_hh_l0.dtype).requires_grad_()
        (first,) = torch.autograd.grad(one(given)[0].square().sum(), given, create_graph=True)
        found.append(torch.autograd.grad(first.square().sum(), list(one.parameters())))
    for mine, want in zip(*found, strict=True):
        assert mine.dtype is dtype
        torch.testing.assert_close(mine.float(), want, rtol=0.05, atol=0.05 * float(want.abs().max()))


@settings(max_examples=20)
@given(st.sampled_from(HALF), lengths, seeds)
def test_lengths_and_resets_in_half_precision(dtype, own, seed):
    torch.manual_seed(seed)
    layer, x = fastgru.GRU(5, 9, bidirectional=True, dtype=dtype), torch.randn(max(own), len(own), 5).to(dtype)
    sequences = {"lengths": own, "reset": torch.rand(x.shape[:2]) < 0.3}
    got = layer(x, **sequences)
    with fastgru.use_backend("reference"):
        want = layer.double()(x.double(), **sequences)
    for mine, exact in zip(got, want, strict=True):
        assert_no_worse_than_torch(mine, exact.to(dtype), exact)


@pytest.mark.parametrize("dtype", HALF)
@pytest.mark.parametrize("form", ["batch", "no batch", "packed", "state", "frozen", "compiled"])
@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:`isinstance:FutureWarning")
def test_autocast_reaches_the_layer_as_it_reaches_linear(dtype, form):
    layer, linear = fastgru.GRU(3, 5), nn.Linear(3, 5)
    x, h_0 = torch.randn(4, 2, 3), torch.randn(1, 2, 5) if form == "state" else None
    call = torch.compile(layer, fullgraph=True) if form == "compiled" else layer.freeze() if form == "frozen" else layer
    if form == "packed":
        x = nn.utils.rnn.pack_sequence([torch.randn(4, 3), torch.randn(2, 3)])
    elif form == "no batch":
        x = x[:, 0]
    with torch.autocast("cpu", dtype), torch.set_grad_enabled(form != "frozen"):
        output, h_n = call(x, h_0)
        assert h_n.dtype is linear(torch.randn(2, 3)).dtype is dtype
    output = output.data if form == "packed" else output
    assert output.dtype is dtype
    if form != "frozen":
        output.float().sum().backward()
        assert layer.weight_hh_l0.grad.dtype is torch.float32


def test_autocast_gives_what_the_cast_layer_gives():
    layer, x = fastgru.GRU(3, 5, 2), torch.randn(4, 2, 3)
    with torch.autocast("cpu", torch.bfloat16):
        got = layer(x)
    want = layer.bfloat16()(x.bfloat16())
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(got, want, strict=True))


def test_autocast_leaves_double_precision_alone():
    layer, x = fastgru.GRU(3, 5).double(), torch.randn(4, 2, 3).double()
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(layer(x)[0], layer(x)[0].double())
        assert layer(x)[0].dtype is torch.float64


def test_mixed_inputs_meet_under_autocast_alone():
    layer, x = fastgru.GRU(3, 5), torch.randn(4, 2, 3).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(x)[0].dtype is torch.bfloat16
    with pytest.raises(ValueError, match="dtype"):
        layer(x)


def test_operators_sum_in_single_precision():
    layer, x = fastgru.GRU(3, 5), torch.randn(4, 2, 3)
    own = (None, None, list(layer.parameters()), None, None, 1, False, False, False, False)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.ops.fastgru.forward(x, *own)[0].dtype is torch.float32
    with pytest.raises(RuntimeError, match="takes float32 and float64"):
        torch.ops.fastgru.forward(x.half(), None, None, [p.half() for p in layer.parameters()], *own[3:])
