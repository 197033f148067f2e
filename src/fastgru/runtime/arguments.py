"""The arguments of a model's call: checked, and brought to the canonical order of axes."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from fastgru import errors
from fastgru.graph.graph import Graph, Input
from fastgru.graph.operators import Timing
from fastgru.graph.values import Per
from fastgru.runtime.state import State

Array = np.ndarray[Any, Any]


class Arguments(NamedTuple):
    """One call as data.

    Attributes:
        inputs: by name, in the canonical order of axes.
        states: by name, complete.
        timing: ends and resets.
        steps: T; 1 for a model without sequences.
        batch: B.
        missing: the axes, of ``"TB"``, that users left out and that results will not have.
        begun: for nodes that begin with values of the graph, by name: rows (B,) that begin anew in this call. What
            `states` has there does not count.
    """

    inputs: dict[str, Array]
    states: Mapping[str, Array]
    timing: Timing
    steps: int
    batch: int
    missing: str
    begun: Mapping[str, Array] = MappingProxyType({})


def read_arguments(graph: Graph, x: Any, state: State | None, lengths: Any, reset: Any, *, is_step: bool) -> Arguments:
    """Checks the arguments of a call.

    Raises:
        ShapeError, RankError, DTypeError, SequenceError, ArgumentError, IndexError: they do not fit the model.
    """
    given = _by_name(graph, x)
    arrays = {wanted.name: _checked(graph, wanted, given[wanted.name]) for wanted in graph.inputs}
    missing = _missing_axes(graph, arrays, is_step)
    arranged = {wanted.name: _arranged(wanted, arrays[wanted.name], missing) for wanted in graph.inputs}
    steps, batch = _common_sizes(graph, arranged, missing)
    if state is not None:
        _check_state(graph, state, batch)
    return Arguments(
        {name: array for name, (array, _) in arranged.items()},
        first_states(graph, batch) if state is None else _known_states(graph, state),
        Timing(_lengths(graph, lengths, steps, batch), _reset(graph, reset, steps, batch, missing)),
        steps,
        batch,
        missing,
        begun_rows(graph, state, batch),
    )


def _by_name(graph: Graph, x: Any) -> Mapping[str, Any]:
    names = [wanted.name for wanted in graph.inputs]
    if not isinstance(x, Mapping):
        if len(names) > 1:
            raise errors.need_inputs_by_name(names)
        return {names[0]: x}
    if set(x) != set(names):
        raise errors.wrong_input_names(list(x), names)
    return x


def _checked(graph: Graph, wanted: Input, value: Any) -> Array:
    """The array of an input, of the right numbers and features. Lists become arrays of the right type."""
    is_array = hasattr(value, "dtype")
    array = np.asarray(value)
    if wanted.size is None:
        return _indices(graph, wanted, array)
    if not is_array and array.dtype.kind in "fiu":
        array = array.astype(graph.dtype)
    if array.dtype != graph.dtype:
        raise errors.wrong_array_dtype(f"the input {wanted.name!r}", array.dtype, graph.dtype)
    return array


def _indices(graph: Graph, wanted: Input, array: Array) -> Array:
    """A copy, for the core reads rows of tables by it: nobody may change it after it has been looked at."""
    if array.dtype.kind not in "iu":
        raise errors.wrong_array_dtype(f"the input {wanted.name!r}", array.dtype, "integers (int64)")
    own = np.array(array, dtype=np.int64, order="C")
    limit = graph.index_limits.get(wanted.name)
    if limit is not None and own.size and (own.min() < 0 or own.max() >= limit):
        raise errors.index_out_of_range(wanted.name, int(own.min()), int(own.max()), limit)
    return own


def _missing_axes(graph: Graph, arrays: Mapping[str, Array], is_step: bool) -> str:
    """Which of T and B are missing: T at a single step, B where the first input has one axis less."""
    first = graph.inputs[0]
    expected = first.axes.replace("T", "") if is_step else first.axes
    missing = "T" if is_step else ""
    return missing + ("B" if arrays[first.name].ndim == len(expected) - 1 else "")


def _arranged(wanted: Input, array: Array, missing: str) -> tuple[Array, str]:
    axes = "".join(axis for axis in wanted.axes if axis not in missing)
    if array.ndim != len(axes):
        raise errors.wrong_input_rank(wanted.name, array.shape, axes, wanted.axes, wanted.size)
    if wanted.size is not None and array.shape[axes.index("F")] != wanted.size:
        raise errors.wrong_features(wanted.name, array.shape, axes, wanted.size)
    units = tuple(place for place, axis in enumerate(axes) if axis == "1")
    if any(array.shape[place] != 1 for place in units):
        raise errors.wrong_input_rank(wanted.name, array.shape, axes, wanted.axes, wanted.size)
    array, axes = array.squeeze(units), axes.replace("1", "")
    for axis in missing:
        if axis in wanted.axes:
            array, axes = array[None], axis + axes
    return array.transpose([axes.index(axis) for axis in wanted.value.axes]), axes


def _common_sizes(graph: Graph, arranged: Mapping[str, tuple[Array, str]], missing: str) -> tuple[int, int]:
    sizes: dict[str, dict[str, int]] = {"T": {}, "B": {}}
    for wanted in graph.inputs:
        array = arranged[wanted.name][0]
        for axis, size in zip(wanted.value.axes, array.shape, strict=True):
            if axis in sizes:
                sizes[axis][wanted.name] = size
    for axis, found in sizes.items():
        if len(set(found.values())) > 1:
            raise errors.different_sizes({"T": "steps", "B": "rows"}[axis], found)
    steps = next(iter(sizes["T"].values()), 1)
    if steps == 0:
        raise errors.no_steps()
    return steps, next(iter(sizes["B"].values()))


def _check_state(graph: Graph, state: State, batch: int) -> None:
    if not isinstance(state, State):
        raise errors.not_a_state_object(state)
    if set(state) != set(graph.recurrent):
        raise errors.state_of_another_model(list(state), list(graph.recurrent))
    for name, (rows, size) in graph.recurrent.items():
        if state[name].shape != (rows, batch, size):
            raise errors.wrong_state_shape(name, state[name].shape, (rows, batch, size))
        if state[name].dtype != graph.dtype:
            raise errors.wrong_array_dtype(f"the state {name!r}", state[name].dtype, graph.dtype)


def _known_states(graph: Graph, state: State) -> Mapping[str, Array]:
    """The arrays of a state, with what was learned in rows that begin anew and did not know it."""
    arrays = dict(state)
    for name, first in graph.first_states.items():
        rows = state.begins_anew(name)
        if rows is not None and name not in graph.begun:
            arrays[name] = np.where(rows[:, None], first, arrays[name])
    return arrays


def begun_rows(graph: Graph, state: State | None, batch: int) -> dict[str, Array]:
    """For nodes that begin with values of the graph: the rows that do so in a call with this state."""
    if state is None:
        return {name: np.ones(batch, bool) for name in graph.begun}
    found = {name: state.begins_anew(name) for name in graph.begun}
    return {name: rows for name, rows in found.items() if rows is not None}


def first_states(graph: Graph, batch: int) -> dict[str, Array]:
    """The states that sequences begin with, of `batch` rows."""
    return {name: np.repeat(first, batch, axis=1) for name, first in graph.first_states.items()}


def _lengths(graph: Graph, lengths: Any, steps: int, batch: int) -> Array | None:
    if lengths is None:
        return None
    if all(port.value.per is Per.SEQUENCE for port in graph.inputs):
        raise errors.lengths_without_steps()
    given = np.asarray(lengths)
    if given.dtype.kind not in "iu":
        raise errors.wrong_array_dtype("`lengths`", given.dtype, "integers (int64)")
    array = np.array(given, dtype=np.int64, order="C")  # a copy, which nobody else can change
    if array.shape != (batch,):
        raise errors.wrong_timing_shape("lengths", array.shape, (batch,))
    if array.size and (array.min() < 0 or array.max() > steps):
        raise errors.wrong_lengths(int(array.min()), int(array.max()), steps)
    return array


def _reset(graph: Graph, reset: Any, steps: int, batch: int, missing: str) -> Array | None:
    if reset is None:
        return None
    array = np.asarray(reset)
    if array.dtype != np.bool_:
        raise errors.wrong_array_dtype("`reset`", array.dtype, "bool")
    order = next((given.axes for given in graph.inputs if given.value.per is Per.STEP), "B")
    axes = "".join(axis for axis in order if axis in "TB" and axis not in missing)
    expected = tuple({"T": steps, "B": batch}[axis] for axis in axes)
    if array.shape != expected:
        raise errors.wrong_timing_shape("reset", array.shape, expected)
    for axis in "TB":
        if axis not in axes:
            array, axes = array[None], axis + axes
    return np.array(array.transpose([axes.index(axis) for axis in "TB"]), order="C")
