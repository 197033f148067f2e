"""The short path for the arguments of most calls: one array in the model's form, and nothing else.

A small model computes a step in two microseconds; checking its arguments in full takes ten.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastgru.graph.graph import Graph
from fastgru.graph.operators import Timing
from fastgru.graph.values import Per
from fastgru.runtime.arguments import Arguments, begun_rows, first_states
from fastgru.runtime.state import State

Array = np.ndarray[Any, Any]
_NEVER = Timing()


class QuickArguments:
    """Reads the arguments of calls of one model.

    Args:
        graph: of the model.
    """

    def __init__(self, graph: Graph) -> None:
        self._graph, port = graph, graph.inputs[0]
        self._is_usable = len(graph.inputs) == 1 and port.axes in ("TBF", "BTF", "BF")
        self._name, self._axes, self._size = port.name, port.axes, port.size
        self._is_per_step = port.value.per is Per.STEP
        self._dtype, self._shapes = graph.dtype, tuple(graph.recurrent.items())
        self._is_begun = bool(graph.begun)

    def read(self, x: Any, state: State | None, *, is_step: bool) -> Arguments | None:
        """The arguments; None if something is unusual or wrong."""
        if not self._is_usable or type(x) is not np.ndarray or (x.dtype is not self._dtype and x.dtype != self._dtype):
            return None
        shape = x.shape
        if is_step and self._is_per_step:
            if len(shape) != 2 or shape[1] != self._size:
                return None
            array, steps, batch, missing = x[None], 1, shape[0], "T"
        else:
            if len(shape) != len(self._axes) or shape[-1] != self._size:
                return None
            array, missing = x if self._axes != "BTF" else x.transpose(1, 0, 2), ""
            steps, batch = (array.shape[0], array.shape[1]) if self._is_per_step else (1, shape[0])
            if steps == 0:
                return None
        states = self._states(state, batch)
        if states is None:
            return None
        if not self._is_begun:
            return Arguments({self._name: array}, states, _NEVER, steps, batch, missing)
        begun = begun_rows(self._graph, state, batch)
        return Arguments({self._name: array}, states, _NEVER, steps, batch, missing, begun)

    def _states(self, state: State | None, batch: int) -> dict[str, Array] | None:
        if state is None:
            return first_states(self._graph, batch)
        if type(state) is not State or state.marks is not None or len(state) != len(self._shapes):
            return None
        arrays = state.arrays
        for name, (rows, size) in self._shapes:
            array = arrays.get(name)
            if array is None or array.shape != (rows, batch, size) or array.dtype != self._dtype:
                return None
        return arrays
