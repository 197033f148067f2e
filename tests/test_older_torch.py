"""What stands in for functions that an older torch lacks: the bits are the same, and only what is there is read."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import fastgru
from fastgru import GRUSpec, _core
from fastgru.backends import saving
from fastgru.call import memory
from fastgru.call.frozen_parameter import FrozenParameter
from ways import PLAIN, Call, numbers, results, through

TYPES = (torch.Tensor, nn.Parameter, FrozenParameter)
TORCHS = memory._functions_of_torch()
NONE = (None, None, None, False)
CALLS = [
    Call(GRUSpec(3, 5, 2, True, True), 4, 4, own=(4, 2, 0, 3), with_reset=True),
    Call(GRUSpec(5, 5), 3, 3, dtype=torch.float64),
    Call(GRUSpec(5, 5), 3, 1, with_grad=False, dtype=torch.bfloat16),
]


class Tableless:
    """Stands for the tensors of a torch that has no table of C functions for them."""


@pytest.fixture(params=["capsules", "torch.empty", "both"])
def older_torch(request):
    """Has the core read tensors by capsules, make them by `torch.empty`, or both, from its call on."""
    types = TYPES if request.param == "torch.empty" else (Tableless, *TYPES)
    yield lambda: _core.load_tensors(types, *(TORCHS if request.param == "capsules" else NONE))
    _core.load_tensors(TYPES, *TORCHS)


@pytest.mark.parametrize("call", CALLS)
def test_the_short_way_gives_the_same_bits(call, older_torch):
    given = numbers(call)
    want = results(call, given, call.dtype)
    older_torch()
    with through(PLAIN):
        got = results(call, given, call.dtype)
    assert got.keys() == want.keys()
    assert all(torch.equal(got[name], want[name]) for name in want)


@pytest.mark.parametrize("weights", [None, "int8", "bfloat16"])
@torch.no_grad()
def test_a_frozen_layer_and_its_stepper_give_the_same_bits(weights, older_torch):
    layer, x = fastgru.GRU(64, 64, 2), torch.randn(5, 2, 64)
    want = layer.freeze(weights=weights)(x)[0]
    layer.unfreeze()
    older_torch()
    got = layer.freeze(weights=weights)(x)[0]
    stepper = layer.stepper(2, weights=weights)
    steps = torch.stack([stepper(one).clone() for one in x])
    assert torch.equal(got, want)
    assert torch.equal(steps, want)


def test_row_wise_functions_give_the_same_bits(older_torch):
    linear, norm, x = fastgru.Linear(8, 6), fastgru.LayerNorm(6), torch.randn(3, 2, 8, requires_grad=True)

    def everything():
        y = torch.sigmoid(norm(linear(x)))
        return y, *torch.autograd.grad(y.sum(), [x, *linear.parameters(), *norm.parameters()])

    want = everything()
    older_torch()
    assert all(map(torch.equal, everything(), want))


def test_results_can_be_resized(older_torch):
    older_torch()
    with torch.no_grad():
        output, _ = fastgru.GRU(3, 4)(torch.randn(5, 2, 3))
    assert output.resize_(50, 2, 4).shape == (50, 2, 4)


def test_values_that_are_not_in_memory_are_not_read_there(older_torch):
    older_torch()
    layer, kept = fastgru.GRU(3, 4), []
    x = torch.randn(5, 2, 3)
    with torch.no_grad():
        want = layer(-x)[0]
        assert torch.equal(layer(torch._neg_view(x))[0], want)
        assert torch.equal(layer(torch._efficientzerotensor(x.shape))[0], layer(torch.zeros_like(x))[0])
    torch.func.grad(lambda weight: (kept.append(weight), weight.sum())[1])(layer.weight_ih_l0.detach())
    with torch.no_grad():
        leaked = torch.func.functional_call(layer, {"weight_ih_l0": kept[0]}, (-x,))
        torch.testing.assert_close(leaked[0], want)
        x.untyped_storage().resize_(0)
        with pytest.raises(fastgru.errors.FastGRUError):
            layer(x)


def test_a_torch_that_reads_all_saved_tensors_or_none(monkeypatch):
    layer, x = fastgru.GRU(3, 4, 2), torch.randn(5, 2, 3, requires_grad=True)

    def gradients():
        return torch.autograd.grad(layer(x)[0].sum(), [x, *layer.parameters()])

    want = gradients()
    monkeypatch.setattr(saving, "_READS_ONE", False)
    assert all(map(torch.equal, gradients(), want))
    output, _ = layer(x)
    with torch.no_grad():
        layer.weight_hh_l0.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        output.sum().backward()
