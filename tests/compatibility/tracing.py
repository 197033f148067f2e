"""torch.jit, torch.fx and dynamic quantization, which know torch's layer by name."""

from __future__ import annotations

import torch
from torch import nn

from compatibility.models import Model, agree
from compatibility.registry import Library, capability

HEADING = "Tracing and quantization"


@capability("`torch.jit.script` (ours: becomes torch's layer on the same parameters)")
def scripts(library: Library) -> None:
    model, x = Model(library), torch.randn(5, 6, 3)
    want = model(x)
    agree(torch.jit.script(model)(x), want)


@capability("`torch.jit.trace`, called with other sizes")
def traces(library: Library) -> None:
    model, x = Model(library), torch.randn(7, 4, 3)
    agree(torch.jit.trace(model, torch.randn(2, 5, 3))(x), model(x))


@capability("`torch.fx.symbolic_trace`: the layer is one node")
def fx_records_one_node(library: Library) -> None:
    model, x = Model(library), torch.randn(7, 4, 3)
    graph = torch.fx.symbolic_trace(model)
    assert [str(node.target) for node in graph.graph.nodes if node.op == "call_module"] == ["before", "gru", "after"]
    agree(graph(x), model(x))


def is_quantized(model: nn.Sequential) -> bool:
    """Whether `quantize_dynamic` puts its own layer in the place of the first."""
    made = torch.ao.quantization.quantize_dynamic(model, {nn.GRU, nn.Linear})
    made(torch.randn(5, 3, 8))
    return type(made[0]) is torch.ao.nn.quantized.dynamic.GRU


@capability("`quantize_dynamic` of a model that builds `torch.nn.GRU` (ours under `fastgru.patch()`)")
def is_quantized_under_patch(library: Library) -> None:
    with library.patch():
        assert is_quantized(nn.Sequential(nn.GRU(8, 16)))


@capability("`quantize_dynamic` of a model that names the layer itself (ours: `fastgru.restore_gru` first)")
def is_quantized_by_itself(library: Library) -> None:
    assert is_quantized(nn.Sequential(library.GRU(8, 16))), "it compares exact types; the layer stays, with a warning"
