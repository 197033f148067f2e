"""Running a graph by the compiled core: one call for the whole model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from fastgru import _core
from fastgru.graph.graph import Graph, Node, operator_of, parameters_of
from fastgru.graph.values import Per, Value
from fastgru.runtime.arguments import Arguments
from fastgru.runtime.stored_weights import stored_types

Array = np.ndarray[Any, Any]

# Operator -> the core's name of the function, and those of its attributes that the function takes.
_FUNCTIONS: dict[str, tuple[str, tuple[str, ...]]] = {
    "ReLU": ("relu", ()),
    "LeakyReLU": ("leaky_relu", ("negative_slope",)),
    "ELU": ("elu", ("alpha",)),
    "SELU": ("selu", ()),
    "SiLU": ("silu", ()),
    "Sigmoid": ("sigmoid", ()),
    "Tanh": ("tanh", ()),
    "Softplus": ("softplus", ("beta", "threshold")),
    "Softsign": ("softsign", ()),
    "Hardsigmoid": ("hard_sigmoid", ("alpha", "beta")),
    "Hardswish": ("hard_swish", ()),
    "Clamp": ("clip", ("min", "max")),
    "Exp": ("exp", ()),
    "Log": ("log", ()),
    "Sqrt": ("sqrt", ()),
    "Abs": ("abs", ()),
    "Erf": ("erf", ()),
    "Neg": ("negate", ()),
}
_FUSED = ("relu", "sigmoid", "tanh")  # those that the core computes together with a linear layer


class CoreExecution:
    """Runs a graph. Arrays are (T, B, F), (B, F), or of indices (T, B), (B)."""

    def __init__(self, graph: Graph, weights: str | None = None) -> None:
        self._graph, self._stored = graph, stored_types(graph, weights)
        self._level, self._program = _core.active_level(), build_program(graph, self._stored)
        self._dtype, self._states = graph.dtype, tuple(graph.recurrent.items())
        self._nothing_begun = (None,) * len(self._states)
        values = {output.value: graph.values[output.value] for output in graph.outputs}
        self._outputs = [(name, value.per is Per.STEP, value.size or 0) for name, value in values.items()]

    def run(self, call: Arguments, threads: int) -> tuple[dict[str, Array], dict[str, Array]]:
        """The values that the graph gives out, by their names, and the next states."""
        if _core.active_level() != self._level:  # weights are packed for the kernels of one level
            self._level, self._program = _core.active_level(), build_program(self._graph, self._stored)
        steps, batch, states = call.steps, call.batch, call.states
        next_states = {name: np.empty((rows, batch, size), self._dtype) for name, (rows, size) in self._states}
        made = {
            name: np.empty((steps, batch, size) if is_per_step else (batch, size), self._dtype)
            for name, is_per_step, size in self._outputs
        }
        self._program.run(
            tuple([_readable(array) for array in call.inputs.values()]),
            tuple([_dense(states[name]) for name in next_states]),
            tuple([call.begun.get(name) for name in next_states]) if call.begun else self._nothing_begun,
            tuple(next_states.values()),
            tuple(made.values()),
            call.timing.lengths,
            call.timing.reset,
            steps,
            batch,
            threads,
        )
        return made, next_states


def _readable(array: Array) -> Array:
    """An array whose vectors the core can read where they are."""
    if array.flags.c_contiguous and array.flags.aligned:
        return array
    is_side_by_side = array.shape[-1] <= 1 or array.strides[-1] == array.itemsize
    if array.dtype.kind == "f" and not is_side_by_side:
        return np.ascontiguousarray(array)
    is_whole = all(stride % array.itemsize == 0 for stride in array.strides)
    return array if is_whole and array.flags.aligned else array.copy()


def _dense(array: Array) -> Array:
    return array if array.flags.c_contiguous and array.flags.aligned else np.array(array, order="C")


def build_program(graph: Graph, stored: Mapping[str, str]) -> Any:
    """The core's program for a graph; `stored` are types of the weights of recurrent nodes by name."""
    return _Builder(graph, stored).build()


