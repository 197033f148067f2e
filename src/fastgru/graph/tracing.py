"""`GraphTracer`: makes a graph of the operations of another program, as a converter goes through them.

A converter calls one method for each operation it meets. Arrays that a program computes are `Traced`; the states of
recurrent layers are `States` and do not become values, because the runtime passes them from call to call.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fastgru import errors
from fastgru.graph.axes import (
    Axis,
    Role,
    Size,
    check_vectors,
    flattened,
    is_unit,
    joined,
    reshaped,
    unit,
)
from fastgru.graph.graph import Graph, Input, Node, Output
from fastgru.graph.ports import features_of, known_features, letters_of, used_nodes
from fastgru.graph.traced import Recurrence, States, Traced

Array = np.ndarray[Any, Any]


class GraphTracer:
    """Collects inputs, nodes and parameters; `graph` makes a graph of them."""

    def __init__(self) -> None:
        self._inputs: list[Traced] = []
        self._nodes: list[Node] = []
        self._parameters: dict[str, Array] = {}
        self._names: set[str] = set()
        self._values: set[str] = set()

    def input(self, name: str, axes: Sequence[Axis], *, is_index: bool) -> Traced:
        """An input of the program."""
        traced = Traced(self._value(name), tuple(axes), is_index)
        self._inputs.append(traced)
        return traced

    def node(
        self,
        where: str,
        operator: str,
        inputs: Sequence[Traced],
        axes: Sequence[Axis],
        attributes: Mapping[str, Any] | None = None,
        parameters: Mapping[str, tuple[str, Array]] | None = None,
    ) -> Traced:
        """A node with one result of these axes; `parameters` are keys and arrays by the operator's names."""
        result = self._add(where, operator, inputs, [tuple(axes)], attributes or {}, parameters or {})[0]
        has_features = any(axis.role is Role.FEATURES for axis in axes)
        return replace(result, is_number=not has_features and any(one.is_number for one in inputs))

    def function(self, where: str, operator: str, x: Traced, **attributes: Any) -> Traced:
        """A function of each number."""
        return self.node(where, operator, [x], x.axes, attributes)

    def over_features(self, where: str, operator: str, x: Traced, axis: int, **attributes: Any) -> Traced:
        """A function of vectors, such as softmax, whose features lie along `axis`."""
        x.axes[axis].become(Role.FEATURES, where)
        return self.node(where, operator, [x], x.axes, attributes)

    def linear(self, where: str, x: Traced, weight: tuple[str, Array], bias: tuple[str, Array] | None) -> Traced:
        """X W^T + b with a weight (out, in)."""
        check_vectors(x.axes, where)
        out, features = weight[1].shape
        sizes = {"in_features": int(features), "out_features": int(out), "bias": bias is not None}
        parameters = {"weight": weight} | ({"bias": bias} if bias is not None else {})
        return self.node(where, "Linear", [x], (*x.axes[:-1], Axis(Size(int(out)), Role.FEATURES)), sizes, parameters)

    def biased(self, x: Traced, bias: tuple[str, Array]) -> Traced | None:
        """The result of a linear layer without bias, with one; None if `x` is something else, or is read already."""
        place = next((at for at, node in enumerate(self._nodes) if node.outputs == (x.name,)), None)
        if place is None or any(x.name in node.inputs for node in self._nodes):
            return None
        node = self._nodes[place]
        if node.operator != "Linear" or node.parameters.get("bias") or bias[1].size != node.attributes["out_features"]:
            return None
        keys = {**node.parameters, "bias": self._parameter(*bias)}
        self._nodes[place] = replace(node, attributes={**node.attributes, "bias": True}, parameters=keys)
        return x

    def embedding(self, where: str, x: Traced, weight: tuple[str, Array]) -> Traced:
        """Rows of a table."""
        rows, width = weight[1].shape
        sizes = {"num_embeddings": int(rows), "embedding_dim": int(width)}
        return self.node(
            where, "Embedding", [x], (*x.axes, Axis(Size(int(width)), Role.FEATURES)), sizes, {"weight": weight}
        )

    def layer_norm(
        self, where: str, x: Traced, eps: float, weight: tuple[str, Array] | None, bias: tuple[str, Array] | None
    ) -> Traced:
        """Normalization over the last axis."""
        check_vectors(x.axes, where)
        given = {"weight": weight, "bias": bias}
        attributes = {
            "size": x.axes[-1].size.number,
            "eps": eps,
            **{name: one is not None for name, one in given.items()},
        }
        parameters = {name: one for name, one in given.items() if one is not None}
        return self.node(where, "LayerNorm", [x], x.axes, attributes, parameters)

    def operation(self, where: str, operator: str, left: Traced | Array, right: Traced | Array) -> Traced:
        """Add, Subtract, Multiply or Divide; one of the two may be a constant."""
        if isinstance(left, Traced) and isinstance(right, Traced):
            return self._pair(where, operator, left, right)
        swap = not isinstance(left, Traced)
        x, constant = (right, left) if swap else (left, right)
        assert isinstance(x, Traced)
        array = np.asarray(constant)
        if array.size == 1:
            attributes = {"other": "number", "number": float(array.reshape(())), "swap": swap}
            return self.node(where, operator, [x], x.axes, attributes)
        vector = array.reshape(-1)
        if array.shape[-1] != array.size or array.ndim > len(x.axes):
            raise errors.constant_of_wrong_shape(where, array.shape)
        check_vectors(x.axes, where)
        attributes = {"other": "vector", "swap": swap}
        return self.node(where, operator, [x], x.axes, attributes, {"other": (f"{where}.other", vector)})

    def _pair(self, where: str, operator: str, left: Traced, right: Traced) -> Traced:
        axes = joined(left.axes, right.axes, where)
        sizes = [known_features(one) for one in (left, right)]
        if None not in sizes and sizes[0] != sizes[1] and 1 not in sizes:
            raise errors.different_features(where, sizes)
        return self.node(where, operator, [left, right], axes)

    def concat(self, where: str, parts: Sequence[Traced], axis: int) -> Traced:
        """The features of several values, one behind the other."""
        place = axis % len(parts[0].axes)
        axes = list(parts[0].axes)
        for part in parts:
            part.axes[place].become(Role.FEATURES, where)
            mine, theirs = list(axes), list(part.axes)
            del mine[place], theirs[place]
            axes = [*joined(mine, theirs, where)]
            axes.insert(place, part.axes[place])
        axes[place] = Axis(Size(sum(part.axes[place].size.number for part in parts)), Role.FEATURES)
        return self.node(where, "Concat", parts, axes)

    def features(self, where: str, x: Traced, axis: int, first: int, last: int) -> Traced:
        """The features from `first` to before `last`."""
        place = axis % len(x.axes)
        x.axes[place].become(Role.FEATURES, where)
        axes = list(x.axes)
        axes[place] = Axis(Size(last - first), Role.FEATURES)
        return self.node(where, "Slice", [x], axes, {"first": first, "size": last - first})

    def last_step(self, where: str, x: Traced, axis: int) -> Traced:
        """The last element along the axis of time."""
        x.axes[axis].become(Role.TIME, where)
        place = axis % len(x.axes)
        return self.node(where, "Last", [x], x.axes[:place] + x.axes[place + 1 :])

    def permuted(self, x: Traced, order: Sequence[int]) -> Traced:
        """The same values with another order of axes."""
        return replace(x, axes=tuple(x.axes[place] for place in order))

    def unsqueezed(self, x: Traced, axis: int) -> Traced:
        """The same values with an axis of size 1."""
        place = axis % (len(x.axes) + 1)
        return replace(x, axes=(*x.axes[:place], unit(), *x.axes[place:]))

    def squeezed(self, where: str, x: Traced, axes: Sequence[int] | None) -> Traced:
        """The same values without axes of size 1; None: without all that have it."""
        places = [place for place, axis in enumerate(x.axes) if axis.size == Size(1)] if axes is None else axes
        wanted = {place % len(x.axes) for place in places}
        is_number = x.is_number
        for place in wanted:
            role = x.axes[place].role
            is_number = is_number or role is Role.FEATURES
            if role not in (Role.UNIT, Role.DIRECTIONS, Role.FEATURES):
                x.axes[place].become(Role.UNIT, where)
        left = tuple(axis for place, axis in enumerate(x.axes) if place not in wanted)
        return replace(x, axes=left, is_number=is_number)

    def reshaped(self, where: str, x: Traced, sizes: Sequence[Size | None]) -> Traced:
        """The same values with axes made one, taken apart, or of size 1.

        Raises:
            ConversionError: an axis is cut in pieces.
        """
        axes = reshaped(x.axes, sizes)
        if axes is None:
            raise errors.cut_by_reshape(where)
        return replace(x, axes=tuple(_with_directions(axis) for axis in axes))

    def gru(
        self,
        where: str,
        x: Traced,
        layer: Recurrence,
        time: int,
        batch: int | None,
        begins: Sequence[Traced] = (),
    ) -> tuple[Traced, States]:
        """A recurrent layer: its outputs with the axes of its input, and its last states (cells, B, H).

        A layer over an axis of size 1 that the program has inserted is one step for each call: a cell.

        Args:
            where: the name of the node.
            x: its input.
            layer: what it computes.
            time: the axis of the steps.
            batch: that of the sequences; None: there is one.
            begins: for each layer and direction what sequences begin with, (B, H) among axes of size 1; empty: zeros,
                or what was learned.
        """
        check_vectors(x.axes, where)
        rows = [] if batch is None or is_unit(x.axes[batch]) else [x.axes[batch]]
        for axis in rows:
            axis.become(Role.BATCH, where)
        _check_beginnings(where, begins, rows)
        if is_unit(x.axes[time]):
            return self._cells(where, x, layer, begins)
        x.axes[time].become(Role.TIME, where)
        hidden = int(layer.attributes["hidden_size"])
        directions = 2 if layer.attributes["bidirectional"] else 1
        cells = int(layer.attributes["num_layers"]) * directions
        output = (*x.axes[:-1], Axis(Size(directions * hidden), Role.FEATURES))
        state = (*(() if batch is None else (x.axes[batch],)), Axis(Size(hidden), Role.FEATURES))
        given, shapes = [x, *begins], [output, *[state] * cells]
        results = self._add(where, "GRU", given, shapes, layer.attributes, _keyed(where, layer))
        axes = (Axis(Size(cells), Role.CELLS), *state)
        return results[0], States(tuple(result.name for result in results[1:]), axes)

    def _cells(self, where: str, x: Traced, layer: Recurrence, begins: Sequence[Traced]) -> tuple[Traced, States]:
        """One step of a stack, cell by cell."""
        given = dict(layer.attributes)
        layers, hidden = int(given.pop("num_layers")), int(given["hidden_size"])
        if given.pop("bidirectional") or given.pop("learn_h0", False):
            raise errors.not_a_step(where)
        keyed, axes = _keyed(where, layer), (*x.axes[:-1], Axis(Size(hidden), Role.FEATURES))
        names = []
        for k in range(layers):
            own = {name.removesuffix(f"_l{k}"): one for name, one in keyed.items() if name.endswith(f"_l{k}")}
            cell = where if layers == 1 else f"{where}.{k}"
            x = self.node(cell, "GRUCell", [x, *begins[k : k + 1]], axes, given, own)
            given = {**given, "input_size": hidden}
            names.append(x.name)
        rows = tuple(axis for axis in x.axes[:-1] if axis.role is Role.BATCH)
        return x, States(tuple(names), (Axis(Size(layers), Role.CELLS), *rows, x.axes[-1]))

    def state(self, where: str, states: States, cell: int) -> Traced:
        """The state of one layer and direction as a value.

        Raises:
            ConversionError: it is a state that comes in, which only a recurrent layer can read.
        """
        if states.cells is None:
            raise errors.state_read_elsewhere(where, states.source)
        axes = tuple(axis for axis in states.axes if axis.role is not Role.CELLS)
        return Traced(states.cells[cell], axes, is_state=not states.is_computed)

    def graph(self, outputs: Sequence[tuple[str, Traced]]) -> Graph:
        """The graph.

        Raises:
            GraphError: something does not fit together.
        """
        inputs = [Input(given.name, letters_of(given), features_of(given)) for given in self._inputs]
        shown = [Output(name, traced.name, letters_of(traced)) for name, traced in outputs]
        used = used_nodes(self._nodes, [output.value for output in shown])
        keys = {key for node in used for key in node.parameters.values()}
        parameters = {key: array for key, array in self._parameters.items() if key in keys}
        return Graph(inputs, used, shown, parameters)

    def _add(
        self,
        where: str,
        operator: str,
        inputs: Sequence[Traced],
        results: Sequence[tuple[Axis, ...]],
        attributes: Mapping[str, Any],
        parameters: Mapping[str, tuple[str, Array]],
    ) -> list[Traced]:
        name = _free(where, self._names)
        self._names.add(name)
        traced = [
            Traced(self._value(name if place == 0 else f"{name}.state_{place - 1}"), axes)
            for place, axes in enumerate(results)
        ]
        keys = {role: self._parameter(key, array) for role, (key, array) in parameters.items()}
        given = tuple(one.name for one in inputs)
        self._nodes.append(Node(name, operator, given, tuple(one.name for one in traced), attributes, keys))
        return traced

    def _value(self, name: str) -> str:
        free = _free(name, self._values)
        self._values.add(free)
        return free

    def _parameter(self, key: str, array: Array) -> str:
        """The key of an array, which two nodes may share."""
        free = key
        while free in self._parameters and self._parameters[free] is not array:
            free = _free(key, set(self._parameters))
        self._parameters[free] = array
        return free


