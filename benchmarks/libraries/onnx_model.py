"""One GRU node, as ONNX Runtime and OpenVINO read it."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from libraries.cases import update_first


def model(case, weights) -> bytes:
    """The serialized model: x (steps, batch, hidden) to y (steps, 1, batch, hidden)."""
    constants = {
        "w": update_first(weights["weight_ih"])[None],
        "r": update_first(weights["weight_hh"])[None],
        "b": np.concatenate([update_first(weights["bias_ih"]), update_first(weights["bias_hh"])])[None],
    }
    # linear_before_reset=1 is torch's convention: the reset gate multiplies after the product with weight_hh.
    node = helper.make_node("GRU", ["x", *constants], ["y"], hidden_size=case.hidden, linear_before_reset=1)
    x_shape, y_shape = [case.steps, case.batch, case.hidden], [case.steps, 1, case.batch, case.hidden]
    graph = helper.make_graph(
        [node],
        "gru",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, x_shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, y_shape)],
        [numpy_helper.from_array(values, name) for name, values in constants.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)])
    made.ir_version = 8  # any runtime of the last years reads it
    return made.SerializeToString()
