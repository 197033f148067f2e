"""ONNX Runtime on a model of one GRU node."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
from cases import Case, cases
from node_arrays import random_node
from onnx import TensorProto, helper, numpy_helper

CASES = cases(resets=(True, False), biases=(True, False))


def make(features: int, hidden: int, case: Case, seed: int) -> dict[str, np.ndarray]:
    """The node's inputs W, R and B."""
    return random_node(features, hidden, case, seed, biases=6)


def run(arrays: dict[str, np.ndarray], x: np.ndarray, case: Case) -> np.ndarray:
    """The outputs (T, B, D*H) of a node with these arrays."""
    directions, _, hidden = arrays["R"].shape
    node = helper.make_node(
        "GRU",
        ["X", *arrays],
        ["Y"],
        hidden_size=hidden,
        linear_before_reset=int(case.reset_after),
        direction="bidirectional" if directions == 2 else "forward",
    )
    inputs = [helper.make_tensor_value_info("X", TensorProto.FLOAT, x.shape)]
    outputs = [helper.make_tensor_value_info("Y", TensorProto.FLOAT, ["T", "D", "B", "H"])]
    weights = [numpy_helper.from_array(array, name) for name, array in arrays.items()]
    graph = helper.make_graph([node], "gru", inputs, outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)
    onnx.checker.check_model(model)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (y,) = session.run(None, {"X": x})
    return y.transpose(0, 2, 1, 3).reshape(*x.shape[:2], -1)
