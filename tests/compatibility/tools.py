"""Torch's tools that count, profile, trace or average models."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.utils._per_sample_grad import call_for_per_sample_grads
from torch.optim.swa_utils import AveragedModel
from torch.profiler import profile
from torch.utils.flop_counter import FlopCounterMode

from compatibility.models import Model, agree, learns, trained
from compatibility.registry import STOCK, Library, capability, need

HEADING = "With torch's tools for counting, profiling and tracing"


def counts_as_torchs(library: Library, count: Callable[[nn.Module], float], **options: bool) -> None:
    """A count of operations is that of a model with torch's layer, most of which is the layer's."""
    got, want = count(Model(library, **options)), count(Model(STOCK, **options))
    beside = count(nn.Sequential(nn.Linear(3, 8), nn.Linear(8, 2)))
    assert want > 2 * beside, f"counts {want:.0f}, of which {beside:.0f} are the layers beside"
    assert got == want, f"counts {got:.0f}, with torch's layer {want:.0f}"


def same_for_each_row(model: nn.Module, samples: list[Tensor], x: Tensor) -> None:
    """Gradients for each sample are those of its row alone."""
    for i, row in enumerate(x):
        want = torch.autograd.grad(model(row[None])[0].sin().sum(), list(model.parameters()))
        agree([each[i] for each in samples], list(want))


@capability("`FlopCounterMode`, forwards and backwards: the count that torch's layer has")
def counts_operations(library: Library) -> None:
    def count(model: nn.Module) -> float:
        with FlopCounterMode(display=False) as counter:
            trained(model, model, torch.randn(5, 4, 3))
        return counter.get_total_flops()

    counts_as_torchs(library, count)


@capability("`torch.profiler` has a name for the layer's call, in training and in inference")
def appears_in_a_profile(library: Library) -> None:
    model, x = Model(library), torch.randn(5, 4, 3)
    for trains in (True, False):
        with torch.set_grad_enabled(trains), profile() as told:
            model(x)
        assert any("gru" in event.key.lower() for event in told.key_averages()), "no event has it"


@capability("compiled autograd, after an eager forward pass")
def trains_by_compiled_autograd(library: Library) -> None:
    from torch._dynamo import compiled_autograd

    model, x = Model(library), torch.randn(5, 4, 3)
    want = trained(model, model, x)
    with compiled_autograd._enable(torch.compile(backend="eager")):
        agree(trained(model, model, x), want)


@capability("`call_for_per_sample_grads` (ExpandedWeights)")
def has_expanded_weights(library: Library) -> None:
    model, x = Model(library, batch_first=True), torch.randn(4, 5, 3)
    call_for_per_sample_grads(model, loss_reduction="sum")(x)[0].sin().sum().backward()
    samples = [p.grad_sample for p in model.parameters()]
    same_for_each_row(model, samples, x)


@capability("a `ScriptModule` with `@script_method` that has the layer inside")
def is_called_by_script_methods(library: Library) -> None:
    layer, x = library.GRU(3, 4), torch.randn(5, 2, 3)
    want = layer(x)[0]

    class Scripted(torch.jit.ScriptModule):
        def __init__(self) -> None:
            super().__init__()
            self.layer = layer

        @torch.jit.script_method
        def forward(self, x):
            return self.layer(x)[0]

    agree(Scripted()(x), want)


@capability("`torch.onnx.export(dynamo=False)` of a layer alone: ONNX Runtime agrees")
def onnx_by_the_older_exporter(library: Library) -> None:
    onnxruntime = need("onnxruntime", how="install fastgru[dev]")
    layer, x = library.GRU(3, 4, 2, batch_first=True, bidirectional=True).eval(), torch.randn(2, 5, 3)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "layer.onnx"
        torch.onnx.export(layer, (x,), path, input_names=["x"], dynamo=False)
        got = onnxruntime.InferenceSession(path).run(None, {"x": x.numpy()})
    agree([torch.from_numpy(part) for part in got], list(layer(x)))


@capability("`AveragedModel`, buffers averaged too")
def is_averaged(library: Library) -> None:
    model, x = Model(library), torch.randn(5, 4, 3)
    average = AveragedModel(model, use_buffers=True)
    seen = []
    for _ in range(2):
        learns(model)
        average.update_parameters(model)
        seen.append([p.detach().clone() for p in model.parameters()])
    agree(list(average.module.parameters()), [(a + b) / 2 for a, b in zip(*seen, strict=True)])
    agree(average(x), average.module(x))
