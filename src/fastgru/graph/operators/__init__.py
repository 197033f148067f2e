"""The operators that graphs are made of."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from fastgru.graph.operators.activations import FUNCTIONS
from fastgru.graph.operators.base import Attribute, Operator, Recurrent, Timing
from fastgru.graph.operators.combining import COMBINING
from fastgru.graph.operators.layers import Embedding, LayerNorm, Linear
from fastgru.graph.operators.recurrent import GRU, GRUCell

__all__ = ["OPERATORS", "Attribute", "Operator", "Recurrent", "Timing"]

OPERATORS: Mapping[str, Operator] = MappingProxyType(
    {
        "Embedding": Embedding(),
        "Linear": Linear(),
        "LayerNorm": LayerNorm(),
        "GRU": GRU(),
        "GRUCell": GRUCell(),
        **FUNCTIONS,
        **COMBINING,
    }
)
