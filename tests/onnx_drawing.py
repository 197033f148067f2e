"""ONNX models that are drawn node by node, with random weights, and ONNX Runtime beside us."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from fastgru.convert.onnx_graph import read_onnx
from fastgru.runtime import Model
from tolerance import ONNX_RUNTIME

FLOAT, INT = TensorProto.FLOAT, TensorProto.INT64


class Drawn:
    """Collects nodes and random weights of a model."""

    def __init__(self, seed=0):
        self.random = np.random.default_rng(seed)
        self.nodes, self.weights = [], []

    def weight(self, *shape):
        array = (self.random.standard_normal(shape) * 0.5).astype(np.float32)
        return self.constant(array)

    def constant(self, array):
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def add(self, kind, inputs, outputs=1, **attributes):
        number = len(self.nodes)
        names = [f"v{number}_{place}" for place in range(outputs)]
        self.nodes.append(helper.make_node(kind, inputs, names, f"{kind}_{number}", **attributes))
        return names[0] if outputs == 1 else names

    def gru(self, x, inputs, hidden, directions=1, bias=True, lengths="", start="", **attributes):
        w, r = self.weight(directions, 3 * hidden, inputs), self.weight(directions, 3 * hidden, hidden)
        b = self.weight(directions, 6 * hidden) if bias else ""
        return self.add("GRU", [x, w, r, b, lengths, start], 2, hidden_size=hidden, **attributes)

    def save(self, path, inputs, outputs, opset=17):
        def ports(rows):
            return [helper.make_tensor_value_info(name, kind, shape) for name, kind, shape in rows]

        graph = helper.make_graph(self.nodes, "model", ports(inputs), ports(outputs), self.weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
        onnx.save(model, path)
        return path


def by_onnx_runtime(path, fed):
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, fed)


def close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=0, atol=ONNX_RUNTIME)


X = ("x", FLOAT, ["steps", "batch", 5])


def input_of(*shape, seed=1):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def same_as_onnx_runtime(path, *calls, **options):
    """For each call, a dictionary of inputs, each of our outputs is what ONNX Runtime gives. Returns the graph."""
    graph = read_onnx(path, **options)
    model = Model(graph)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for call in calls:
        found, _ = model.run(call if len(call) > 1 else next(iter(call.values())))
        found = found if isinstance(found, dict) else {graph.outputs[0].name: found}
        wanted = dict(zip([one.name for one in session.get_outputs()], session.run(None, call), strict=True))
        for name, one in found.items():
            np.testing.assert_allclose(one, wanted[name], rtol=0, atol=ONNX_RUNTIME, strict=True)
    return graph
