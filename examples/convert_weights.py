"""Weights of an ONNX file in a layer of ours, and the layer's weights in Keras' layout."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import helper, numpy_helper

import fastgru


def some_model() -> onnx.ModelProto:
    """A GRU as other programs write it: both directions, and the reset gate before the product, ONNX' default."""
    random = np.random.default_rng(0)
    shapes = {"gru_W": (2, 24, 4), "gru_R": (2, 24, 8), "gru_B": (2, 48)}
    weights = [numpy_helper.from_array(random.normal(0, 0.4, s).astype(np.float32), n) for n, s in shapes.items()]
    node = helper.make_node("GRU", ["x", *shapes], ["y"], name="gru", hidden_size=8, direction="bidirectional")
    x = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["T", "B", 4])
    y = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["T", 2, "B", 8])
    graph = helper.make_graph([node], "model", [x], [y], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)


def layer_of(model: onnx.ModelProto) -> fastgru.GRU:
    """The layer that computes the same as the GRU node of the model."""
    tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    (node,) = [node for node in model.graph.node if node.op_type == "GRU"]
    weights = {role: tensors[name] for role, name in zip("WRB", node.input[1:4], strict=True)}
    attributes = {attribute.name: attribute.i for attribute in node.attribute}
    reset_after = attributes.get("linear_before_reset", 0) == 1

    layer = fastgru.GRU(**fastgru.convert.spec("onnx", weights, reset_after=reset_after)._asdict())
    state = fastgru.convert.read("onnx", weights, reset_after=reset_after)
    layer.load_state_dict({name: torch.from_numpy(array) for name, array in state.items()})
    return layer


@torch.no_grad()
def main() -> None:
    """Compares the layer with ONNX Runtime, and writes its weights for Keras."""
    model = some_model()
    layer = layer_of(model)
    print(layer)

    x = np.random.default_rng(1).normal(size=(20, 3, 4)).astype(np.float32)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    (y,) = session.run(None, {"x": x})
    expected = y.transpose(0, 2, 1, 3).reshape(20, 3, 16)  # (T, D, B, H) -> (T, B, D*H)
    apart = np.abs(layer(torch.from_numpy(x))[0].numpy() - expected).max()
    print(f"largest difference to ONNX Runtime: {apart:.1e}")
    assert apart < 1e-5

    keras = fastgru.convert.write("keras", layer)
    for side, arrays in keras.items():
        print(f"Keras, {side}: {', '.join(f'{name} {array.shape}' for name, array in arrays.items())}")


if __name__ == "__main__":
    main()
