"""Layers whose reset gate comes before the product: equations, derivatives, transforms, tools, refusals.

The core's results, at every level and through every entry point, are compared in test_backends.py, and their bits in
test_bits.py and test_level_bits.py.
"""

from __future__ import annotations

import copy
import pickle
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils._per_sample_grad import call_for_per_sample_grads
from torch.nn.utils.rnn import pack_sequence
from torch.utils.flop_counter import FlopCounterMode

import fastgru
from fastgru import GRUSpec, errors, reference
from fastgru.backends import base
from strategies import seeds, sizes
from tolerance import assert_agrees


def layer_of(*args, **options):
    return fastgru.GRU(*args, reset_after=False, **options)


def named(tensors):
    return {str(i): tensor.detach() for i, tensor in enumerate(tensors)}


# -- the equations


@given(sizes, sizes, seeds)
@settings(max_examples=30)
def test_a_step_is_that_of_the_paper(inputs, hidden, seed):
    random = np.random.default_rng(seed)
    x, h = random.normal(size=(3, inputs)), random.normal(size=(3, hidden))
    shapes = GRUSpec(inputs, hidden).parameter_shapes
    weight_ih, weight_hh, bias_ih, bias_hh = (random.normal(size=shape) for shape in shapes)
    (w_r, w_z, w_n), (u_r, u_z, u_n) = np.split(weight_ih, 3), np.split(weight_hh, 3)
    b_r, b_z, b_n = np.split(bias_ih + bias_hh, 3)
    r = 1 / (1 + np.exp(-(x @ w_r.T + h @ u_r.T + b_r)))
    z = 1 / (1 + np.exp(-(x @ w_z.T + h @ u_z.T + b_z)))
    want = z * h + (1 - z) * np.tanh(x @ w_n.T + (r * h) @ u_n.T + b_n)
    got = reference.step(
        reference.NumPyOperations(),
        x @ weight_ih.T + bias_ih,
        h,
        lambda state: state @ weight_hh.T + bias_hh,
        reset_after=False,
    )
    assert_agrees({"": torch.from_numpy(got)}, {"": torch.from_numpy(want)})


def test_an_open_reset_gate_makes_both_kinds_the_same():
    stock = nn.GRU(3, 20, dtype=torch.float64)
    with torch.no_grad():
        stock.bias_ih_l0[:20] = 1e4  # the rows of r
    layer = layer_of(3, 20, dtype=torch.float64)
    layer.load_state_dict(stock.state_dict())
    x = torch.randn(6, 4, 3, dtype=torch.float64)
    assert_agrees(named(layer(x)), named(stock(x)))


def test_only_the_sum_of_the_biases_matters():
    layer = layer_of(3, 20, dtype=torch.float64)
    moved = copy.deepcopy(layer)
    with torch.no_grad():
        moved.bias_ih_l0 += moved.bias_hh_l0
        moved.bias_hh_l0.zero_()
    x = torch.randn(6, 4, 3, dtype=torch.float64)
    for own in (layer, moved):
        own(x)[0].sum().backward()
        assert torch.equal(own.bias_ih_l0.grad, own.bias_hh_l0.grad)
    assert_agrees(named(layer(x)), named(moved(x)))


# -- the layer


def test_the_option_is_shown_kept_and_copied():
    layer, cell = layer_of(3, 4, 2), fastgru.GRUCell(3, 4, reset_after=False)
    assert repr(layer) == "GRU(3, 4, num_layers=2, reset_after=False)"
    assert repr(cell) == "GRUCell(3, 4, reset_after=False)"
    assert layer.spec == GRUSpec(3, 4, 2, reset_after=False)
    for own in (layer, cell):
        for other in (copy.deepcopy(own), pickle.loads(pickle.dumps(own))):
            assert other.reset_after is False
            x = torch.randn(5, 2, 3) if own is layer else torch.randn(2, 3)
            assert all(torch.equal(a, b) for a, b in zip(own(x), other(x), strict=True))


