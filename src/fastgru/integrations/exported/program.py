"""Reading programs of `torch.export` into graphs of the runtime, operation by operation."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx
from torch.export import ExportedProgram

from fastgru import errors
from fastgru.graph import Graph
from fastgru.graph.axes import Axis
from fastgru.graph.carried import Taken, check_carried
from fastgru.graph.traced import States, Traced
from fastgru.graph.tracing import GraphTracer
from fastgru.integrations.exported.advice import advice
from fastgru.integrations.exported.axes import AXES
from fastgru.integrations.exported.cells import over_cells, readable
from fastgru.integrations.exported.functions import FUNCTIONS
from fastgru.integrations.exported.in_place import VIEWS, name_of, out_of_place
from fastgru.integrations.exported.layers import LAYERS
from fastgru.integrations.exported.operation import (
    Constant,
    Operation,
    Zeros,
    described,
    numbers_of,
    sizes_of,
)

_SIZES = (torch.SymInt, torch.SymFloat, torch.SymBool)
_HANDLERS = {**LAYERS, **FUNCTIONS, **AXES}
_OVER_CELLS = {*LAYERS, *FUNCTIONS} - {"fastgru.forward", "aten.embedding"}  # of states, layer by layer


class Reader:
    """Reads a program.

    Attributes:
        values: what its nodes stand for.
        inputs: the axes of the inputs that are values, by the program's names; their roles are known after `graph`.
    """

    def __init__(self, program: ExportedProgram) -> None:
        self.tracer = GraphTracer()
        self.values: dict[fx.Node, Any] = {}
        self.inputs: dict[str, tuple[Axis, ...]] = {}
        self._program = program
        self._taken: list[Taken] = []
        self._has_states = False  # whether states are inputs: then states among the outputs are those to go on from
        self._users = {node: list(node.users) for node in program.graph.nodes}

    def graph(self) -> Graph:
        """The graph of the program.

        Raises:
            ConversionError: an operation that the runtime does not have. The message names it and its module.
            GraphError: something does not fit together.
        """
        outputs: list[tuple[str, Traced]] = []
        returned: Any = ()
        self._read_placeholders()
        for node in self._program.graph.nodes:
            if node.op == "call_function":
                self.values[node] = self._call(node)
            elif node.op == "output":
                outputs, returned = self._outputs(node), self._resolved(node.args[0])
        graph = self.tracer.graph(outputs)
        check_carried(graph, self._taken, returned)
        return graph

    def _read_placeholders(self) -> None:
        signature = self._program.graph_signature
        held = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
        held |= signature.inputs_to_lifted_tensor_constants
        state = {**self._program.state_dict, **self._program.constants}
        for node in self._program.graph.nodes:
            if node.op != "placeholder":
                continue
            if node.name in held:
                key = held[node.name]
                self.values[node] = Constant(key, numbers_of(state[key]))
            elif isinstance(node.meta.get("val"), Tensor):
                self.values[node] = self._input(node)
            else:
                self.values[node] = node.meta.get("val")

    def _input(self, node: fx.Node) -> Any:
        """An input: a value; or a state, lengths or marks of resets, which the runtime has arguments for."""
        fake = node.meta["val"]
        axes = tuple(Axis(size) for size in sizes_of(fake.shape))
        if self._feeds(node, 1):
            self._has_states = True
            return States(None, axes, node.name)
        if self._feeds(node, 4) or self._feeds(node, 5):
            return Zeros()
        self.inputs[node.name] = axes
        return self.tracer.input(node.name, axes, is_index=not fake.is_floating_point())

    def _feeds(self, node: fx.Node, place: int) -> bool:
        """Whether it goes, perhaps by way of views, into this argument of a recurrent layer."""
        for user in self._users[node]:
            if user.target is torch.ops.fastgru.forward.default:
                if user.args[place] is node:
                    return True
            elif name_of(user) in VIEWS and _keeps_rows(user) and self._feeds(user, place):
                return True
        return False

    def _call(self, node: fx.Node) -> Any:
        name, where = name_of(node), place_of(node)
        if isinstance(node.meta.get("val"), (int, float, bool, *_SIZES)):
            return node.meta["val"]  # sizes, which torch has computed
        args = [self._resolved(one) for one in node.args]
        kwargs = {key: self._resolved(one) for key, one in node.kwargs.items()}
        if name == "getitem":
            return args[0][args[1]]
        name = out_of_place(node, where, name, _HANDLERS)
        handler = _HANDLERS.get(name)
        if handler is None:
            raise errors.cannot_convert(where, f"the operation {name}, which the runtime does not have", *advice(name))
        op = Operation(self.tracer, where, name, node, args, kwargs)
        if name in FUNCTIONS and any(isinstance(one, _SIZES) for one in [*args, *kwargs.values()]):
            raise op.refuse("with a number that depends on the sizes of the call")
        if name in _OVER_CELLS and any(readable(one) for one in args):
            return over_cells(op, handler)
        result = handler(op)
        if name == "fastgru.forward" and isinstance(args[1], States) and args[1].cells is None:
            self._taken.append(Taken(args[1].source, len(args[1].axes), result[0].name, result[1].cells))
        return result

    def _resolved(self, value: Any) -> Any:
        if isinstance(value, fx.Node):
            return self.values[value]
        if isinstance(value, (list, tuple)):
            return [self._resolved(one) for one in value]
        return value

    def _outputs(self, node: fx.Node) -> list[tuple[str, Traced]]:
        """The outputs that are values; states are handed on by the runtime."""
        found = []
        results: Any = node.args[0]
        for place, one in enumerate(results):
            value = self._resolved(one)
            if isinstance(value, States):
                if value.is_computed:
                    raise errors.cannot_convert(f"output {place}", f"{described(value)}. Return them one by one", "")
                continue
            if not isinstance(value, Traced):
                raise errors.cannot_convert(f"output {place}", "a result that does not depend on the input")
            found.append((one.name, value))
        kept = [(name, value) for name, value in found if not (value.is_state and self._has_states)] or found[:1]
        kept = _with_own_names(kept)
        if not kept:
            advice = "a last state, as h_n[-1], may be an output"
            raise errors.cannot_convert(
                "the model", f"no output but states of layers, which the runtime returns ({advice})"
            )
        return [("output" if len(kept) == 1 else name, value) for name, value in kept]


def _with_own_names(outputs: list[tuple[str, Traced]]) -> list[tuple[str, Traced]]:
    """Outputs with a number behind the name of a value that is returned again."""
    taken: set[str] = {name for name, _ in outputs}
    found: dict[str, Traced] = {}
    for name, value in outputs:
        own, number = name, 0
        while own in found:
            number += 1
            own = own if f"{name}_{number}" in taken else f"{name}_{number}"
        found[own] = value
    return list(found.items())


def _keeps_rows(node: fx.Node) -> bool:
    """Whether a view of a state has all its rows: parts of it are layers, or features that belong to several layers.

    What takes steps out of an input, as x[:, -1] does, makes no state of it.
    """
    name = name_of(node).removeprefix("aten.")
    if name not in ("select", "slice", "split", "split_with_sizes", "chunk", "tensor_split", "unbind"):
        return True
    place = 2 if name in ("split", "split_with_sizes", "chunk", "tensor_split") else 1
    axis = node.args[place] if place < len(node.args) else node.kwargs.get("dim", 0)
    rank = len(node.args[0].meta["val"].shape)  # type: ignore[union-attr]
    return bool(axis == 0 or (axis in (-1, rank - 1) and name not in ("select", "unbind")))


def place_of(node: fx.Node) -> str:
    """The module that an operation belongs to, or its own name."""
    stack = list(node.meta.get("nn_module_stack", {}).values())
    path = str(stack[-1][0]) if stack else ""
    return path if path and _is_leaf(stack[-1][1]) else (f"{path}.{node.name}" if path else node.name)


def _is_leaf(kind: object) -> bool:
    return str(kind).startswith(("torch.nn.", "fastgru.")) or "torch.nn.modules" in str(kind)
