"""Torch's tools with our layers: profiler, compiled autograd, ExpandedWeights, ScriptModule, graph drawing."""

from __future__ import annotations

import io
from importlib.util import find_spec

import pytest
import torch
from torch import nn
from torch._dynamo import compiled_autograd
from torch._dynamo.testing import CompileCounter
from torch.nn.utils._per_sample_grad import call_for_per_sample_grads
from torch.nn.utils.rnn import pack_padded_sequence
from torch.profiler import ProfilerActivity, profile

import fastgru
import fastgru.recording
from layer_pairs import FORMS, example, of_form, pair, results
from tolerance import assert_agrees

T, B, F, H = 5, 3, 4, 6
LENGTHS = [5, 3, 1]
every_form = pytest.mark.parametrize(("kind", "options"), FORMS, ids=str)


def packed(x):
    return pack_padded_sequence(x, LENGTHS)


# -- the profiler ------------------------------------------------------------------------------------

CALLS = {
    "plain": lambda x: fastgru.GRU(F, H)(x),
    "a state": lambda x: fastgru.GRU(F, H)(x, torch.zeros(1, B, H)),
    "frozen": lambda x: fastgru.GRU(F, H).freeze()(x),
    "packed": lambda x: fastgru.GRU(F, H)(packed(x)),
    "lengths": lambda x: fastgru.GRU(F, H)(x, lengths=LENGTHS),
    "dropout": lambda x: fastgru.GRU(F, H, 2, dropout=0.5)(x),
    "bfloat16": lambda x: fastgru.GRU(F, H, dtype=torch.bfloat16)(x.bfloat16()),
    "cell": lambda x: fastgru.GRUCell(F, H)(x[0]),
    "stepper": lambda x: fastgru.GRU(F, H).stepper(B)(x[0]),
}


@pytest.mark.parametrize("trains", [False, True])
@pytest.mark.parametrize("call", CALLS)
def test_the_profiler_shows_every_call_with_its_shapes(call, trains):
    x = torch.randn(T, B, F)
    with torch.set_grad_enabled(trains), profile(activities=[ProfilerActivity.CPU], record_shapes=True) as seen:
        CALLS[call](x)
    shown = [event for event in seen.key_averages(group_by_input_shape=True) if event.key == "fastgru::gru"]
    assert [event.count for event in shown] == [1]
    assert shown[0].input_shapes[0][-1] == F


def test_without_a_profiler_no_range_is_made(monkeypatch):
    def forbidden(*_):
        raise AssertionError("a range without a profiler")

    monkeypatch.setattr(fastgru.recording, "span", forbidden)
    for call in CALLS.values():
        call(torch.randn(T, B, F))


# -- compiled autograd -------------------------------------------------------------------------------


def gradients(layer, call, compiler=None):
    """Of the parameters, after a forward pass that nobody compiled."""
    layer.zero_grad()
    torch.manual_seed(0)
    total = sum(t.square().sum() for t in results(call(layer)))
    if compiler is None:
        total.backward()
    else:
        with compiled_autograd._enable(torch.compile(backend=compiler, fullgraph=True)):
            total.backward()
    return {name: p.grad.clone() for name, p in layer.named_parameters()}


def changed(layer, x):
    output, h_n = layer(x)
    output += 1
    return output, h_n


BACKWARD = {
    "plain": ({}, lambda layer, x: layer(x)),
    "two layers both ways": ({"num_layers": 2, "bidirectional": True}, lambda layer, x: layer(x)),
    "a state": ({}, lambda layer, x: layer(x, torch.ones(1, B, H, dtype=x.dtype))),
    "output alone": ({}, lambda layer, x: layer(x)[0]),
    "h_n alone": ({}, lambda layer, x: layer(x)[1]),
    "output changed in place": ({}, changed),
    "packed": ({}, lambda layer, x: layer(packed(x))),
    "frozen": ({}, lambda layer, x: layer.freeze()(x)),
    "lengths": ({}, lambda layer, x: layer(x, lengths=[5, 3, 0])),
    "resets": ({}, lambda layer, x: layer(x, reset=torch.arange(T * B).view(T, B) % 3 == 1)),
    "a learned state": ({"learn_h0": True}, lambda layer, x: layer(x, reset=torch.arange(T * B).view(T, B) % 3 == 1)),
    "recompute": ({"recompute": True}, lambda layer, x: layer(x, lengths=[5, 3, 0])),
    "dropout": ({"num_layers": 2, "dropout": 0.5}, lambda layer, x: layer(x)),
    "bfloat16": ({"dtype": torch.bfloat16}, lambda layer, x: layer(x.bfloat16())),
    "reset before": ({"reset_after": False, "num_layers": 2}, lambda layer, x: layer(x, lengths=[5, 3, 0])),
    "double precision": ({"dtype": torch.float64}, lambda layer, x: layer(x.double())),
}


# Torch, making fake tensors of real ones, asks for gradients that it warns about.
quietly = pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")


