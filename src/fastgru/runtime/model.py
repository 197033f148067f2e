"""`Model`: a graph that is ready to run."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from fastgru import errors
from fastgru.graph.graph import Graph, Output
from fastgru.graph.operators import Timing
from fastgru.runtime.arguments import Arguments, read_arguments
from fastgru.runtime.numpy_execution import NumPyExecution
from fastgru.runtime.state import State

Array = np.ndarray[Any, Any]


class Execution(Protocol):
    """A way to compute the values of a graph."""

    def run(
        self, inputs: Mapping[str, Array], states: Mapping[str, Array], timing: Timing, threads: int
    ) -> tuple[dict[str, Array], dict[str, Array]]:
        """The values that the graph gives out, and the next states, both by name."""


class Model:
    """A trained model: NumPy arrays in, NumPy arrays and a state out.

    A model keeps nothing between calls, so threads may share one.

    Args:
        graph: what it computes. Its weights are read now; later changes have no effect.
        threads: at most so many threads for a call; None: as many as processors are available to the process.

    Raises:
        ArgumentError: `threads` is not a positive integer.

    Example:
        >>> import numpy as np
        >>> from fastgru.runtime import Graph, Input, Model, Node, Output
        >>> node = Node("last", "Last", ("x",), ("y",))
        >>> model = Model(Graph([Input("x", "TBF", 2)], [node], [Output("y", "y", "BF")], {}))
        >>> model.run(np.ones((5, 3, 2), np.float32))[0].shape
        (3, 2)
    """

    def __init__(self, graph: Graph, *, threads: int | None = None) -> None:
        self.graph = graph
        self.threads = _checked_threads(threads) if threads is not None else available_processors()
        self._execution = execution_of(graph)

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32 or float64: of weights, inputs, states and outputs."""
        return self.graph.dtype

    def initial_state(self, batch: int = 1) -> State:
        """Zeros for `batch` rows: what `run` begins with if no state is given."""
        shapes = self.graph.recurrent.items()
        return State.of_arrays({name: np.zeros((rows, batch, size), self.dtype) for name, (rows, size) in shapes})

    def run(
        self,
        x: Any,
        state: State | None = None,
        *,
        lengths: Any = None,
        reset: Any = None,
        out: Any = None,
        threads: int | None = None,
    ) -> tuple[Any, State]:
        """Runs the model over whole sequences, or the next piece of them.

        Args:
            x: the input: an array with the axes that the model says (`model.graph.inputs`), such as (B, T, F), of the
                model's dtype, with any strides; or without the batch axis. Several inputs by name in a dict.
            state: from the call before; None: zeros. It is not changed.
            lengths: (B,) integers from 0 to T, if the rows do not all have T steps. States stop at the end of a row.
            reset: booleans, (T, B) or (B, T) as the input: steps before which the state of a row is set to zero.
            out: an array for the result, of its shape and dtype, with any strides. Several outputs by name in a dict.
            threads: at most so many, for this call; None: as the model.

        Returns:
            The output, or a dict of several outputs by name, and the state to go on from.

        Raises:
            ShapeError, RankError, DTypeError, SequenceError, ArgumentError, IndexError: an argument does not fit the
                model. Nothing is computed or written.
        """
        return self._call(read_arguments(self.graph, x, state, lengths, reset, is_step=False), out, threads)

    def step(
        self,
        x: Any,
        state: State | None = None,
        *,
        reset: Any = None,
        out: Any = None,
        threads: int | None = None,
    ) -> tuple[Any, State]:
        """Runs the model over one step: as `run`, with arrays that have no time axis.

        Example:
            >>> import numpy as np
            >>> from fastgru.runtime import Graph, Input, Model, Node, Output
            >>> node = Node("relu", "ReLU", ("x",), ("y",))
            >>> model = Model(Graph([Input("x", "BTF", 2)], [node], [Output("y", "y", "BTF")], {}))
            >>> output, state = model.step(np.array([-1, 1], np.float32))
            >>> output.tolist()
            [0.0, 1.0]
        """
        return self._call(read_arguments(self.graph, x, state, None, reset, is_step=True), out, threads)

    def _call(self, call: Arguments, out: Any, threads: int | None) -> tuple[Any, State]:
        to = _results_to(self.graph, call, out)
        count = self.threads if threads is None else _checked_threads(threads)
        values, states = self._execution.run(call.inputs, call.states, call.timing, count)
        results = {}
        for output in self.graph.outputs:
            result = _presented(values[output.value], output, self.graph, call.missing)
            if to is not None:
                np.copyto(to[output.name], result)
                result = to[output.name]
            results[output.name] = result
        return results if len(results) > 1 else next(iter(results.values())), State.of_arrays(states)

    def __repr__(self) -> str:
        def names(ports: Any) -> str:
            return ", ".join(f"{port.name} {port.axes}" for port in ports)

        return f"Model({names(self.graph.inputs)} -> {names(self.graph.outputs)}; {len(self.graph.nodes)} nodes)"


def execution_of(graph: Graph) -> Execution:
    """The compiled core if there is one, else NumPy with a warning."""
    try:
        from fastgru.runtime.core_execution import CoreExecution
    except ImportError:
        warnings.warn(errors.runs_by_numpy(), errors.SlowPathWarning, stacklevel=3)
        return NumPyExecution(graph)
    return CoreExecution(graph)


def available_processors() -> int:
    """Processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _checked_threads(threads: object) -> int:
    if not isinstance(threads, (int, np.integer)) or isinstance(threads, bool) or threads < 1:
        raise errors.wrong_threads(threads)
    return int(threads)


def _shape_of(output: Output, graph: Graph, call: Arguments) -> tuple[int, ...]:
    sizes = {"1": 1, "T": call.steps, "B": call.batch, "F": graph.values[output.value].size or 0}
    return tuple(sizes[axis] for axis in output.axes if axis not in call.missing)


def _results_to(graph: Graph, call: Arguments, out: Any) -> Mapping[str, Array] | None:
    """The arrays of `out` by the outputs' names, checked."""
    if out is None:
        return None
    names = [output.name for output in graph.outputs]
    given = out if isinstance(out, Mapping) else {names[0]: out}
    if set(given) != set(names):
        raise errors.wrong_out_names(list(given), names)
    for output in graph.outputs:
        array, shape = given[output.name], _shape_of(output, graph, call)
        if not isinstance(array, np.ndarray) or not array.flags.writeable:
            raise errors.cannot_write_out(output.name, array)
        if array.shape != shape:
            raise errors.wrong_out_shape(output.name, array.shape, shape)
        if array.dtype != graph.dtype:
            raise errors.wrong_array_dtype(f"the array `out` for {output.name!r}", array.dtype, graph.dtype)
    return given


def _presented(array: Array, output: Output, graph: Graph, missing: str) -> Array:
    """A value with the axes that users see."""
    axes = output.axes if "F" in output.axes else f"{output.axes}F"
    shown = array.transpose([graph.values[output.value].axes.index(axis) for axis in axes.replace("1", "")])
    hidden = missing + ("" if "F" in output.axes else "F")
    return shown[tuple(None if axis == "1" else 0 if axis in hidden else slice(None) for axis in axes)]
