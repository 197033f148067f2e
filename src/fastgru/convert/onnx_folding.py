"""Constant parts of an ONNX model, which are computed when it is read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastgru import errors
from fastgru.convert.onnx_nodes.values import Constant

_FOLDED_BYTES = 2**28  # of one constant that is computed: more is no weight of a model that a GRU belongs to

_RANDOM = {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Bernoulli", "Multinomial"}
_OTHER_BEFORE_13 = {"Softmax", "LogSoftmax", "Hardmax"}  # the reference computes what they are from then on


def widened(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Numbers of 16 bits as float32, which is exact."""
    return array.astype(np.float32) if array.dtype.itemsize == 2 and array.dtype.kind in "fV" else array


def folded(model: Any, node: Any, where: str, given: Sequence[Constant | None]) -> list[Constant]:
    """The results of a node of a model that reads constants alone.

    Raises:
        ConversionError: they are too large, or the node is wrong.
    """
    import onnx
    from onnx.reference import ReferenceEvaluator

    version = next((one.version for one in model.opset_import if one.domain in ("", "ai.onnx")), 1)
    if node.op_type in _RANDOM or (node.op_type in _OTHER_BEFORE_13 and version < 13):
        raise errors.cannot_convert(where, f"{node.op_type} of constants")
    names = [name for name in node.input if name]
    ports = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.UNDEFINED, None) for name in names]
    results = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.UNDEFINED, None) for name in node.output]
    graph = onnx.helper.make_graph([node], "constant", ports, results)
    alone = onnx.helper.make_model(graph, opset_imports=model.opset_import)
    feeds = {name: one.array for name, one in zip(node.input, given, strict=True) if name and one is not None}
    if sum(array.nbytes for array in feeds.values()) > _FOLDED_BYTES:
        raise errors.cannot_convert(where, "a constant of more than 256 MB")
    try:
        with np.errstate(all="ignore"):  # sizes may be divided by 0; what comes of it is checked where it is used
            arrays = ReferenceEvaluator(alone).run(None, feeds)
    except Exception as error:
        raise errors.cannot_convert(where, f"a constant that cannot be computed ({error})") from error
    return [Constant(name, widened(np.asarray(array))) for name, array in zip(node.output, arrays, strict=False)]