def _check_beginnings(where: str, begins: Sequence[Traced], rows: Sequence[Axis]) -> None:
    """Makes what sequences begin with vectors for each of them.

    Raises:
        ConversionError: they are something else.
    """
    for begin in begins:
        axes = [axis for axis in begin.axes if not is_unit(axis)]
        if len(axes) != len(rows) + 1:
            raise errors.cannot_begin(where, len(axes))
        for axis, row in zip(axes, rows, strict=False):
            axis.join(row, where)
        axes[-1].become(Role.FEATURES, where)


def _keyed(where: str, layer: Recurrence) -> dict[str, tuple[str, Array]]:
    keys = layer.keys or {name: f"{where}.{name}" for name in layer.parameters}
    return {name: (keys[name], array) for name, array in layer.parameters.items()}


def _free(name: str, taken: set[str]) -> str:
    if name not in taken:
        return name
    number = 1
    while f"{name}_{number}" in taken:
        number += 1
    return f"{name}_{number}"


def _with_directions(axis: Axis) -> Axis:
    """Directions and the features of each, made one, are features."""
    parts = flattened([axis])
    if len(parts) == 2 and [part.role for part in parts] == [Role.DIRECTIONS, Role.FEATURES]:
        return Axis(axis.size, Role.FEATURES)
    return axis
