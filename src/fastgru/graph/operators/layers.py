"""Embedding, Linear and LayerNorm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np

from fastgru import errors
from fastgru.graph.operators.base import Array, Attribute, Attributes, Operator, Shape, Timing, need_vectors
from fastgru.graph.values import Value


class Embedding(Operator):
    """Rows of a table: y = weight[i]."""

    attributes = MappingProxyType({"num_embeddings": Attribute(int), "embedding_dim": Attribute(int)})

    def parameter_shapes(self, attributes: Attributes, inputs: Sequence[Value]) -> dict[str, Shape]:
        return {"weight": (attributes["num_embeddings"], attributes["embedding_dim"])}

    def results(self, where: str, attributes: Attributes, inputs: Sequence[Value]) -> list[Value]:
        if inputs[0].size is not None:
            raise errors.wrong_value(where, str(inputs[0]), "indices, which are integers")
        return [Value(inputs[0].per, attributes["embedding_dim"])]

    def compute(
        self, attributes: Attributes, parameters: Mapping[str, Array], inputs: Sequence[Array], timing: Timing
    ) -> list[Array]:
        return [parameters["weight"][inputs[0]]]


class Linear(Operator):
    """y = x W^T + b, with W of (out_features, in_features), as torch.nn.Linear has it."""

    attributes = MappingProxyType(
        {
            "in_features": Attribute(int),
            "out_features": Attribute(int),
            "bias": Attribute(bool, True),
        }
    )

    def parameter_shapes(self, attributes: Attributes, inputs: Sequence[Value]) -> dict[str, Shape]:
        shapes: dict[str, Shape] = {"weight": (attributes["out_features"], attributes["in_features"])}
        return shapes | {"bias": (attributes["out_features"],)} if attributes["bias"] else shapes

    def results(self, where: str, attributes: Attributes, inputs: Sequence[Value]) -> list[Value]:
        need_vectors(where, inputs[0], attributes["in_features"])
        return [Value(inputs[0].per, attributes["out_features"])]

    def compute(
        self, attributes: Attributes, parameters: Mapping[str, Array], inputs: Sequence[Array], timing: Timing
    ) -> list[Array]:
        product = inputs[0] @ parameters["weight"].T
        return [product + parameters["bias"] if attributes["bias"] else product]


class LayerNorm(Operator):
    """y = (x - mean) / sqrt(variance + eps) * weight + bias, over the features (Ba et al. 2016, arXiv 1607.06450)."""

    attributes = MappingProxyType(
        {
            "size": Attribute(int),
            "eps": Attribute(float, 1e-5),
            "weight": Attribute(bool, True),
            "bias": Attribute(bool, True),
        }
    )

    def parameter_shapes(self, attributes: Attributes, inputs: Sequence[Value]) -> dict[str, Shape]:
        return {name: (attributes["size"],) for name in ("weight", "bias") if attributes[name]}

    def results(self, where: str, attributes: Attributes, inputs: Sequence[Value]) -> list[Value]:
        need_vectors(where, inputs[0], attributes["size"])
        return [inputs[0]]

    def compute(
        self, attributes: Attributes, parameters: Mapping[str, Array], inputs: Sequence[Array], timing: Timing
    ) -> list[Array]:
        centred = inputs[0] - inputs[0].mean(axis=-1, keepdims=True)
        variance = np.square(centred).mean(axis=-1, keepdims=True)
        y = centred / np.sqrt(variance + inputs[0].dtype.type(attributes["eps"]))
        y = y * parameters["weight"] if attributes["weight"] else y
        return [y + parameters["bias"] if attributes["bias"] else y]
