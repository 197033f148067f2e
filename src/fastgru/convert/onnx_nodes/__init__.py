"""What the nodes of ONNX graphs are in a graph of the runtime."""

from __future__ import annotations

from fastgru.convert.onnx_nodes.axes import AXES
from fastgru.convert.onnx_nodes.functions import FUNCTIONS
from fastgru.convert.onnx_nodes.layers import LAYERS

HANDLERS = {**LAYERS, **FUNCTIONS, **AXES}
