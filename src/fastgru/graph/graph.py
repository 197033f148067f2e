"""`Graph`: a model as inputs, nodes in the order in which they are computed, and outputs. Checked when it is made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np

from fastgru import errors
from fastgru.graph.operators import OPERATORS, Operator, Recurrent
from fastgru.graph.values import Value, value_of_axes

Array = np.ndarray[Any, Any]
DTYPES = ("float32", "float64")


@dataclass(frozen=True)
class Input:
    """An input of a model.

    Attributes:
        name: unique among all values.
        axes: the order of its axes, of time T, batch B and features F: ``"BTF"``, ``"TB"``, ``"BF"``, ...; and ``1``
            for axes of size 1 that stand for nothing.
        size: features; None for integer indices, which have no axis F.
    """

    name: str
    axes: str
    size: int | None

    @cached_property
    def value(self) -> Value:
        """Its type."""
        value = value_of_axes(self.axes, self.size)
        if value is None:
            raise errors.wrong_axes(f"input {self.name!r}", self.axes, self.size)
        return value


@dataclass(frozen=True)
class Output:
    """An output of a model.

    Attributes:
        name: the name that users see.
        value: the name of the value in the graph.
        axes: the order of its axes, as of an input; without F for one feature as a number.
    """

    name: str
    value: str
    axes: str


@dataclass(frozen=True)
class Node:
    """One operation.

    Attributes:
        name: unique among the nodes; the name of its module in the original model. Its state has this name too.
        operator: a key of `OPERATORS`.
        inputs: names of values.
        outputs: names of its results, each unique; fewer than the operator has if the others are not used.
        attributes: options, such as ``hidden_size``.
        parameters: the operator's names of its parameters -> keys of `Graph.parameters`.
    """

    name: str
    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"node {self.name!r} ({self.operator})"


class Graph:
    """A whole model: its operations in the order of computation, and its weights.

    Args:
        inputs: at least one.
        nodes: in the order of computation: each reads inputs and results of nodes before it.
        outputs: at least one.
        parameters: arrays by name, of one dtype, float32 or float64, without NaN. They are not copied.

    Raises:
        GraphError: something does not fit. The message names the node.

    Example:
        >>> import numpy as np
        >>> from fastgru.graph import Graph, Input, Node, Output
        >>> sizes = {"in_features": 2, "out_features": 3, "bias": False}
        >>> node = Node("linear", "Linear", ("x",), ("y",), sizes, {"weight": "linear.weight"})
        >>> weights = {"linear.weight": np.ones((3, 2), np.float32)}
        >>> graph = Graph([Input("x", "BTF", 2)], [node], [Output("y", "y", "BTF")], weights)
        >>> print(graph.values["y"])
        a vector of 3 for each step
    """

    def __init__(
        self,
        inputs: Iterable[Input],
        nodes: Iterable[Node],
        outputs: Iterable[Output],
        parameters: Mapping[str, Array],
    ) -> None:
        self.inputs = tuple(inputs)
        self.outputs = tuple(outputs)
        self.parameters = MappingProxyType(dict(parameters))
        self.dtype = _common_dtype(self.parameters)
        self.nodes = tuple(with_defaults(node) for node in nodes)
        self.values = MappingProxyType(_infer(self))
        _check_names("node", (node.name for node in self.nodes))
        _check_parameters(self)
        _check_outputs(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return Graph, (self.inputs, self.nodes, self.outputs, dict(self.parameters))

    @cached_property
    def recurrent(self) -> Mapping[str, tuple[int, int]]:
        """Name of a node with a state -> (rows for each sequence, H)."""
        return {node.name: shape for node in self.nodes if (shape := state_shape(node)) is not None}

    @cached_property
    def first_states(self) -> Mapping[str, Array]:
        """Name of a node with a state -> its initial state, (rows for each sequence, 1, H).

        It is NaN where the model computes the initial state, which is known only in a call.
        """
        states = {}
        for node in self.nodes:
            if node.name in self.recurrent:
                rows, size = self.recurrent[node.name]
                learned = node.parameters.get("h_0")
                fill = np.nan if node.name in self.begun else 0
                states[node.name] = (
                    np.full((rows, 1, size), fill, self.dtype) if learned is None else self.parameters[learned][:, None]
                )
        return states

    @cached_property
    def begun(self) -> tuple[str, ...]:
        """The names of nodes whose sequences begin with values of the graph."""
        return tuple(node.name for node in self.nodes if node.name in self.recurrent and len(node.inputs) > 1)

    @cached_property
    def index_limits(self) -> Mapping[str, int]:
        """For each input of indices that embeddings read: how many rows the smallest of these has."""
        limits: dict[str, int] = {}
        for node in self.nodes:
            if node.operator == "Embedding":
                name, rows = node.inputs[0], node.attributes["num_embeddings"]
                limits[name] = min(rows, limits.get(name, rows))
        return limits


def operator_of(node: Node) -> Operator:
    """What a node computes.

    Raises:
        GraphError: there is no such operator.
    """
    if node.operator not in OPERATORS:
        raise errors.unknown_operator(str(node), OPERATORS)
    return OPERATORS[node.operator]


def state_shape(node: Node) -> tuple[int, int] | None:
    """(rows for each sequence, H) of a node with a state; None for others."""
    operator = operator_of(node)
    return operator.state_shape(node.attributes) if isinstance(operator, Recurrent) else None


def parameters_of(graph: Graph, node: Node) -> dict[str, Array]:
    """The arrays of a node by its operator's names."""
    return {role: graph.parameters[key] for role, key in node.parameters.items()}


