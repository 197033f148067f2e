"""Writing ONNX files with torch's exporter, reading their content, running them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import torch
from torch import Tensor, nn
from torch.utils import _pytree

from tolerance import ONNX_RUNTIME

FREE = {0: "steps", 1: "batch"}


def exported(model: nn.Module, path: Path, call: dict[str, Tensor], shapes: Any) -> Path:
    """A file that torch's own function made out of an example call by keyword."""
    torch.onnx.export(model, (), path, kwargs=call, dynamic_shapes=shapes, dynamo=True, verbose=False)
    return path


def written(path: Path) -> tuple[Counter[str], list[dict[str, Any]], dict[str, list[str | int]]]:
    """The graph: kinds of nodes and how many, the attributes of GRUs, sizes of inputs and outputs by name."""
    proto = onnx.load(path)
    onnx.checker.check_model(proto, full_check=True)
    grus = [
        {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}
        for node in proto.graph.node
        if node.op_type == "GRU"
    ]
    sizes = {
        value.name: [size.dim_param or size.dim_value for size in value.type.tensor_type.shape.dim]
        for value in (*proto.graph.input, *proto.graph.output)
    }
    return Counter(node.op_type for node in proto.graph.node), grus, sizes


def check(model: nn.Module, path: Path, *calls: dict[str, Tensor]) -> None:
    """ONNX Runtime gives for each call, a dictionary of inputs in the file's order, what the model does."""
    session = onnxruntime.InferenceSession(path)
    names = [value.name for value in session.get_inputs()]
    for call in calls:
        with torch.no_grad():
            wanted = _pytree.tree_leaves(model(**call))
        fed = {name: tensor.numpy() for name, tensor in zip(names, call.values(), strict=True)}
        for want, got in zip(wanted, session.run(None, fed), strict=True):
            assert got.shape == want.shape
            assert (torch.from_numpy(got) - want).abs().max() < ONNX_RUNTIME
