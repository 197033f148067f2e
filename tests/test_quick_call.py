"""Layers are called without torch's `Module.__call__` only where nobody would notice."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.modules import module

import fastgru

X = torch.randn(3, 2, 4)


@pytest.fixture(params=[lambda: (fastgru.GRU(4, 5), X), lambda: (fastgru.GRUCell(4, 5), X[0])], ids=["layer", "cell"])
def called(request):
    return request.param()


@pytest.fixture
def calls(monkeypatch):
    """How often torch's own way is taken."""
    counted = []
    real = nn.Module._call_impl

    def counting(self, *args, **kwargs):
        counted.append(self)
        return real(self, *args, **kwargs)

    def count():
        monkeypatch.setattr(nn.Module, "_call_impl", counting)
        monkeypatch.setattr("fastgru.nn.quick_call._CALL_IMPLEMENTATION", counting)
        return counted

    return count


def test_a_plain_call_goes_straight_to_forward(called, calls):
    layer, x = called
    counted = calls()
    layer(x)
    assert counted == []
    nn.Identity()(x)
    assert len(counted) == 1


REGISTER = {
    "forward": lambda m, note: m.register_forward_hook(lambda *_: note()),
    "forward pre": lambda m, note: m.register_forward_pre_hook(lambda *_: note()),
    "full backward": lambda m, note: m.register_full_backward_hook(lambda *_: note()),
    "full backward pre": lambda m, note: m.register_full_backward_pre_hook(lambda *_: note()),
    "every forward": lambda _, note: module.register_module_forward_hook(lambda *_: note()),
    "every forward pre": lambda _, note: module.register_module_forward_pre_hook(lambda *_: note()),
    "every full backward": lambda _, note: module.register_module_full_backward_hook(lambda *_: note()),
    "every full backward pre": lambda _, note: module.register_module_full_backward_pre_hook(lambda *_: note()),
}


@pytest.mark.parametrize("kind", REGISTER)
def test_every_kind_of_hook_is_called(kind, called):
    layer, x = called
    noted = []
    handle = REGISTER[kind](layer, lambda: noted.append(kind))
    try:
        output = layer(x.clone().requires_grad_())
        (output[0] if isinstance(output, tuple) else output).sum().backward()
    finally:
        handle.remove()
    assert noted == [kind]
    layer(x)
    assert noted == [kind]


@pytest.mark.parametrize("name", ["__call__", "_call_impl"])
def test_tools_that_replace_torchs_functions_see_the_call(name, called, monkeypatch):
    layer, x = called
    real, seen = getattr(nn.Module, name), []

    def watched(self, *args, **kwargs):
        seen.append(type(self))
        return real(self, *args, **kwargs)

    monkeypatch.setattr(nn.Module, name, watched)
    layer(x)
    assert seen == [type(layer)]


def test_arguments_by_name_arrive(called):
    layer, x = called
    got, want = layer(input=x), layer(x)
    assert all(map(torch.equal, got, want)) if isinstance(want, tuple) else torch.equal(got, want)


def test_a_compiled_layer_runs_what_was_compiled(called):
    layer, x = called
    seen = []

    def backend(graph, _):
        seen.append(graph)
        return graph

    want = layer(x)
    layer.compile(backend=backend)
    got = layer(x)
    assert len(seen) == 1
    torch.testing.assert_close(got, want)


def test_a_forward_of_the_object_is_called(called):
    layer, x = called
    layer.forward = lambda *_: "its own"
    assert layer(x) == "its own"


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning")
def test_a_trace_has_the_layers_scope(called):
    layer, x = called
    model = nn.Sequential(layer)
    traced = torch.jit.trace(model, x, check_trace=False)
    assert "0" in dict(traced.named_children())


def test_a_subclass_may_call_differently():
    class Doubling(fastgru.GRUCell):
        def __call__(self, x):
            return 2 * super().__call__(x)

    cell = Doubling(4, 5)
    assert torch.equal(cell(X[0]), 2 * cell.forward(X[0]))
