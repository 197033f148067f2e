"""Whole models as data: a graph of named nodes, what each node computes, and the file that holds graph and weights.

Nothing here runs fast or imports torch. `fastgru.runtime` runs graphs, `fastgru.convert` makes them of other formats.
"""

from __future__ import annotations

from fastgru.graph.graph import Graph, Input, Node, Output
from fastgru.graph.values import Value

__all__ = ["Graph", "Input", "Node", "Output", "Value"]
