"""torch.func transforms with lengths and resets, against the reference for one model or row at a time."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.func import functional_call, grad, hessian, jacfwd, jacrev, jvp, stack_module_state, vjp, vmap
from torch.utils._pytree import tree_leaves, tree_map

import fastgru
from strategies import seeds
from tolerance import assert_agrees

NAMES = ("x", "h_0", "reset_state", "lengths", "reset")


@dataclass
class Problem:
    """A layer in float64, inputs for `count` calls of it, and as many sets of parameters."""

    layer: fastgru.GRU
    count: int
    one: dict[str, torch.Tensor]
    many: dict[str, torch.Tensor]

    def parameters(self):
        return {name: p.detach() for name, p in self.layer.named_parameters()}

    def stacked_parameters(self):
        return {
            name: torch.stack([p * (1 + i / 8) for i in range(self.count)]) for name, p in self.parameters().items()
        }

    def results(self, parameters, inputs):
        hx = inputs.get("h_0")
        options = {name: inputs[name] for name in ("lengths", "reset", "reset_state") if name in inputs}
        return functional_call(self.layer, parameters, (inputs["x"], hx), options)

    def loss(self, parameters, inputs):
        return sum(t.sin().sum() for t in self.results(parameters, inputs))


@st.composite
def problems(draw):
    torch.manual_seed(draw(seeds))
    layers, directions = draw(st.integers(1, 2)), draw(st.integers(1, 2))
    batch_first, batch, steps, count = draw(st.booleans()), draw(st.integers(1, 3)), draw(st.integers(1, 5)), 3
    layer = fastgru.GRU(
        2,
        3,
        layers,
        bias=draw(st.booleans()),
        batch_first=batch_first,
        bidirectional=directions == 2,
        dtype=torch.float64,
    )
    lead, cells = ((batch, steps) if batch_first else (steps, batch)), layers * directions

    def make():
        return {
            "x": torch.randn(*lead, 2).double(),
            "h_0": torch.randn(cells, batch, 3).double(),
            "reset_state": torch.randn(cells, 3).double(),
            "lengths": torch.randint(0, steps + 1, (batch,)),
            "reset": torch.rand(lead) < 0.4,
        }

    given = ["x", *(name for name in ("h_0", "lengths") if draw(st.booleans()))]
    if draw(st.booleans()):
        given += ["reset", "reset_state"]
    one = {name: t for name, t in make().items() if name in given}
    every = [make() for _ in range(count)]
    return Problem(layer, count, one, {name: torch.stack([each[name] for each in every]) for name in given})


def reference(function):
    def run(*arguments):
        with fastgru.use_backend("reference"):
            return function(*arguments)

    return run


def one_by_one(function, count, *stacked):
    results = [function(*(tree_map(lambda t, i=i: t[i], part) for part in stacked)) for i in range(count)]
    return tree_map(lambda *parts: torch.stack(parts), *results)


def assert_same(got, want):
    got, want = tree_leaves(got), tree_leaves(want)
    assert len(got) == len(want)
    assert_agrees(dict(enumerate(got)), dict(enumerate(want)))


@settings(max_examples=25)
@given(problems())
def test_vmap_over_inputs(p):
    parameters = p.parameters()
    got = vmap(lambda inputs: p.results(parameters, inputs))(p.many)
    assert_same(got, one_by_one(reference(lambda inputs: p.results(parameters, inputs)), p.count, p.many))


@settings(max_examples=25)
@given(problems(), st.booleans())
def test_vmap_over_parameters(p, shares_inputs):
    models, inputs = p.stacked_parameters(), p.one if shares_inputs else p.many
    got = vmap(p.results, in_dims=(0, None if shares_inputs else 0))(models, inputs)
    every = tree_map(lambda t: t.expand(p.count, *t.shape), p.one) if shares_inputs else p.many
    assert_same(got, one_by_one(reference(p.results), p.count, models, every))


@settings(max_examples=25)
@given(problems())
def test_gradients_of_every_sample(p):
    floating = {name: t for name, t in p.many.items() if t.is_floating_point()}
    rest = {name: t for name, t in p.many.items() if name not in floating}

    def gradients(parameters, values, others):
        return grad(lambda w, v: p.loss(w, v | others), argnums=(0, 1))(parameters, values)

    parameters = p.parameters()
    got = vmap(gradients, in_dims=(None, 0, 0))(parameters, floating, rest)
    want = one_by_one(reference(lambda v, o: gradients(parameters, v, o)), p.count, floating, rest)
    assert_same(got, want)


@settings(max_examples=15)
@given(problems())
def test_gradients_of_inputs_alone(p):
    def gradient(x, others):
        return grad(lambda x: p.loss(p.parameters(), others | {"x": x}))(x)

    rest = {name: t for name, t in p.many.items() if name != "x"}
    got = vmap(gradient)(p.many["x"], rest)
    assert_same(got, one_by_one(reference(gradient), p.count, p.many["x"], rest))


@settings(max_examples=15)
@given(problems())
def test_gradients_of_a_sum_over_a_batch_of_models(p):
    def total(parameters):
        return vmap(lambda inputs: p.loss(parameters, inputs))(p.many).sum()

    def want(parameters):
        return sum(p.loss(parameters, tree_map(lambda t, i=i: t[i], p.many)) for i in range(p.count))

    assert_same(grad(total)(p.parameters()), grad(reference(want))(p.parameters()))


@settings(max_examples=10)
@given(problems())
def test_transforms_of_transforms(p):
    models = p.stacked_parameters()
    nested = vmap(lambda inputs: vmap(p.results, in_dims=(0, None))(models, inputs))(p.many)
    for i in range(p.count):
        inputs = tree_map(lambda t, i=i: t[i], p.many)
        every = tree_map(lambda t: t.expand(p.count, *t.shape), inputs)
        assert_same(tree_map(lambda t, i=i: t[i], nested), one_by_one(reference(p.results), p.count, models, every))


@pytest.mark.filterwarnings("ignore::fastgru.errors.SlowPathWarning")
@settings(max_examples=8)
@given(problems())
def test_derivatives_of_every_kind(p):
    parameters = p.parameters()

    def f(x):
        return sum(t.sin().sum() for t in p.results(parameters, p.one | {"x": x}))

    x = p.one["x"]
    for transform in (
        jacrev,
        jacfwd,
        lambda f: jacrev(jacrev(f)),
        hessian,
        lambda f: grad(lambda x: grad(f)(x).sin().sum()),
    ):
        assert_same(transform(f)(x), transform(reference(f))(x))
    assert_same(jvp(f, (x,), (x.cos(),)), jvp(reference(f), (x,), (x.cos(),)))
    assert_same(vjp(f, x)[1](torch.ones(()).double()), vjp(reference(f), x)[1](torch.ones(()).double()))


def test_an_ensemble_is_one_call(monkeypatch):
    layers = [fastgru.GRU(4, 8, 2) for _ in range(3)]
    parameters, buffers = stack_module_state(layers)
    base, x = fastgru.GRU(4, 8, 2).to("meta"), torch.randn(5, 2, 4)
    calls = []
    right = fastgru.backends.cpu.many_models.forward
    monkeypatch.setattr(fastgru.backends.cpu.many_models, "forward", lambda *a: calls.append(1) or right(*a))
    output, h_n = vmap(lambda p, b: functional_call(base, (p, b), (x,)))(parameters, buffers)
    assert calls == [1]
    for i, layer in enumerate(layers):
        assert torch.equal(output[i], layer(x)[0])
        assert torch.equal(h_n[i], layer(x)[1])


@pytest.mark.parametrize("level_threads", [1, 2])
def test_ensembles_and_samples_have_the_bits_of_single_calls(level, level_threads):
    torch.set_num_threads(level_threads)
    layer, xs = fastgru.GRU(5, 17, 2, bidirectional=True), torch.randn(4, 6, 3, 5)
    output, h_n = vmap(layer)(xs)
    for i, x in enumerate(xs):
        assert torch.equal(output[i], layer(x)[0])
        assert torch.equal(h_n[i], layer(x)[1])
    parameters = dict(layer.named_parameters())
    gradients = vmap(grad(lambda p, x: functional_call(layer, p, (x,))[0].sum()), in_dims=(None, 0))(parameters, xs)
    for i, x in enumerate(xs):
        alone = torch.autograd.grad(layer(x)[0].sum(), list(parameters.values()))
        assert all(torch.equal(mine[i], want) for mine, want in zip(gradients.values(), alone, strict=True))


def test_lengths_are_checked_inside_transforms():
    layer, x = fastgru.GRU(2, 3), torch.randn(4, 5, 2, 2)
    with pytest.raises(fastgru.errors.SequenceError, match="is 6"):
        vmap(lambda x, n: layer(x, lengths=n))(x, torch.tensor([[1, 2], [5, 6], [0, 0], [1, 1]]))