def with_defaults(node: Node) -> Node:
    """The node with all attributes, in the order of its operator.

    Raises:
        GraphError: one is unknown, missing or wrong.
    """
    known = operator_of(node).attributes
    for name in node.attributes:
        if name not in known:
            raise errors.unknown_attribute(str(node), name, known)
    complete = {}
    for name, attribute in known.items():
        value = node.attributes.get(name, attribute.default)
        if value is None:
            raise errors.missing_attribute(str(node), name)
        problem = attribute.problem(value)
        if problem is not None:
            raise errors.wrong_attribute(str(node), name, value, problem)
        complete[name] = float(value) if attribute.kind is float else value
    return Node(node.name, node.operator, tuple(node.inputs), tuple(node.outputs), complete, dict(node.parameters))


def _common_dtype(parameters: Mapping[str, Array]) -> np.dtype[Any]:
    found = {str(array.dtype) for array in parameters.values()} or {"float32"}
    if len(found) > 1 or not found <= set(DTYPES):
        raise errors.mixed_dtypes(sorted(found), DTYPES)
    return np.dtype(found.pop())


def _infer(graph: Graph) -> dict[str, Value]:
    """The type of every value by its name."""
    if not graph.inputs:
        raise errors.empty_graph("input")
    values: dict[str, Value] = {}
    _check_names("input", (given.name for given in graph.inputs))
    for given in graph.inputs:
        values[given.name] = given.value
    for node in graph.nodes:
        operator, where = operator_of(node), str(node)
        _check_count(where, "inputs", len(node.inputs), operator.inputs)
        _check_count(where, "outputs", len(node.outputs), operator.outputs)
        for name in node.inputs:
            if name not in values:
                raise errors.unknown_value(where, name, any(name in other.outputs for other in graph.nodes))
        results = operator.results(where, node.attributes, [values[name] for name in node.inputs])
        _check_count(where, "outputs", len(node.outputs), (1, len(results)))
        for name, result in zip(node.outputs, results, strict=False):
            if name in values:
                raise errors.repeated_name("value", name)
            values[name] = result
    return values


def _check_count(where: str, what: str, count: int, allowed: tuple[int, int]) -> None:
    if not allowed[0] <= count <= allowed[1]:
        raise errors.wrong_count(where, what, count, allowed)


def _check_names(kind: str, names: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if not isinstance(name, str) or not name or name in seen:
            raise errors.repeated_name(kind, name)
        seen.add(name)


def _check_parameters(graph: Graph) -> None:
    """Raises unless each node has its parameters, of the right shapes, and none is left over."""
    used = set()
    for node in graph.nodes:
        inputs = [graph.values[name] for name in node.inputs]
        shapes = operator_of(node).parameter_shapes(node.attributes, inputs)
        if set(shapes) != set(node.parameters):
            raise errors.wrong_parameters(str(node), sorted(node.parameters), sorted(shapes))
        for role, key in node.parameters.items():
            if key not in graph.parameters:
                raise errors.missing_parameter(str(node), role, key)
            if graph.parameters[key].shape != shapes[role]:
                raise errors.wrong_parameter_shape(str(node), key, graph.parameters[key].shape, shapes[role])
            used.add(key)
    for key, array in graph.parameters.items():
        if key not in used:
            raise errors.unused_parameter(key)
        with np.errstate(all="ignore"):
            is_finite = bool(np.isfinite(array.sum()))  # a quarter of the time of looking at each value
        if not is_finite and np.isnan(array).any():
            raise errors.not_a_number(key, int(np.isnan(array).sum()))


def _check_outputs(graph: Graph) -> None:
    if not graph.outputs:
        raise errors.empty_graph("output")
    _check_names("output", (output.name for output in graph.outputs))
    for output in graph.outputs:
        if output.value not in graph.values:
            raise errors.unknown_value(f"output {output.name!r}", output.value, False)
        size = graph.values[output.value].size
        if size is None:
            raise errors.wrong_value(f"output {output.name!r}", str(graph.values[output.value]), "a vector")
        axes = output.axes if "F" in output.axes or size != 1 else f"{output.axes}F"
        if value_of_axes(axes, size) != graph.values[output.value]:
            raise errors.wrong_axes(f"output {output.name!r}", output.axes, size)
