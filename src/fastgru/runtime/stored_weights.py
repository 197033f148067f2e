"""Weights of recurrent nodes in fewer bytes, for the core: which nodes take them (docs/quantization.md)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from fastgru import errors
from fastgru.graph.graph import Graph, Node, parameters_of

CHOICES = ("float16", "bfloat16", "int8")
_LEAST_INPUTS, _LEAST_HIDDEN = 64, 17  # with 8 bits, smaller layers take longer
_MOST_QUANTIZED = (2**31 - 1) // 127**2  # of an input: more products of 8 bits may not fit 32
_LARGEST_HALF = 65504.0


def stored_types(graph: Graph, weights: str | None) -> Mapping[str, str]:
    """For each recurrent node, by name, what its weights are stored as.

    Layers that 8 bits would make slower keep their weights as they are.

    Raises:
        ArgumentError: there is no such type, the model is not in float32, or a layer cannot have it.
    """
    own = str(graph.dtype)
    nodes = [node for node in graph.nodes if node.name in graph.recurrent]
    if weights is None:
        return {node.name: own for node in nodes}
    if weights not in CHOICES:
        raise errors.unknown_weights(weights, CHOICES)
    if own != "float32":
        raise errors.cannot_store(weights, "the model", f"it is in {own}, not float32")
    return {node.name: _type_of(graph, node, weights) for node in nodes}


def _type_of(graph: Graph, node: Node, weights: str) -> str:
    sizes = node.attributes
    if not sizes["reset_after"]:
        raise errors.cannot_store(weights, str(node), "it has reset_after=False")
    if weights == "int8":
        if max(sizes["input_size"], 2 * sizes["hidden_size"]) > _MOST_QUANTIZED:
            raise errors.cannot_store(weights, str(node), "its vectors are too long for sums of 32 bits")
        is_small = sizes["input_size"] < _LEAST_INPUTS and sizes["hidden_size"] < _LEAST_HIDDEN
        return "float32" if is_small else weights
    if weights == "float16":
        largest = max(float(np.abs(array).max(initial=0)) for array in parameters_of(graph, node).values())
        if largest > _LARGEST_HALF:
            raise errors.cannot_store(weights, str(node), f"it has a weight of size {largest:g}")
    return weights
