"""Running a graph with NumPy alone: the definitions of the operators, one after another.

It is used where the compiled core is missing, and it is what the core is tested against.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastgru.graph.graph import Graph, operator_of, parameters_of
from fastgru.graph.operators import Recurrent
from fastgru.runtime.arguments import Arguments

Array = np.ndarray[Any, Any]


class NumPyExecution:
    """Runs a graph. Arrays are (T, B, F), (B, F), or of indices (T, B), (B)."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._parameters = {node.name: parameters_of(graph, node) for node in graph.nodes}

    def run(self, call: Arguments, threads: int) -> tuple[dict[str, Array], dict[str, Array]]:
        """The values that the graph gives out, by their names, and the next states."""
        values, next_states, timing = dict(call.inputs), {}, call.timing
        for node in self._graph.nodes:
            operator, parameters = operator_of(node), self._parameters[node.name]
            given = [values[name] for name in node.inputs]
            if isinstance(operator, Recurrent):
                state, begun = call.states[node.name], call.begun.get(node.name)
                if begun is not None:
                    state = np.where(begun[:, None], np.stack(given[1:]), state)
                results, next_states[node.name] = operator.advance(node.attributes, parameters, given, state, timing)
            else:
                results = operator.compute(node.attributes, parameters, given, timing)
            values.update(zip(node.outputs, results, strict=False))
        return {output.value: values[output.value] for output in self._graph.outputs}, next_states
