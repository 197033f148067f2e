"""Gradients of a layer as programs use them: partial, second, forward mode, under torch.func."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn
from torch.autograd import forward_ad
from torch.utils.checkpoint import checkpoint

import fastgru
from layer_pairs import KINDS, everything, pair, results
from tolerance import TIMES_TORCHS_GRADIENTS, assert_agrees

MODIFIED = r"modified (by an inplace operation|inplace)"


def inputs(kind, states=1):
    """An input and a state, both wanting gradients."""
    torch.manual_seed(2)
    shapes = {"GRU": [(4, 2, 3), (states, 2, 5)], "GRUCell": [(2, 3), (2, 5)]}[kind]
    return [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]


def double(kind, **kwargs):
    return pair(kind, 3, 5, dtype=torch.float64, **kwargs)


every_kind = pytest.mark.parametrize("kind", KINDS)


# -- which gradients -----------------------------------------------------------------------------


@every_kind
def test_any_subset_may_require_grad(kind):
    ours, stock = double(kind)
    names = [name for name, _ in ours.named_parameters()]
    for wanted in itertools.product([False, True], repeat=len(names) + 2):
        for layer in (ours, stock):
            for parameter, want in zip(layer.parameters(), wanted, strict=False):
                parameter.requires_grad_(want)
        x, h_0 = (t.detach().requires_grad_(w) for t, w in zip(inputs(kind), wanted[-2:], strict=True))
        outcome = results(ours(x, h_0))
        assert [t.requires_grad for t in outcome] == [any(wanted)] * len(outcome)
        assert_agrees(everything(ours, x, h_0), everything(stock, x, h_0))


@pytest.mark.parametrize("use", ["output", "h_n", "one step", "both, twice"])
def test_a_loss_may_use_any_part_of_the_results(use):
    loss = {
        "output": lambda output, h_n: output.sum(),
        "h_n": lambda output, h_n: h_n.square().sum(),
        "one step": lambda output, h_n: output[2].exp().sum(),
        "both, twice": lambda output, h_n: (output * h_n).sum() + output[-1].sum(),
    }[use]
    grads = []
    for layer in double("GRU", num_layers=2, bidirectional=True):
        x = inputs("GRU")[0]
        output, h_n = layer(x)
        total = loss(output, h_n[:1].repeat(1, 1, 2))
        wanted = {"x": x, **dict(layer.named_parameters())}
        got = torch.autograd.grad(total, list(wanted.values()), allow_unused=True)
        assert [name for name, g in zip(wanted, got, strict=True) if g is None] == []
        grads.append(dict(zip(wanted, got, strict=True)))
    assert_agrees(*grads)


@every_kind
def test_no_grad_and_inference_mode(kind):
    ours, stock = double(kind)
    x, h_0 = inputs(kind)
    with torch.no_grad():
        without = results(ours(x, h_0))
    with torch.inference_mode():
        inference = results(ours(x, h_0))
    assert not any(t.requires_grad for t in without)
    assert all(t.is_inference() for t in inference)
    for got in (without, inference):
        for mine, want in zip(got, results(stock(x, h_0)), strict=True):
            assert_agrees({"result": mine}, {"result": want.detach()})


def test_gradients_accumulate():
    ours, stock = double("GRU")
    for layer in (ours, stock):
        for _ in range(2):
            layer(inputs("GRU")[0])[0].square().sum().backward()
    assert_agrees(
        {n: p.grad for n, p in ours.named_parameters()},
        {n: p.grad for n, p in stock.named_parameters()},
    )


# -- changes between forward and backward --------------------------------------------------------


@every_kind
@pytest.mark.parametrize("what", ["input", "h_0", "weight_ih", "weight_hh"])
def test_an_input_changed_in_place_before_backward_is_an_error_as_in_torch(kind, what):
    for layer in double(kind):
        leaves = inputs(kind)
        x, h_0 = (leaf.clone() for leaf in leaves)
        result = results(layer(x, h_0))[0]
        parameters = {n.removesuffix("_l0"): p for n, p in layer.named_parameters()}
        with torch.no_grad():
            {"input": x, "h_0": h_0, **parameters}[what].add_(1)
        with pytest.raises(RuntimeError, match=MODIFIED):
            result.sum().backward()


def test_an_optimizer_step_between_forward_and_backward_is_an_error_as_in_torch():
    for layer in double("GRU"):
        x = inputs("GRU")[0]
        optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
        first, second = layer(x)[0].sum(), layer(x)[0].sum()
        first.backward()
        optimizer.step()
        with pytest.raises(RuntimeError, match=MODIFIED):
            second.backward()


IN_PLACE = {
    "mul_": lambda t: t.mul_(2),
    "relu_": lambda t: t.relu_(),
    "one step zeroed": lambda t: t[0].zero_(),
    "masked_fill_": lambda t: t.masked_fill_(t > 0.1, 0.5),
}


def after_a_change(layer, part, change):
    """The gradients after a result was changed in place, or the error that says it may not be."""
    x, h_0 = inputs("GRU", states=len(layer.all_weights))
    outcome = layer(x, h_0)
    wanted = {"x": x, "h_0": h_0, **dict(layer.named_parameters())}
    try:
        change(outcome[part])
        total = sum(t.square().sum() for t in outcome)
        return dict(zip(wanted, torch.autograd.grad(total, list(wanted.values())), strict=True))
    except RuntimeError as error:
        return error


@pytest.mark.parametrize("change", IN_PLACE)
@pytest.mark.parametrize("part", [0, 1], ids=["output", "h_n"])
@pytest.mark.parametrize("config", [{}, {"num_layers": 2}, {"bidirectional": True}], ids=str)
def test_a_result_may_be_changed_in_place_where_torch_allows_it(change, part, config):
    got, want = (after_a_change(la, part, IN_PLACE[change]) for la in double("GRU", **config))
    if isinstance(want, RuntimeError):
        assert isinstance(got, RuntimeError)
    else:
        assert not isinstance(got, RuntimeError), got
        assert_agrees(got, want)


# -- more than once ------------------------------------------------------------------------------


@every_kind
def test_backward_twice_with_retain_graph(kind):
    ours, _ = double(kind)
    x, h_0 = inputs(kind)
    total = sum(t.square().sum() for t in results(ours(x, h_0)))
    wanted = [x, h_0, *ours.parameters()]
    first = torch.autograd.grad(total, wanted, retain_graph=True)
    second = torch.autograd.grad(total, wanted)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        torch.autograd.grad(total, wanted)


@every_kind
def test_double_backward_equals_torchs(kind):
    """A gradient penalty: the norm of the input's gradient is part of the loss."""
    penalties = []
    for layer in double(kind):
        x, h_0 = inputs(kind)
        total = sum(t.square().sum() for t in results(layer(x, h_0)))
        d_x, d_h_0 = torch.autograd.grad(total, [x, h_0], create_graph=True)
        penalty = d_x.square().sum() + d_h_0.square().sum()
        wanted = {"x": x, "h_0": h_0, **dict(layer.named_parameters())}
        grads = torch.autograd.grad(penalty, list(wanted.values()))
        penalties.append({"penalty": penalty.detach(), **dict(zip(wanted, grads, strict=True))})
    assert_agrees(*penalties)