@quietly
@pytest.mark.parametrize("case", BACKWARD)
def test_a_backward_pass_may_be_compiled_after_a_plain_forward_pass(case):
    options, call = BACKWARD[case]
    layer, x = fastgru.GRU(F, H, **options), torch.randn(T, B, F)
    torch._dynamo.reset()
    compiler = CompileCounter()
    got = gradients(layer, lambda layer: call(layer, x), compiler)
    assert compiler.frame_count == 1
    assert_agrees(got, gradients(layer, lambda layer: call(layer, x)))


@quietly
def test_a_cells_backward_pass_may_be_compiled():
    cell, x = fastgru.GRUCell(F, H), torch.randn(B, F)
    torch._dynamo.reset()
    assert_agrees(
        gradients(cell, lambda cell: cell(x, cell(x)), "eager"), gradients(cell, lambda cell: cell(x, cell(x)))
    )


# -- per-sample gradients by ExpandedWeights ---------------------------------------------------------

EXPANDED = {
    "a batch": lambda x: x,
    "packed": packed,
}


@pytest.mark.parametrize("kind", EXPANDED)
@pytest.mark.parametrize("options", [{}, {"bias": False}, {"num_layers": 2, "bidirectional": True}], ids=str)
def test_expanded_weights_get_torchs_gradients_of_each_sample(kind, options):
    ours, stock = pair("GRU", F, H, **options)
    x = EXPANDED[kind](torch.randn(T, B, F))
    found = []
    for layer in (ours, stock):
        call = call_for_per_sample_grads(layer, batch_size=B, batch_first=False)
        sum(t.square().sum() for t in results(call(x))).backward()
        found.append({name: p.grad_sample for name, p in layer.named_parameters()})
    assert_agrees(*found)


def test_expanded_weights_of_a_model_with_a_frozen_bias():
    found = []
    stock = nn.GRU(F, H, batch_first=True)
    for layer in (fastgru.GRU.from_torch(stock), stock):
        layer.bias_ih_l0.requires_grad_(False)
        layer.zero_grad()
        for p in layer.parameters():
            p.grad_sample = None
        call_for_per_sample_grads(layer)(torch.ones(B, T, F))[0].sum().backward()
        found.append({n: p.grad_sample.clone() for n, p in layer.named_parameters() if p.grad_sample is not None})
    assert len(found[0]) == 3
    assert_agrees(*found)


def test_expanded_weights_with_lengths_are_refused():
    call = call_for_per_sample_grads(fastgru.GRU(F, H), batch_size=B, batch_first=False)
    with pytest.raises(fastgru.errors.ArgumentError, match=r"no per-sample gradients for a call with lengths"):
        call(torch.randn(T, B, F), lengths=torch.tensor(LENGTHS))


# -- torch.jit.ScriptModule --------------------------------------------------------------------------


def scripted(library):
    class Scripted(torch.jit.ScriptModule):
        def __init__(self):
            super().__init__()
            self.gru = library.GRU(F, H)
            self.deep = nn.Sequential(nn.ModuleList([library.GRUCell(H, H)])[0], nn.Tanh())

        @torch.jit.script_method
        def forward(self, x):
            return self.gru(x)[0]

    return Scripted()


@pytest.mark.filterwarnings("ignore:`torch.jit.:DeprecationWarning")
def test_a_script_module_takes_our_layers(tmp_path):
    ours, stock = scripted(fastgru), scripted(nn)
    ours.load_state_dict(stock.state_dict())
    x = torch.randn(T, B, F)
    assert_agrees({"": ours(x).detach()}, {"": stock(x).detach()})
    file = io.BytesIO()
    torch.jit.save(ours, file)
    file.seek(0)
    assert torch.equal(torch.jit.load(file)(x), ours(x))


def test_other_modules_keep_our_layers():
    layer = fastgru.GRU(F, H)
    model = nn.Sequential(layer)
    assert model[0] is layer
    model.more = layer
    assert type(model.more) is fastgru.GRU


# -- graphs that are drawn ---------------------------------------------------------------------------


@every_form
@pytest.mark.parametrize("creates_graph", [False, True])
def test_no_node_keeps_a_tensor_that_is_none(kind, options, creates_graph):
    """As of torch's own nodes: programs that draw graphs ask each saved tensor for its size."""
    ours, _ = of_form(kind, **options)
    x = example(kind)
    total = sum(t.sum() for t in results(ours(x)))
    if creates_graph:
        total = torch.autograd.grad(total, x, create_graph=True)[0].sum()
    seen, left = set(), [total.grad_fn]
    while left:
        node = left.pop()
        if node is not None and node not in seen:
            seen.add(node)
            left += [after for after, _ in node.next_functions]
    kept = [t for node in seen for t in getattr(node, "saved_tensors", ())]
    assert all(isinstance(t, torch.Tensor) for t in kept)
    assert kept or creates_graph


@pytest.mark.skipif(find_spec("torchviz") is None, reason="torchviz is not installed")
@every_form
def test_torchviz_draws_a_layer(kind, options):
    import torchviz

    ours, _ = of_form(kind, **options)
    total = sum(t.sum() for t in results(ours(example(kind))))
    drawn = torchviz.make_dot(total, dict(ours.named_parameters()), show_attrs=True, show_saved=True)
    assert "_Gru" in drawn.source
