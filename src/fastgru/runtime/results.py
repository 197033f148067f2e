"""The results of a model's call, as users see them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fastgru import errors
from fastgru.graph.graph import Graph, Output
from fastgru.runtime.arguments import Arguments

Array = np.ndarray[Any, Any]


class Results:
    """Gives values the axes that the outputs of a graph have.

    Args:
        graph: of the model.
    """

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._views: dict[tuple[str, str], tuple[tuple[int, ...] | None, tuple[Any, ...] | None]] = {}

    def present(self, values: Mapping[str, Array], call: Arguments, to: Mapping[str, Array] | None) -> Any:
        """The output, or several by name; written to the arrays `to` if there are such."""
        found = {}
        for output in self._graph.outputs:
            array = self._view(values[output.value], output, call.missing)
            if to is not None:
                np.copyto(to[output.name], array)
                array = to[output.name]
            found[output.name] = array
        return found if len(found) > 1 else next(iter(found.values()))

    def check(self, out: Any, call: Arguments) -> Mapping[str, Array] | None:
        """The arrays of `out` by the outputs' names; None without.

        Raises:
            ShapeError, DTypeError, ArgumentError, InputTypeError: they do not fit.
        """
        if out is None:
            return None
        names = [output.name for output in self._graph.outputs]
        given = out if isinstance(out, Mapping) else {names[0]: out}
        if set(given) != set(names):
            raise errors.wrong_out_names(list(given), names)
        for output in self._graph.outputs:
            array, shape = given[output.name], self._shape(output, call)
            if not isinstance(array, np.ndarray) or not array.flags.writeable:
                raise errors.cannot_write_out(output.name, array)
            if array.shape != shape:
                raise errors.wrong_out_shape(output.name, array.shape, shape)
            if array.dtype != self._graph.dtype:
                raise errors.wrong_array_dtype(f"the array `out` for {output.name!r}", array.dtype, self._graph.dtype)
        return given

    def _shape(self, output: Output, call: Arguments) -> tuple[int, ...]:
        sizes = {"1": 1, "T": call.steps, "B": call.batch, "F": self._graph.values[output.value].size or 0}
        return tuple(sizes[axis] for axis in output.axes if axis not in call.missing)

    def _view(self, array: Array, output: Output, missing: str) -> Array:
        """A value with the axes that users see."""
        view = self._views.get((output.name, missing))
        if view is None:
            view = self._views[output.name, missing] = self._find_view(output, missing)
        order, index = view
        turned = array if order is None else array.transpose(order)
        return turned if index is None else turned[index]

    def _find_view(self, output: Output, missing: str) -> tuple[tuple[int, ...] | None, tuple[Any, ...] | None]:
        """The order of axes and what is taken of each; None where nothing changes."""
        axes = output.axes if "F" in output.axes else f"{output.axes}F"
        canonical = self._graph.values[output.value].axes
        order = tuple(canonical.index(axis) for axis in axes.replace("1", ""))
        hidden = missing + ("" if "F" in output.axes else "F")
        index = tuple(None if axis == "1" else 0 if axis in hidden else slice(None) for axis in axes)
        is_whole = all(one == slice(None) for one in index)
        return None if order == tuple(range(len(order))) else order, None if is_whole else index
