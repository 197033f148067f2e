"""On a GPU: torch's operator, or the reference. What does not need a GPU is tested without one.

The CPU stands in for it: the backend `aten` is asked for, and takes the CPU for a device of cuDNN's.
"""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import nn
from torch.autograd import forward_ad

import fastgru
from fastgru.backends import aten, base
from fastgru.call.context import Follower
from fastgru.call.request import Request
from fastgru.errors import SlowPathWarning
from layer_pairs import pair
from tolerance import assert_agrees

GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
DEVICES = ["cpu", pytest.param("cuda", marks=GPU)]


@pytest.fixture(params=DEVICES)
def device(request, monkeypatch):
    """A GPU, or the CPU treated as one."""
    monkeypatch.setattr(base, "_warned", set())
    if request.param == "cuda":
        yield "cuda"
        return
    monkeypatch.setattr(aten, "CUDNN_DEVICES", {"cpu"})
    with fastgru.use_backend("aten"):
        yield "cpu"


def on(device, *args, **kwargs):
    """Our layer and torch's in float64, with equal weights."""
    return tuple(layer.to(device) for layer in pair("GRU", *args, **kwargs, dtype=torch.float64))


def two_orders(layer, x, *args, **kwargs):
    """First and second derivatives of a sum over the results; by torch's operator without cuDNN, where it has both."""
    x = x.detach().requires_grad_()
    with torch.backends.cudnn.flags(enabled=type(layer) is fastgru.GRU):
        results = layer(x, *args, **kwargs)
        inputs = [x, *layer.parameters()]
        first = torch.autograd.grad(sum(t.sin().sum() for t in results), inputs, create_graph=True)
        second = torch.autograd.grad(sum(d.square().sum() for d in first), inputs)
    named = {f"result {i}": t.detach() for i, t in enumerate(results)}
    named |= {f"first {i}": t.detach() for i, t in enumerate(first)}
    return named | {f"second {i}": t for i, t in enumerate(second)}


@pytest.mark.parametrize("options", [{}, {"num_layers": 2, "bidirectional": True}, {"batch_first": True}])
def test_second_derivatives_are_the_references_and_one_warning_says_so(device, options):
    ours, stock = on(device, 3, 4, **options)
    x = torch.randn(5, 5, 3, device=device, dtype=torch.float64)
    with pytest.warns(SlowPathWarning, match="cuDNN's backward pass cannot be differentiated") as told:
        got = [two_orders(ours, x) for _ in range(2)]
    assert len(told) == 1
    want = two_orders(stock, x)
    for each in got:
        assert_agrees(each, want)


@pytest.mark.filterwarnings("ignore::fastgru.errors.SlowPathWarning")
def test_second_derivatives_of_lengths_and_packed_sequences(device):
    ours, stock = on(device, 3, 4, 2)
    x, lengths = torch.randn(5, 3, 3, device=device, dtype=torch.float64), torch.tensor([2, 5, 3])

    def packed(layer, x):
        result, h_n = layer(nn.utils.rnn.pack_padded_sequence(x, lengths, enforce_sorted=False))
        return nn.utils.rnn.pad_packed_sequence(result)[0], h_n

    class Packed(nn.Module):
        def __init__(self, layer):
            super().__init__()
            self.layer = layer

        def forward(self, x):
            with torch.backends.cudnn.flags(enabled=type(self.layer) is fastgru.GRU):
                return packed(self.layer, x)

    want = two_orders(Packed(stock), x)
    assert_agrees(two_orders(ours, x, lengths=lengths), want)
    assert_agrees(two_orders(Packed(ours), x), want)


def test_first_derivatives_are_torchs_own_without_a_warning(device):
    ours, stock = on(device, 3, 4, 2, bidirectional=True)
    x = torch.randn(5, 2, 3, device=device, dtype=torch.float64)
    for uses in ((0,), (1,), (0, 1)):
        found = []
        for layer in (ours, stock):
            results = layer(x)
            loss = sum(results[i].sin().sum() for i in uses)
            loss.backward(retain_graph=True)
            loss.backward()
            found.append({name: p.grad for name, p in layer.named_parameters() if p.grad is not None})
            layer.zero_grad()
        assert_agrees(*found)


@pytest.mark.parametrize("trains", [True, False])
def test_results_can_be_changed_in_place_and_layers_evaluated_with_gradients(device, trains):
    layer, _ = on(device, 3, 4)
    layer.train(trains)
    x = torch.randn(5, 2, 3, device=device, dtype=torch.float64)
    (layer(x)[1].mul_(2)).sum().backward()
    assert layer.weight_hh_l0.grad.abs().sum() > 0


