"""Derivatives of any order cost less than torch's, and are the same whichever way they are computed."""

from __future__ import annotations

import pytest
import torch
from torch.autograd import forward_ad
from torch.func import functional_call, hessian, jacfwd, jacrev, jvp
from torch.nn.utils.rnn import pack_padded_sequence
from torch.utils._python_dispatch import TorchDispatchMode

import fastgru
from fastgru.ops import functions, short
from fastgru.ops.inputs import Inputs
from pairs import pair
from tolerance import MOST_OF_TORCHS_OPERATORS, assert_agrees


class Count(TorchDispatchMode):
    """How many operators run."""

    def __init__(self):
        super().__init__()
        self.operators = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.operators += 1
        return function(*args, **(kwargs or {}))


def tangent(layer, x):
    with forward_ad.dual_level():
        return forward_ad.unpack_dual(layer(forward_ad.make_dual(x, x.cos()))[0]).tangent


def penalty(layer, x):
    x = x.clone().requires_grad_()
    (first,) = torch.autograd.grad(loss(layer)(x), x, create_graph=True)
    return torch.autograd.grad(first.square().sum(), [x, *layer.parameters()])


def loss(layer):
    return lambda x: layer(x)[0].sin().sum()


KINDS = {
    "forward mode": tangent,
    "jvp": lambda layer, x: jvp(loss(layer), (x,), (x.cos(),))[1],
    "jacfwd": lambda layer, x: jacfwd(loss(layer))(x),
    "penalty": penalty,
    "hvp": lambda layer, x: torch.autograd.functional.hvp(loss(layer), x, x.cos())[1],
    "hessian": lambda layer, x: hessian(loss(layer))(x),
    "jacrev twice": lambda layer, x: jacrev(jacrev(loss(layer)))(x),
    "jacfwd twice": lambda layer, x: jacfwd(jacfwd(loss(layer)))(x),
    "third": lambda layer, x: jacfwd(hessian(loss(layer)))(x[:4]),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("config", [{}, {"num_layers": 2, "bidirectional": True}], ids=str)
def test_derivatives_take_fewer_operators_than_torchs_and_agree(kind, config):
    ours, stock = pair("GRU", 2, 3, dtype=torch.float64, **config)
    x = torch.randn(24, 1, 2, dtype=torch.float64)
    found, counts = [], []
    for layer in (ours, stock):
        with Count() as count:
            result = KINDS[kind](layer, x)
        found.append(dict(enumerate(result)) if isinstance(result, tuple) else {"result": result})
        counts.append(count.operators)
    assert_agrees(*[{name: t.detach() for name, t in each.items()} for each in found])
    if kind != "third":  # of so few steps
        assert counts[0] < MOST_OF_TORCHS_OPERATORS * counts[1]


CONFIGS = [
    {},
    {"num_layers": 2, "bidirectional": True, "bias": False},
    {"num_layers": 2, "bidirectional": True, "batch_first": True, "bounded": True},
]


@pytest.mark.parametrize("config", CONFIGS, ids=str)
@pytest.mark.parametrize("is_short", [False, True])
def test_rules_for_sequences_and_for_a_few_steps(monkeypatch, config, is_short):
    torch.manual_seed(0)
    config = dict(config)
    monkeypatch.setattr(short, "MOST_STEPS", 10 * is_short)
    monkeypatch.setattr(short, "MOST_STEPS_TRANSFORMED", 10 * is_short)
    is_bounded = config.pop("bounded", False)
    layer = fastgru.GRU(2, 2, dtype=torch.float64, **config)
    lead = (2, 3) if layer.batch_first else (3, 2)
    reset = torch.tensor([[False, True, False], [True, False, True]])
    bounds = {"lengths": [3, 2], "reset": reset if layer.batch_first else reset.T} if is_bounded else {}
    names = [name for name, _ in layer.named_parameters()]
    cells = len(layer.all_weights)

    def run(x, h_0, anew, *weights):
        own = bounds | ({"reset_state": anew} if is_bounded else {})
        return functional_call(layer, dict(zip(names, weights, strict=True)), (x, h_0), own)

    leaves = [torch.randn(*lead, 2), torch.randn(cells, 2, 2), torch.randn(cells, 2), *layer.parameters()]
    leaves = [leaf.detach().double().requires_grad_() for leaf in leaves]
    leaves[2].requires_grad_(is_bounded)
    fast = {"fast_mode": True}
    assert torch.autograd.gradcheck(run, leaves, check_forward_ad=True, check_batched_grad=True, **fast)
    assert torch.autograd.gradgradcheck(run, leaves, check_fwd_over_rev=True, check_rev_over_rev=True, **fast)


@pytest.mark.parametrize("steps", [3, 16])
def test_gradients_in_batches_equal_torchs(steps):
    ours, stock = pair("GRU", 2, 3, 2, dtype=torch.float64)
    x = torch.randn(steps, 1, 2, dtype=torch.float64)
    found = []
    for layer in (ours, stock):
        jacobian = torch.autograd.functional.jacobian(lambda x, layer=layer: layer(x)[0], x, vectorize=True)
        second = torch.autograd.functional.hessian(loss(layer), x, vectorize=True)
        found.append({"jacobian": jacobian, "hessian": second})
    assert_agrees(*found)


@pytest.mark.parametrize("steps", [3, 16])
def test_second_derivatives_of_packed_sequences_equal_torchs(steps):
    ours, stock = pair("GRU", 2, 3, 2, bidirectional=True, dtype=torch.float64)
    x = torch.randn(steps, 3, 2, dtype=torch.float64)
    found = []
    for layer in (ours, stock):
        data = x.clone().requires_grad_()
        packed = pack_padded_sequence(data, [steps, 2, 1])
        total = layer(packed)[0].data.sin().sum()
        (first,) = torch.autograd.grad(total, data, create_graph=True)
        own = {"x": data, **dict(layer.named_parameters())}
        found.append(dict(zip(own, torch.autograd.grad(first.square().sum(), list(own.values())), strict=True)))
    assert_agrees(*found)


def test_only_gradients_that_are_asked_for_are_computed(monkeypatch):
    layer, x = fastgru.GRU(2, 3), torch.randn(16, 2, 2, requires_grad=True)
    asked = []
    right = functions.backward
    monkeypatch.setattr(
        functions, "backward", lambda d, e, own, wanted: asked.append(wanted) or right(d, e, own, wanted)
    )
    torch.autograd.grad(layer(x)[0].sum(), x, create_graph=True)
    torch.autograd.grad(layer(x)[0].sum(), layer.weight_hh_l0, create_graph=True)
    torch.autograd.grad(layer(x)[0].sum(), [x, *layer.parameters()], create_graph=True)
    assert [tuple(map(bool, wanted)) for wanted in asked] == [
        (True, False, False, False, False, False, False),
        (False, False, False, False, True, False, False),
        (True, False, False, True, True, True, True),
    ]


def test_third_derivatives_by_autograd_alone():
    ours, stock = pair("GRU", 2, 3, bidirectional=True, dtype=torch.float64)
    x = torch.randn(16, 2, 2, dtype=torch.float64)
    found = []
    for layer in (ours, stock):
        own = x.clone().requires_grad_()
        total = loss(layer)(own)
        for _ in range(3):
            (gradient,) = torch.autograd.grad(total, own, create_graph=True)
            total = gradient.square().sum()
        found.append({"third": gradient.detach()})
    assert_agrees(*found)


def test_values_past_an_end_reach_no_derivative():
    layer = fastgru.GRU(2, 3, 2, bidirectional=True, dtype=torch.float64)
    dirty = torch.randn(9, 2, 2, dtype=torch.float64)
    dirty[4:, 1] = float("nan")

    def second(x):
        total = lambda x: sum(t.sin().sum() for t in layer(x, lengths=[9, 4]))  # noqa: E731
        return jvp(torch.func.grad(total), (x,), (torch.ones_like(x),))[1]

    clean = dirty.nan_to_num()
    assert torch.equal(second(dirty), second(clean))


def test_a_dispatch_mode_sees_the_operator():
    layer, x = fastgru.GRU(2, 3), torch.randn(4, 2, 2)
    own = Inputs(x, None, None, list(layer.parameters()), None, None, 1, False, False, False)
    seen = []

    class Names(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            seen.append(function.name())
            return function(*args, **(kwargs or {}))

    with Names():
        output, _ = functions.forward(own)
    assert "fastgru::forward" in seen
    assert torch.equal(output, layer(x)[0])