class _Builder:
    """Translates a graph, node by node."""

    def __init__(self, graph: Graph, stored: Mapping[str, str]) -> None:
        self._graph, self._stored = graph, stored
        self._values = dict(graph.values)
        self._numbers = {name: number for number, name in enumerate(self._values)}
        self._states = 0
        self._fused = _fused_nodes(graph)

    def build(self) -> Any:
        repeated = self._name_repeats()
        kind = _core.ProgramFloat32 if self._graph.dtype == np.float32 else _core.ProgramFloat64
        self._program = kind([(value.per is Per.STEP, value.size or 0) for value in self._values.values()])
        for node in self._graph.nodes:
            if node.name not in self._fused.values():
                self._adders(node)(node, [repeated.get((node.name, name), name) for name in node.inputs])
        outputs = list(dict.fromkeys(output.value for output in self._graph.outputs))
        inputs = [self._numbers[port.name] for port in self._graph.inputs]
        self._program.finish(inputs, [self._numbers[name] for name in outputs])
        return self._program

    def _name_repeats(self) -> dict[tuple[str, str], str]:
        """New values for those that an operation needs at each step and that there is one of for each sequence."""
        repeated = {}
        for node in self._graph.nodes:
            if node.operator not in ("Add", "Subtract", "Multiply", "Divide"):
                continue
            result = self._graph.values[node.outputs[0]]
            for name in node.inputs:
                if self._graph.values[name].per is not result.per:
                    new = f"{name} at each step of {node.name}"
                    while new in self._numbers:
                        new += "'"
                    repeated[node.name, name] = new
                    self._numbers[new] = len(self._values)
                    self._values[new] = Value(result.per, self._graph.values[name].size)
        return repeated

    def _adders(self, node: Node) -> Callable[[Node, list[str]], None]:
        if node.operator in _FUNCTIONS or node.operator == "GELU":
            return self._add_function
        return {
            "Linear": self._add_linear,
            "Embedding": self._add_embedding,
            "LayerNorm": self._add_layer_norm,
            "GRU": self._add_gru,
            "GRUCell": self._add_gru,
            "Softmax": self._add_softmax,
            "LogSoftmax": self._add_softmax,
            "Add": self._add_operation,
            "Subtract": self._add_operation,
            "Multiply": self._add_operation,
            "Divide": self._add_operation,
            "Concat": self._add_concat,
            "Slice": self._add_slice,
            "Last": self._add_last,
        }[node.operator]

    def _number(self, name: str) -> int:
        return self._numbers[name]

    def _parameters(self, node: Node) -> dict[str, Array]:
        return {role: np.ascontiguousarray(array) for role, array in parameters_of(self._graph, node).items()}

    def _add_linear(self, node: Node, inputs: list[str]) -> None:
        own = self._parameters(node)
        result, function = node.outputs[0], ("none", 0.0, 0.0)
        follower = self._fused.get(node.name)
        if follower is not None:
            after = next(other for other in self._graph.nodes if other.name == follower)
            result, function = after.outputs[0], _function(after)
        self._program.add_linear(
            self._number(inputs[0]), self._number(result), own["weight"], own.get("bias"), *function
        )

    def _add_embedding(self, node: Node, inputs: list[str]) -> None:
        rows = node.attributes["num_embeddings"]
        self._program.add_embedding(
            self._number(inputs[0]), self._number(node.outputs[0]), rows, self._parameters(node)["weight"]
        )

    def _add_layer_norm(self, node: Node, inputs: list[str]) -> None:
        own = self._parameters(node)
        x, y = self._number(inputs[0]), self._number(node.outputs[0])
        self._program.add_layer_norm(x, y, own.get("weight"), own.get("bias"), node.attributes["eps"])

    def _add_function(self, node: Node, inputs: list[str]) -> None:
        self._program.add_activation(self._number(inputs[0]), self._number(node.outputs[0]), *_function(node))

    def _add_softmax(self, node: Node, inputs: list[str]) -> None:
        self._program.add_softmax(self._number(inputs[0]), self._number(node.outputs[0]), node.operator == "LogSoftmax")

    def _add_operation(self, node: Node, inputs: list[str]) -> None:
        for name, given in zip(inputs, node.inputs, strict=True):
            if name != given:
                size = self._values[name].size or 0
                self._program.add_copy(self._number(given), self._number(name), 0, 0, size)
        constant, other = None, -1
        if node.attributes["other"] == "value":
            other = self._number(inputs[1])
        elif node.attributes["other"] == "vector":
            constant = self._parameters(node)["other"]
        else:
            constant = np.array([node.attributes["number"]], self._graph.dtype)
        x, y = self._number(inputs[0]), self._number(node.outputs[0])
        self._program.add_combine(node.operator.lower(), x, other, y, constant, node.attributes["swap"])

    def _add_concat(self, node: Node, inputs: list[str]) -> None:
        first = 0
        for name in inputs:
            size = self._values[name].size or 0
            self._program.add_copy(self._number(name), self._number(node.outputs[0]), 0, first, size)
            first += size

    def _add_slice(self, node: Node, inputs: list[str]) -> None:
        x, y = self._number(inputs[0]), self._number(node.outputs[0])
        self._program.add_copy(x, y, node.attributes["first"], 0, node.attributes["size"])

    def _add_last(self, node: Node, inputs: list[str]) -> None:
        self._program.add_last(self._number(inputs[0]), self._number(node.outputs[0]))

    def _add_gru(self, node: Node, inputs: list[str]) -> None:
        own, given = self._parameters(node), node.attributes
        roles = operator_of(node).parameter_shapes(given, [])  # in torch's order
        layers, directions = given.get("num_layers", 1), 2 if given.get("bidirectional") else 1
        kind = str(self._graph.dtype)
        sizes = _core.LayerSizes(
            given["input_size"], given["hidden_size"], layers, directions, given["bias"], kind, given["reset_after"]
        )
        named = [self._number(name) for name in node.outputs[1:]]
        last = named + [-1] * (layers * directions - len(named))
        x, y = self._number(inputs[0]), self._number(node.outputs[0])
        weights = tuple([own[role] for role in roles if role != "h_0"])
        begins = [self._number(name) for name in inputs[1:]]
        self._program.add_gru(x, y, self._states, last, begins, sizes, weights, own.get("h_0"), self._stored[node.name])
        self._states += 1


def _function(node: Node) -> tuple[str, float, float]:
    """The core's name of a function, and its two parameters."""
    if node.operator == "GELU":
        return "gelu" if node.attributes["approximate"] == "none" else "gelu_tanh", 0.0, 0.0
    name, wanted = _FUNCTIONS[node.operator]
    a, b = [*(node.attributes[attribute] for attribute in wanted), 0.0, 0.0][:2]
    return name, a, b


def _fused_nodes(graph: Graph) -> dict[str, str]:
    """Linear layers whose only reader is a function that the core computes along: its name by theirs."""
    readers: dict[str, list[str]] = {output.value: ["output"] for output in graph.outputs}
    by_name = {node.name: node for node in graph.nodes}
    for node in graph.nodes:
        for name in node.inputs:
            readers.setdefault(name, []).append(node.name)
    fused = {}
    for node in graph.nodes:
        mine = readers.get(node.outputs[0], [])
        if node.operator != "Linear" or len(mine) != 1 or mine[0] not in by_name:
            continue
        after = by_name[mine[0]]
        if after.operator in _FUNCTIONS and _FUNCTIONS[after.operator][0] in _FUSED:
            fused[node.name] = after.name
    return fused