@pytest.mark.parametrize("make", [fastgru.GRU, fastgru.GRUCell, fastgru.StatefulGRU])
def test_layers_from_before_the_option_are_plain_ones(make):
    layer = make(3, 4)
    assert "reset_after" not in vars(layer)
    assert layer.reset_after
    assert "reset_after" not in repr(layer)
    assert pickle.loads(pickle.dumps(layer)).reset_after


def test_parameters_have_the_same_names_and_shapes():
    plain, before = fastgru.GRU(3, 4, 2, bidirectional=True), layer_of(3, 4, 2, bidirectional=True)
    before.load_state_dict(plain.state_dict())
    assert [(k, v.shape) for k, v in plain.state_dict().items()] == [
        (k, v.shape) for k, v in before.state_dict().items()
    ]
    assert not torch.allclose(plain(torch.ones(5, 2, 3))[0], before(torch.ones(5, 2, 3))[0])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_calls_run_on_the_core(dtype):
    layer, x = layer_of(3, 4, dtype=dtype), torch.randn(5, 2, 3, dtype=dtype)
    assert fastgru.explain(layer, x).chosen == "cpu"
    cell = fastgru.GRUCell(3, 4, dtype=dtype, reset_after=False)
    assert fastgru.explain(cell, x[0]).chosen == "cpu"
    packed = pack_sequence([torch.randn(n, 3, dtype=dtype) for n in (4, 2)])
    explanation = fastgru.explain(layer, packed)
    assert explanation.chosen == "cpu"
    assert explanation.reasons["aten"] == "torch's operator resets after the product alone"


def test_cells_and_functions_have_the_option():
    cell, layer, x = fastgru.GRUCell(3, 20, reset_after=False), layer_of(3, 20), torch.randn(1, 5, 3)
    layer.load_state_dict({f"{name}_l0": value for name, value in cell.state_dict().items()})
    weights = list(layer.parameters())
    with torch.no_grad():
        want = layer(x)[0]
        assert torch.equal(cell(x[0]), want[0])
        assert torch.equal(fastgru.functional.gru(x, None, weights, reset_after=False)[0], want)
        assert torch.equal(fastgru.functional.gru_cell(x[0], None, *weights, reset_after=False), want[0])
        assert not torch.allclose(
            fastgru.functional.gru_cell(x[0], torch.ones(5, 20), *weights), cell(x[0], torch.ones(5, 20))
        )


@settings(max_examples=20)
@given(st.sampled_from((3, 17, 64, 130)), st.integers(1, 5), st.integers(1, 2), seeds)
def test_frozen_layers_steppers_and_streams_have_the_same_bits(hidden, batch, layers, seed):
    torch.manual_seed(seed)
    layer, x = layer_of(5, hidden, layers), torch.randn(7, batch, 5)
    stream = fastgru.StatefulGRU(5, hidden, layers, reset_after=False)
    stream.load_state_dict(layer.state_dict())
    stepper, frozen = layer.stepper(batch), copy.deepcopy(layer).freeze()
    with torch.no_grad():
        want, h_n = layer(x)
        assert torch.equal(torch.stack([stepper(step).clone() for step in x]), want)
        assert torch.equal(stepper.state, h_n)
        assert all(torch.equal(a, b) for a, b in zip(frozen(x), (want, h_n), strict=True))
        assert torch.equal(torch.cat([stream(chunk)[0] for chunk in x.split(2)]), want)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_frozen_layers_of_16_bits_have_the_same_bits(dtype):
    layer, x = layer_of(5, 33, 2, bidirectional=True, dtype=dtype), torch.randn(7, 9, 5, dtype=dtype)
    with torch.no_grad():
        want = layer(x)
        assert all(torch.equal(a, b) for a, b in zip(layer.freeze()(x), want, strict=True))