@pytest.mark.parametrize("config", [{}, {"num_layers": 2, "bidirectional": True, "bias": False}])
def test_gradcheck_and_gradgradcheck(config):
    layer = fastgru.GRU(2, 2, dtype=torch.float64, **config)
    states = len(layer.all_weights)
    x = torch.randn(2, 2, 2, dtype=torch.float64, requires_grad=True)
    h_0 = torch.randn(states, 2, 2, dtype=torch.float64, requires_grad=True)
    names = [name for name, _ in layer.named_parameters()]

    def run(x, h_0, *weights):
        return torch.func.functional_call(layer, dict(zip(names, weights, strict=True)), (x, h_0))

    leaves = (x, h_0, *(p.detach().requires_grad_() for p in layer.parameters()))
    assert torch.autograd.gradcheck(run, leaves, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(run, leaves)


@pytest.mark.parametrize("use_reentrant", [False, True])
def test_checkpointing(use_reentrant):
    ours, _ = double("GRU")
    x, h_0 = inputs("GRU")
    want = torch.autograd.grad(ours(x, h_0)[0].sum(), [x, h_0])
    again = checkpoint(ours, x, h_0, use_reentrant=use_reentrant)[0].sum()
    again.backward()
    assert torch.equal(x.grad, want[0])
    assert torch.equal(h_0.grad, want[1])


# -- forwards, and torch.func --------------------------------------------------------------------


@every_kind
def test_forward_mode(kind):
    tangents = []
    for layer in double(kind):
        x, h_0 = inputs(kind)
        with forward_ad.dual_level():
            dual = forward_ad.make_dual(x, torch.ones_like(x))
            outcome = results(layer(dual, h_0))
            tangents.append({f"{i}": forward_ad.unpack_dual(t).tangent for i, t in enumerate(outcome)})
    assert_agrees(*tangents)


TRANSFORMS = {
    "jvp": lambda f, x: torch.func.jvp(f, (x,), (torch.ones_like(x),))[1],
    "vjp": lambda f, x: torch.func.vjp(f, x)[1](torch.ones_like(f(x)))[0],
    "grad": lambda f, x: torch.func.grad(lambda x: f(x).square().sum())(x),
    "jacrev": lambda f, x: torch.func.jacrev(f)(x),
    "jacfwd": lambda f, x: torch.func.jacfwd(f)(x),
    "hessian": lambda f, x: torch.func.hessian(lambda x: f(x).square().sum())(x),
}


@pytest.mark.filterwarnings("ignore::fastgru.errors.SlowPathWarning")
@every_kind
@pytest.mark.parametrize("transform", TRANSFORMS)
def test_transforms_give_what_they_give_with_torchs_layer(kind, transform):
    outcomes = []
    for layer in double(kind):
        x, h_0 = inputs(kind)

        def call(x, layer=layer, h_0=h_0):
            return results(layer(x, h_0.detach()))[0]

        outcomes.append({transform: TRANSFORMS[transform](call, x.detach()).detach()})
    assert_agrees(*outcomes)


@pytest.mark.parametrize(("steps", "batch", "hidden"), [(100, 8, 64), (200, 32, 32), (50, 8, 256)])
def test_long_sums_are_as_exact_as_torchs(steps, batch, hidden):
    torch.manual_seed(0)
    stock = nn.GRU(hidden, hidden)
    exact = nn.GRU(hidden, hidden).double()
    exact.load_state_dict(stock.state_dict())
    x = torch.randn(steps, batch, hidden)
    gradients = {}
    for name, layer, own in (
        ("ours", fastgru.GRU.from_torch(stock), x),
        ("torch", stock, x),
        ("exact", exact, x.double()),
    ):
        own = own.clone().requires_grad_()
        wanted = [own, *layer.parameters()]
        gradients[name] = [g.double() for g in torch.autograd.grad(layer(own)[0].sin().sum(), wanted)]
    for ours, torchs, want in zip(*gradients.values(), strict=True):
        assert (ours - want).abs().max() <= TIMES_TORCHS_GRADIENTS * (torchs - want).abs().max()


def test_vmap_over_inputs_equals_a_loop():
    layer = fastgru.GRU(3, 5, 2, bidirectional=True, dtype=torch.float64)
    x = torch.randn(4, 6, 2, 3, dtype=torch.float64)
    want = torch.stack([layer(one)[0] for one in x])
    for in_dim, moved in ((0, x), (2, x.movedim(0, 2))):
        got = torch.vmap(lambda one: layer(one)[0], in_dims=in_dim)(moved)
        assert_agrees({"output": got}, {"output": want})


def test_gradients_per_sample():
    layer = fastgru.GRU(3, 5, dtype=torch.float64)
    weights = {n: p.detach() for n, p in layer.named_parameters()}
    x = torch.randn(6, 4, 3, dtype=torch.float64)

    def loss(weights, one):
        return torch.func.functional_call(layer, weights, (one,))[1].square().sum()

    got = torch.vmap(torch.func.grad(loss), in_dims=(None, 1))(weights, x)
    want = [torch.func.grad(loss)(weights, x[:, b]) for b in range(4)]
    assert_agrees(got, {n: torch.stack([w[n] for w in want]) for n in weights})


def test_a_model_compiles_in_one_graph():
    ours, stock = pair("GRU", 3, 5, 2, bidirectional=True)
    torch._dynamo.reset()
    compiled = torch.compile(nn.Sequential(nn.Identity(), ours), backend="aot_eager", fullgraph=True)
    x = torch.randn(4, 2, 3, requires_grad=True)
    got = compiled(x)
    assert_agrees({"output": got[0]}, {"output": stock(x)[0]})
    grads = [torch.autograd.grad(o.sum(), x)[0] for o in (got[0], stock(x)[0])]
    assert_agrees({"x": grads[0]}, {"x": grads[1]})
