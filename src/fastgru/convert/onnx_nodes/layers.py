"""Layers in ONNX graphs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from fastgru.convert.onnx_nodes.operation import Operation
from fastgru.convert.onnx_nodes.values import key_and_array
from fastgru.graph.traced import Traced


def _mat_mul(op: Operation) -> Traced:
    weight, x = op.needed(1), op.value()
    if weight.array.ndim != 2:
        raise op.refuse(f"a product with a constant of shape {weight.array.shape}. Expected a matrix")
    x = op.with_features(x, weight.array.shape[0])
    return op.tracer.linear(op.name, x, (weight.key, np.ascontiguousarray(weight.array.T)), None)


def _gemm(op: Operation) -> Traced:
    weight, bias = op.needed(1), op.constant(2)
    alpha, beta = op.attributes.get("alpha", 1.0), op.attributes.get("beta", 1.0)
    if op.attributes.get("transA", 0):
        raise op.refuse("a Gemm of a transposed input")
    matrix = weight.array if op.attributes.get("transB", 0) else weight.array.T
    matrix = matrix if alpha == 1 else (matrix * alpha).astype(matrix.dtype)
    own_bias = None
    if bias is not None:
        vector = np.broadcast_to(bias.array, (1, matrix.shape[0])).reshape(-1) if bias.array.size == 1 else bias.array
        own_bias = (bias.key, (vector if beta == 1 else vector * beta).reshape(-1).astype(matrix.dtype))
    x = op.with_features(op.value(), matrix.shape[1])
    return op.tracer.linear(op.name, x, (weight.key, np.ascontiguousarray(matrix)), own_bias)


def _layer_norm(op: Operation) -> Traced:
    axis = op.attributes.get("axis", -1)
    x = op.value()
    if axis not in (-1, len(x.axes) - 1):
        raise op.refuse("a normalization over several axes. Expected the last one")
    pair = [key_and_array(op.constant(place)) for place in (1, 2)]
    return op.tracer.layer_norm(op.name, x, float(op.attributes.get("epsilon", 1e-5)), *pair)


def _batch_norm(op: Operation) -> Traced:
    """A product and a sum with what was learned; features lie along the second axis."""
    if op.attributes.get("training_mode", 0):
        raise op.refuse("a BatchNormalization in training mode")
    scale, bias, mean, variance = (op.needed(place) for place in (1, 2, 3, 4))
    factor = scale.array / np.sqrt(variance.array.astype(np.float64) + op.attributes.get("epsilon", 1e-5))
    kind = scale.array.dtype
    shift = (bias.array - mean.array * factor).astype(kind)

    def call(x: Traced) -> Traced:
        scaled = op.tracer.operation(op.name, "Multiply", op.with_features(x, factor.size), factor.astype(kind))
        return op.tracer.operation(f"{op.name}.shift", "Add", scaled, shift)

    x = op.value()
    if len(x.axes) < 2:
        raise op.refuse("a BatchNormalization of a single axis")
    return op.along(x, 1, call)


LAYERS: Mapping[str, Callable[[Operation], Any]] = {
    "MatMul": _mat_mul,
    "Gemm": _gemm,
    "LayerNormalization": _layer_norm,
    "BatchNormalization": _batch_norm,
}