def test_recomputing_gives_the_same_gradients():
    layer, x = layer_of(5, 33, 2, bidirectional=True), torch.randn(9, 4, 5)
    found = []
    for layer.recompute in (False, True):
        output, h_n = layer(x, lengths=[9, 3, 0, 5])
        found.append(torch.autograd.grad(output.sin().sum() + h_n.sum(), list(layer.parameters())))
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


@pytest.mark.usefixtures("level")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_an_infinite_gradient_is_no_nan_where_vectors_are_not_full(dtype):
    layer = layer_of(1, 1, bias=False, dtype=dtype)
    for parameter in layer.parameters():
        nn.init.constant_(parameter, 0.5)
    x, h_0 = torch.zeros(4, 1, 1, dtype=dtype, requires_grad=True), torch.ones(1, 1, 1, dtype=dtype, requires_grad=True)
    found = torch.autograd.grad(layer(x, h_0)[1], [x, h_0], torch.full_like(h_0, torch.inf))
    assert all((gradient == torch.inf).all() for gradient in found)


# -- derivatives and what follows a call


def inputs_of(layer):
    x = torch.randn(4, 3, layer.input_size, dtype=torch.float64, requires_grad=True)
    states = torch.randn(layer.num_layers * (1 + layer.bidirectional), 3, layer.hidden_size, dtype=torch.float64)
    return x, states.requires_grad_()


@pytest.mark.parametrize("options", [{}, {"num_layers": 2, "bidirectional": True}, {"bias": False}])
@pytest.mark.parametrize("given", [{}, {"lengths": [4, 0, 2]}, {"reset": torch.eye(4, 3) > 0}])
def test_second_derivatives_are_those_of_the_reference(options, given):
    layer = layer_of(2, 3, dtype=torch.float64, **options)
    leaves = [*inputs_of(layer), *layer.parameters()]

    def second():
        output, h_n = layer(*leaves[:2], **given)
        first = torch.autograd.grad(output.sin().sum() + h_n.square().sum(), leaves, create_graph=True)
        return torch.autograd.grad(sum(g.square().sum() for g in first), leaves)

    got = second()
    with fastgru.use_backend("reference"):
        want = second()
    assert_agrees(named(got), named(want))


def test_batched_gradients():
    layer = layer_of(2, 3, dtype=torch.float64)
    x, _ = inputs_of(layer)
    output = layer(x)[0]
    outer = torch.randn(5, *output.shape, dtype=torch.float64)
    (got,) = torch.autograd.grad(output, x, outer, is_grads_batched=True, retain_graph=True)
    want = torch.stack([torch.autograd.grad(output, x, one, retain_graph=True)[0] for one in outer])
    assert_agrees({"": got}, {"": want})