def test_the_operator_is_told_of_training_and_gets_dense_states(device, monkeypatch):
    calls, right = [], aten.torch_gru
    monkeypatch.setattr(aten, "torch_gru", lambda *a: calls.append(a) or right(*a))
    layer = fastgru.GRU(3, 4, 2, learn_h0=True, state_batch_first=True, batch_first=True).to(device)
    x, state = torch.randn(2, 5, 3, device=device), torch.randn(2, 2, 4, device=device)
    layer(x)
    layer(x, state)
    with torch.no_grad():
        layer(x)
    assert [call[6] for call in calls] == [True, True, False]
    assert all(call[1].is_contiguous() for call in calls)
    assert all(call[8] is True for call in calls)  # batch_first goes through


def test_lengths_with_empty_sequences(device):
    ours, stock = on(device, 3, 4, 2, bidirectional=True)
    x, hx = torch.randn(5, 3, 3).double().to(device), torch.randn(4, 3, 4).double().to(device)
    output, h_n = ours(x, hx, lengths=[2, 0, 5])
    for row, length in ((0, 2), (2, 5)):
        alone = stock(x[:length, row : row + 1], hx[:, row : row + 1].contiguous())
        assert_agrees({"o": output[:length, row], "h": h_n[:, row]}, {"o": alone[0][:, 0], "h": alone[1][:, 0]})
    assert torch.equal(h_n[:, 1], hx[:, 1])
    assert not output[:, 1].any()
    nothing, same = ours(x, hx, lengths=[0, 0, 0])
    assert not nothing.any()
    assert torch.equal(same, hx)


def test_cells_and_single_steps_go_to_torchs_cell(device, monkeypatch):
    monkeypatch.setattr(aten, "torch_gru", None)
    cell, stock = (layer.to(device) for layer in pair("GRUCell", 3, 4, dtype=torch.float64))
    x, h = torch.randn(2, 3).double().to(device), torch.randn(2, 4).double().to(device)
    assert_agrees({"a": cell(x), "b": cell(x, h)}, {"a": stock(x), "b": stock(x, h)})
    for batch_first in (False, True):
        layer = fastgru.GRU(3, 4, batch_first=batch_first, dtype=torch.float64).to(device)
        output, h_n = layer(x.unsqueeze(1 if batch_first else 0))
        assert torch.equal(output.flatten(), h_n.flatten())


def test_forward_mode_is_refused_there():
    request = Request(
        fastgru.GRUSpec(3, 4), torch.float32, "cuda", 5, 2, False, False, 0.0, follower=Follower.FORWARD_MODE
    )
    assert "forward-mode" in aten.BACKEND.refuse(request)
    assert aten.BACKEND.refuse(request._replace(device="cpu")) is None


@GPU
@pytest.mark.parametrize("options", [{}, {"num_layers": 2, "bidirectional": True, "batch_first": True, "bias": False}])
def test_the_plain_layer_is_torchs_own_without_a_warning(options):
    stock = nn.GRU(8, 16, **options).cuda()
    ours = fastgru.GRU(8, 16, **options)
    ours.load_state_dict(stock.state_dict())
    ours.cuda()
    x = torch.randn(6, 5, 8, device="cuda", requires_grad=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # weights that are not one chunk of memory would warn
        assert all(torch.equal(a, b) for a, b in zip(ours(x), stock(x), strict=True))
        ours(x)[0].sum().backward()
        fastgru.GRU.from_torch(stock)(x)
        fastgru.GRU(8, 16, proj_size=4).cuda()
    assert fastgru.explain(ours, x).chosen == "aten"


@GPU
@pytest.mark.filterwarnings("ignore::fastgru.errors.SlowPathWarning")
def test_what_only_the_reference_has_on_a_gpu():
    here = fastgru.GRU(3, 4, dtype=torch.float64)
    there = fastgru.GRU(3, 4, dtype=torch.float64).cuda()
    there.load_state_dict(here.state_dict())
    xs, reset = torch.randn(2, 5, 3, 3).double(), torch.rand(5, 3) < 0.4

    def tangent(layer, x):
        with forward_ad.dual_level():
            return forward_ad.unpack_dual(layer(forward_ad.make_dual(x, x.cos()))[0]).tangent

    for call in (
        lambda layer, x: torch.vmap(layer)(x)[0],
        lambda layer, x: layer(x[0], reset=reset.to(x.device))[0],
        lambda layer, x: torch.func.hessian(lambda x: layer(x)[0].sin().sum())(x[0]),
        lambda layer, x: tangent(layer, x[0]),
    ):
        assert_agrees({"r": call(there, xs.cuda()).cpu().detach()}, {"r": call(here, xs).detach()})
