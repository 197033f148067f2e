"""`Model`: a graph that is ready to run."""

from __future__ import annotations

import os
import warnings
from typing import Any, Protocol

import numpy as np

from fastgru import errors
from fastgru.graph.graph import Graph
from fastgru.runtime.arguments import Arguments, read_arguments
from fastgru.runtime.numpy_execution import NumPyExecution
from fastgru.runtime.quick_arguments import QuickArguments
from fastgru.runtime.results import Results
from fastgru.runtime.state import State
from fastgru.runtime.stored_weights import stored_types

Array = np.ndarray[Any, Any]


class Execution(Protocol):
    """A way to compute the values of a graph."""

    def run(self, call: Arguments, threads: int) -> tuple[dict[str, Array], dict[str, Array]]:
        """The values that the graph gives out, and the next states, both by name."""


class Model:
    """A trained model, called with NumPy arrays; it returns NumPy arrays and a state.

    A model keeps nothing between calls, so threads may share one.

    Args:
        graph: the computation. Its weights are read now; later changes have no effect.
        threads: the largest number of threads of a call; None: the number of processors that the process may use.
        weights: the type in which the weights of recurrent nodes are stored: ``"bfloat16"``, ``"float16"`` or
            ``"int8"``, with which results differ a little (docs/quantization.md) and steps of large layers take less
            time; None: their own.

    Raises:
        ArgumentError: `threads` is not a positive integer, or the model cannot have such `weights`.

    Example:
        >>> import numpy as np
        >>> from fastgru.runtime import Graph, Input, Model, Node, Output
        >>> node = Node("last", "Last", ("x",), ("y",))
        >>> model = Model(Graph([Input("x", "TBF", 2)], [node], [Output("y", "y", "BF")], {}))
        >>> model.run(np.ones((5, 3, 2), np.float32))[0].shape
        (3, 2)
    """

    def __init__(self, graph: Graph, *, threads: int | None = None, weights: str | None = None) -> None:
        self.graph = graph
        self._given = threads, weights
        self.threads = _checked_threads(threads) if threads is not None else available_processors()
        self._execution = execution_of(graph, weights)
        self._quick, self._results = QuickArguments(graph), Results(graph)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of weights, inputs, states and outputs, float32 or float64."""
        return self.graph.dtype

    def initial_state(self, batch: int = 1) -> State:
        """The state with which `run` begins if none is given, for `batch` rows: zeros, or the learned one (`learn_h0`).

        States that the model computes from its inputs are NaN, until the next call computes them; see `State`.

        Raises:
            ArgumentError: `batch` is not an integer from 0 on.
        """
        if not isinstance(batch, (int, np.integer)) or isinstance(batch, bool) or batch < 0:
            raise errors.wrong_batch(batch)
        return State.beginning(self.graph.first_states, int(batch))

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
            x: the input: an array with the axes that `model.graph.inputs` lists, such as (B, T, F), of the
                model's dtype, with any strides; or without the batch axis. Several inputs by name in a dict.
            state: the state that the previous call returned; None: the initial state. It is not changed.
            lengths: (B,) integers from 0 to T, if the rows do not all have T steps. States stop at the end of a row.
            reset: booleans, (T, B) or (B, T) as the input: steps before which a row begins with the initial state.
            out: an array for the result, of its shape and dtype, with any strides. Several outputs by name in a dict.
            threads: the largest number of threads of this call; None: that of the model.

        Returns:
            The output, or a dict of several outputs by name, and the state for the next call.

        Raises:
            ShapeError, RankError, DTypeError, SequenceError, ArgumentError, IndexError: an argument does not fit the
                model. Nothing is computed or written.
        """
        call = self._quick.read(x, state, is_step=False) if lengths is None and reset is None else None
        if call is None:
            call = read_arguments(self.graph, x, state, lengths, reset, is_step=False)
        return self._call(call, out, threads)

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
        call = self._quick.read(x, state, is_step=True) if reset is None else None
        if call is None:
            call = read_arguments(self.graph, x, state, None, reset, is_step=True)
        return self._call(call, out, threads)

    def _call(self, call: Arguments, out: Any, threads: int | None) -> tuple[Any, State]:
        to = self._results.check(out, call)
        count = self.threads if threads is None else _checked_threads(threads)
        values, states = self._execution.run(call, count)
        return self._results.present(values, call, to), State.of_arrays(states, self.graph.first_states)

    def __reduce__(self) -> tuple[Any, ...]:
        return _made, (self.graph, *self._given)

    def __repr__(self) -> str:
        def names(ports: Any) -> str:
            return ", ".join(f"{port.name} {port.axes}" for port in ports)

        return f"Model({names(self.graph.inputs)} -> {names(self.graph.outputs)}; {len(self.graph.nodes)} nodes)"


def _made(graph: Graph, threads: int | None, weights: str | None) -> Model:
    """A model again, from what a pickle keeps."""
    return Model(graph, threads=threads, weights=weights)


def execution_of(graph: Graph, weights: str | None = None) -> Execution:
    """The compiled core if there is one, else NumPy with a warning."""
    try:
        from fastgru.runtime.core_execution import CoreExecution
    except ImportError:
        warnings.warn(errors.runs_by_numpy(), errors.SlowPathWarning, stacklevel=3)
        stored_types(graph, weights)
        return NumPyExecution(graph)
    return CoreExecution(graph, weights)


def available_processors() -> int:
    """Processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _checked_threads(threads: object) -> int:
    if not isinstance(threads, (int, np.integer)) or isinstance(threads, bool) or threads < 1:
        raise errors.wrong_threads(threads)
    return int(threads)