def quietly(run, *arguments):
    """With no warning of the slow way, which is told of elsewhere."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", errors.SlowPathWarning)
        return run(*arguments)


def test_transforms():
    layer = layer_of(2, 3, 2, bidirectional=True, dtype=torch.float64)
    x, h_0 = (t.detach() for t in inputs_of(layer))
    parameters = {name: p.detach() for name, p in layer.named_parameters()}

    def loss(parameters, x):
        output, h_n = torch.func.functional_call(layer, parameters, (x, h_0))
        return output.sin().sum() + h_n.sum()

    found = quietly(torch.func.grad(loss), parameters, x)
    want = torch.autograd.grad(loss(dict(layer.named_parameters()), x), list(layer.parameters()))
    assert_agrees(found, dict(zip(parameters, want, strict=True)))
    many = torch.randn(3, *x.shape, dtype=torch.float64)
    outputs = quietly(torch.vmap(lambda x: layer(x)[0]), many)
    assert_agrees(named(outputs), named([layer(x)[0] for x in many]))
    tangent = torch.randn_like(x)
    _, moved = quietly(torch.func.jvp, lambda x: loss(parameters, x), (x,), (tangent,))
    leaf = x.requires_grad_()
    assert_agrees({"": moved}, {"": (torch.autograd.grad(loss(parameters, leaf), leaf)[0] * tangent).sum()})


def test_compiling_and_exporting():
    layer, x = layer_of(3, 4), torch.randn(3, 2, 3)
    want = layer(x)
    compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
    assert_agrees(named(compiled(x)), named(want))
    got = torch.autograd.grad(compiled(x)[0].sin().sum(), list(layer.parameters()))
    assert_agrees(named(got), named(torch.autograd.grad(layer(x)[0].sin().sum(), list(layer.parameters()))))
    steps = {0: torch.export.Dim("steps", max=64)}
    program = torch.export.export(layer, (x,), dynamic_shapes=(steps,))
    longer = torch.randn(20, 2, 3)
    assert_agrees(named(program.module()(longer)), named(layer(longer)))
    assert "fastgru.forward" in str(program.graph)


def test_operators_are_counted_and_differentiated():
    layer, x = layer_of(8, 16), torch.randn(5, 3, 8)
    with FlopCounterMode(display=False) as counter:
        layer(x)
    assert counter.get_total_flops() == 2 * 5 * 3 * 3 * 16 * (8 + 16)
    weights = [torch.stack([p, 2 * p]).requires_grad_() for p in layer.parameters()]
    many = torch.stack([x, x])
    output = torch.ops.fastgru.forward(many, None, None, weights, None, None, 1, False, False, False, True, False)[0]
    assert_agrees({"": output[0].detach()}, {"": layer(x)[0].detach()})
    first = torch.autograd.grad(output.sum(), weights, create_graph=True)
    with pytest.raises(errors.ShapeError, match="without reset_after"):
        sum(g.sum() for g in first).backward()


def test_a_slow_call_is_told_of(monkeypatch):
    monkeypatch.setattr(base, "_warned", set())
    layer, x = layer_of(3, 5), torch.randn(3, 2, 3)
    message = "our rules for a torch.func transform are those of layers that reset after the product"
    with pytest.warns(errors.SlowPathWarning, match=message):
        torch.vmap(lambda x: layer(x.unsqueeze(1))[0], in_dims=1)(x)


# -- refusals


def test_torch_has_no_such_layer():
    layer, cell = layer_of(3, 4), fastgru.GRUCell(3, 4, reset_after=False)
    for own in (layer, cell):
        with pytest.raises(TypeError, match="reset_after=False"):
            own.to_torch()
        with pytest.raises(TypeError, match="reset_after=False"):
            torch.jit.script(own)
    model = nn.ModuleDict({"a": layer, "b": fastgru.GRU(3, 4), "c": cell})
    report = fastgru.restore_gru(model)
    assert report.swapped == {"b": "torch.nn.GRU"}
    assert report.skipped == {
        "a": "it has reset_after=False, which torch.nn.GRU does not have",
        "c": "it has reset_after=False, which torch.nn.GRUCell does not have",
    }
    assert type(model["a"]) is fastgru.GRU
    assert fastgru.replace_gru(model).swapped == {"b": "fastgru.GRU"}


@pytest.mark.parametrize("weights", ["float16", "bfloat16", "int8"])
def test_weights_in_fewer_bytes_are_refused(weights):
    layer = layer_of(64, 64)
    with pytest.raises(errors.ArgumentError, match=f"freeze\\(weights='{weights}'\\) .* reset_after=False"):
        layer.freeze(weights)
    with pytest.raises(errors.ArgumentError, match=f"stepper\\(weights='{weights}'\\) .* reset_after=False"):
        layer.stepper(weights=weights)
    assert not layer.is_frozen


def test_projections_are_refused():
    with pytest.raises(errors.ArgumentError, match="proj_size is not possible for a GRU with reset_after=False"):
        layer_of(3, 8, proj_size=4)


def test_expanded_weights_are_refused():
    layer = layer_of(3, 4, batch_first=True)
    with pytest.raises(errors.ArgumentError, match="reset_after=False, by torch's ExpandedWeights"):
        call_for_per_sample_grads(layer, batch_size=2)(torch.randn(2, 5, 3))
