"""`explain` names the path that a call takes."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.autograd import forward_ad
from torch.testing._internal.two_tensor import TwoTensor
from torch.utils._python_dispatch import TorchDispatchMode

import fastgru
from fastgru import dispatch

X = torch.randn(5, 2, 3)


def test_the_core_serves_plain_calls():
    told = fastgru.explain(fastgru.GRU(3, 4), X)
    assert told.chosen == "cpu"
    assert told.reasons == {"onnx": "there is no ONNX export", "cpu": None, "aten": None, "reference": None}
    assert told.threads == torch.get_num_threads()
    text = str(told)
    assert "cpu: runs" in text
    assert f"CPU level: {told.level}" in text


def test_complex_numbers_go_to_torch():
    told = fastgru.explain(fastgru.GRU(3, 4, dtype=torch.complex64), X.to(torch.complex64))
    assert told.chosen == "aten"
    assert "takes float32, float64, bfloat16 and float16" in told.reasons["cpu"]
    assert "aten: runs" in str(told)


def test_other_devices_go_to_torch():
    told = fastgru.explain(fastgru.GRU(3, 4, device="meta"), X.to("meta"))
    assert told.chosen == "aten"
    assert "meta" in told.reasons["cpu"]


def test_an_empty_batch_goes_to_torch():
    assert fastgru.explain(fastgru.GRU(3, 4), torch.randn(5, 0, 3)).chosen == "aten"


def test_a_cell_without_units_goes_to_torch():
    cell, stock = fastgru.GRUCell(3, 0), nn.GRUCell(3, 0)
    assert fastgru.explain(cell, X[0]).chosen == "aten"
    with torch.no_grad():
        assert cell(X[0]).shape == stock(X[0]).shape == (2, 0)


def test_cells_are_explained_too():
    assert fastgru.explain(fastgru.GRUCell(3, 4), X[0]).chosen == "cpu"


def test_forward_mode_is_ours():
    with forward_ad.dual_level():
        x = forward_ad.make_dual(X, torch.ones_like(X))
        told = fastgru.explain(fastgru.GRU(3, 4), x)
    assert told.chosen == "cpu"


def test_transforms_are_ours_with_tangents_too():
    layer, told = fastgru.GRU(3, 4), []

    def watch(x):
        told.append(fastgru.explain(layer, x))
        return x

    torch.func.vmap(watch)(torch.randn(2, 5, 2, 3))
    assert told[0].chosen == "cpu"
    torch.func.jvp(watch, (torch.randn(5, 2, 3),), (torch.randn(5, 2, 3),))
    assert told[1].chosen == "cpu"


class Watching(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.seen.append(str(func))
        return func(*args, **(kwargs or {}))


def test_dispatch_modes_see_one_operator():
    layer = fastgru.GRU(3, 4)
    with Watching() as mode:
        assert fastgru.explain(layer, X).chosen == "cpu"
        layer(X)
    assert "fastgru.forward.default" in mode.seen


def test_subclasses_of_tensor_go_to_torch():
    told = fastgru.explain(fastgru.GRU(3, 4), TwoTensor(X, X.clone()))
    assert told.chosen == "aten"
    assert "TwoTensor" in told.reasons["cpu"]


@pytest.mark.filterwarnings("ignore:`torch.jit.trace:DeprecationWarning")
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")  # checks of sizes, as in torch's own layers
def test_tracing_goes_to_torch():
    class Watching(nn.Module):
        def __init__(self):
            super().__init__()
            self.gru = fastgru.GRU(3, 4)
            self.told = []

        def forward(self, x):
            self.told.append(fastgru.explain(self.gru, x).chosen)
            return self.gru(x)[0]

    model = Watching()
    traced = torch.jit.trace(model, X, check_trace=False)
    assert model.told == ["aten"]
    assert torch.allclose(traced(X + 1), model.gru(X + 1)[0], atol=1e-6)


@pytest.mark.parametrize("name", [backend.name for backend in dispatch.BACKENDS if backend.name != "onnx"])
def test_a_backend_can_be_asked_for(name):
    layer = fastgru.GRU(3, 4)
    want = layer(X)[0]
    with fastgru.use_backend(name):
        assert fastgru.explain(layer, X).chosen == name
        assert torch.allclose(layer(X)[0], want, atol=1e-6)
    assert fastgru.explain(layer, X).chosen == "cpu"


def test_explaining_computes_nothing_and_keeps_the_generator():
    layer = fastgru.GRU(3, 4, 2, dropout=0.5)
    before = torch.get_rng_state()
    fastgru.explain(layer, X)
    assert torch.equal(before, torch.get_rng_state())
