"""Dtypes."""

from __future__ import annotations

import torch
from torch import nn
from torch._subclasses import FakeTensor, FakeTensorMode

from compatibility.models import agree
from compatibility.registry import Library, capability
from tolerance import rms_error

HEADING = "Precision"


@capability('`torch.autocast("cpu", torch.bfloat16)` gives what `torch.nn.Linear` gives: bfloat16')
def autocast_as_linear(library: Library) -> None:
    layer, linear, x = library.GRU(3, 5), nn.Linear(3, 5), torch.randn(4, 2, 3)
    with torch.autocast("cpu", torch.bfloat16):
        found, want = layer(x)[0].dtype, linear(x).dtype
    assert found is want, f"results are {found}"


def half(library: Library, dtype: torch.dtype) -> None:
    """No further from the same layer in float64, results and gradients, than torch's in this type."""
    layers = {"own": library.GRU(64, 64, 2, dtype=dtype), "torch": nn.GRU(64, 64, 2, dtype=dtype)}
    exact = nn.GRU(64, 64, 2, dtype=torch.float64)
    for layer in layers.values():
        layer.load_state_dict(layers["torch"].state_dict())
    exact.load_state_dict(layers["torch"].state_dict())
    x = torch.randn(50, 8, 64).to(dtype)

    def errors(layer: nn.Module) -> list[float]:
        return [rms_error(got, want) for got, want in zip(found(layer, x), found(exact, x.double()), strict=True)]

    def found(layer: nn.Module, x: torch.Tensor) -> list[torch.Tensor]:
        output, h_n = layer(x)
        gradients = torch.autograd.grad(output.sum() + h_n.sum(), list(layer.parameters()))
        return [output.detach(), h_n.detach(), *gradients]

    for mine, torchs in zip(errors(layers["own"]), errors(layers["torch"]), strict=True):
        assert mine <= torchs, "errors larger than torch's"


@capability("bfloat16 parameters, trained; errors no larger than torch's")
def bfloat16(library: Library) -> None:
    half(library, torch.bfloat16)


@capability("float16 parameters, trained; errors no larger than torch's")
def float16(library: Library) -> None:
    half(library, torch.float16)


@capability("float64")
def float64(library: Library) -> None:
    layer, x = library.GRU(3, 5, dtype=torch.float64), torch.randn(4, 2, 3, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x, *_: layer(x), (x.requires_grad_(), *layer.parameters()))


@capability("complex64 (ours through torch's operator)")
def complex64(library: Library) -> None:
    layer, x = library.GRU(3, 5, dtype=torch.complex64), torch.randn(4, 2, 3, dtype=torch.complex64)
    stock = nn.GRU(3, 5, dtype=torch.complex64)
    stock.load_state_dict(layer.state_dict())
    agree([torch.view_as_real(t) for t in layer(x)], [torch.view_as_real(t) for t in stock(x)])


@capability("the meta device")
def meta(library: Library) -> None:
    layer = library.GRU(3, 5, device="meta")
    output, _ = layer(torch.randn(4, 2, 3, device="meta"))
    output.sum().backward()
    assert layer.weight_hh_l0.grad.shape == (15, 5)


@capability("fake tensors")
def fake(library: Library) -> None:
    with FakeTensorMode():
        layer = library.GRU(3, 5)
        output, _ = layer(torch.randn(4, 2, 3))
        output.sum().backward()
        assert isinstance(output, FakeTensor)
        assert output.shape == (4, 2, 5)
        assert layer.weight_hh_l0.grad.shape == (15, 5)
