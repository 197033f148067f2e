"""ONNX files of torch's exporter, run by ONNX Runtime."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from compatibility.models import Model
from compatibility.registry import NOT_ASKED, Entry, Library, capability, need, proved_by
from tolerance import ONNX_RUNTIME

HEADING = "ONNX"


class Session:
    """A model as torch's own exporter writes it, run by ONNX Runtime."""

    def __init__(self, model: nn.Module, call: dict[str, Tensor], shapes: Any) -> None:
        onnx, _, runtime = need("onnx", "onnxscript", "onnxruntime", how="install fastgru[onnx] and onnxruntime")
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.onnx"
            options = {"kwargs": call, "dynamic_shapes": shapes, "dynamo": True, "verbose": False}
            torch.onnx.export(model.eval(), (), path, **options)
            self.kinds = Counter(node.op_type for node in onnx.load(path).graph.node)
            runtime.set_default_logger_severity(4)
            self.session = runtime.InferenceSession(path)

    def check(self, model: nn.Module, call: dict[str, Tensor]) -> None:
        names = [value.name for value in self.session.get_inputs()]
        found = self.session.run(None, {name: t.numpy() for name, t in zip(names, call.values(), strict=True)})
        with torch.no_grad():
            for got, want in zip(found, model(**call), strict=True):
                assert got.shape == want.shape, "results of another shape"
                assert (torch.from_numpy(got) - want).abs().max() < ONNX_RUNTIME, "other numbers"


FREE = {0: "steps", 1: "batch"}


@capability("`torch.onnx.export(dynamo=True)` with symbolic steps and batch: ONNX Runtime agrees at other sizes")
def onnx_agrees_at_other_sizes(library: Library) -> None:
    model = Model(library, num_layers=2)
    session = Session(model, {"x": torch.randn(4, 2, 3)}, {"x": FREE})
    for shape in ((7, 6, 3), (3, 9, 3)):
        session.check(model, {"x": torch.randn(shape)})


@capability("one `GRU` node for each layer, both directions in it, agreeing at the sizes of the example")
def onnx_has_one_node_a_layer(library: Library) -> None:
    model, call = library.GRU(3, 5, 2, bidirectional=True), {"input": torch.randn(4, 2, 3)}
    session = Session(model, call, None)
    assert session.kinds["GRU"] == 2, f"{session.kinds['GRU']} GRU nodes for 2 layers"
    session.check(model, call)


@capability("an initial state as input, at other sizes")
def onnx_takes_states(library: Library) -> None:
    model = library.GRU(3, 5, 2)
    shapes = {"input": FREE, "hx": {1: torch.export.Dim.AUTO}}
    session = Session(model, {"input": torch.randn(4, 2, 3), "hx": torch.randn(2, 2, 5)}, shapes)
    session.check(model, {"input": torch.randn(7, 6, 3), "hx": torch.randn(2, 6, 5)})


@capability("`lengths` as input, including zero")
def onnx_takes_lengths(library: Library) -> None:
    model, auto = library.GRU(3, 5, bidirectional=True), torch.export.Dim.AUTO
    example = {"input": torch.randn(4, 2, 3), "lengths": torch.tensor([4, 2])}
    session = Session(model, example, {"input": FREE, "lengths": {0: auto}})
    session.check(model, {"input": torch.randn(7, 3, 3), "lengths": torch.tensor([2, 0, 7])})


@capability("`reset` as input (ONNX does not support it)")
def onnx_takes_resets(library: Library) -> None:
    model, example = library.GRU(3, 5), {"input": torch.randn(4, 2, 3), "reset": torch.rand(4, 2) < 0.3}
    Session(model, example, {"input": FREE, "reset": FREE}).check(model, example)


proved_by(
    __name__,
    "`fastgru.onnx.export`: a layer alone, `h_0` and `lengths` as inputs if asked for, at other sizes",
    "tests/test_onnx.py::test_a_layer_is_as_many_nodes_as_layers_for_any_sizes",
    stock=Entry(NOT_ASKED, "`fastgru.replace_gru` first"),
)
