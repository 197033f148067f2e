"""`Reader`: goes through the nodes of an ONNX model and makes a graph of the runtime."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from fastgru import errors
from fastgru.convert.onnx_folding import folded, widened
from fastgru.convert.onnx_inputs import VIEWS, is_lengths, is_state, users_of
from fastgru.convert.onnx_nodes import KNOWN, handle
from fastgru.convert.onnx_nodes.operation import Operation
from fastgru.convert.onnx_nodes.values import Constant, Lengths, Notes, Repeated, Unfinished
from fastgru.convert.onnx_parts import needed, read_names
from fastgru.graph import Graph
from fastgru.graph.axes import Axis, Role, Size
from fastgru.graph.carried import check_carried
from fastgru.graph.traced import States, Traced
from fastgru.graph.tracing import GraphTracer

# What reading a malformed node raises: it may have too few inputs, attributes of other types, or impossible sizes.
MALFORMED = (ValueError, TypeError, LookupError, ArithmeticError, AttributeError, AssertionError, StopIteration)
_LOOPS = {"Loop", "Scan", "If"}
_OLDEST = 7  # opset: before it, sums and products match their axes by an attribute


class Refused(Exception):  # noqa: N818  (it carries an error to where advice is added)
    """A node that cannot be converted.

    Attributes:
        error: what is said about it.
        nodes: the outputs of the nodes that cannot be, by which they are known.
    """

    def __init__(self, error: errors.FastGRUError, nodes: set[str]) -> None:
        super().__init__(str(error))
        self.error, self.nodes = error, nodes


class Reader:
    """Goes through the nodes of a model; `values` are what their results stand for."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._tracer = GraphTracer()
        self._values: dict[str, Any] = {"": None}
        self._opset = next((one.version for one in model.opset_import if one.domain in ("", "ai.onnx")), 1)
        self._dtype = np.dtype(np.float32)
        self._notes = Notes()
        self._read_constants(model.graph)
        self._nodes, _ = needed(model.graph, set(), [port.name for port in model.graph.output])
        self._users = users_of(self._nodes)

    def graph(self) -> Graph:
        """The graph.

        Raises:
            Refused: a node cannot be converted.
            ConversionError: an input or an output cannot be.
        """
        if self._opset < _OLDEST:
            raise errors.old_opset(self._opset, _OLDEST)
        given = [self._given(port) for port in self._model.graph.input if port.name not in self._values]
        self._check_operators()
        self._read_nodes(self._nodes)
        outputs = self._outputs()
        self._check_features(given)
        graph = self._tracer.graph(outputs)
        self._check_features(given)  # of axes that nothing told but the order of an input's
        check_carried(graph, self._notes.taken, [self._values[port.name] for port in self._model.graph.output])
        return graph

    def _read_constants(self, graph: Any) -> None:
        import onnx.numpy_helper

        for tensor in graph.initializer:
            try:
                array = onnx.numpy_helper.to_array(tensor)
            except MALFORMED as error:
                raise errors.cannot_convert(f"initializer {tensor.name!r}", f"data that is damaged ({error})") from None
            self._values[tensor.name] = Constant(tensor.name, widened(array))
            if array.dtype == np.float64 and array.ndim > 1:
                self._dtype = array.dtype

    def _given(self, port: Any) -> tuple[str, Any]:
        value = self._input(port)
        self._values[port.name] = value
        return port.name, value

    def _check_operators(self) -> None:
        """Finds operators that nothing converts before anything else is done: loops first, which say most."""
        unknown, reached = [], {name for name, one in self._values.items() if not _is_constant(one)}
        for node in self._nodes:
            if not reached & read_names(node):
                continue  # it is constant, so it will be computed
            if node.op_type not in KNOWN and node.op_type != "If" and _is_plain(node):
                unknown.append(node)
            if node.op_type != "Shape":
                reached |= set(node.output)
        if unknown:
            first = next((node for node in unknown if node.op_type in _LOOPS), unknown[0])
            error = errors.unknown_onnx_operator(_place(first), first.op_type)
            raise Refused(error, {_known_by(node) for node in unknown})

    def _read_nodes(self, nodes: Iterable[Any]) -> None:
        for node in nodes:
            try:
                results = self._results(node)
            except errors.FastGRUError as error:
                pieces = {name for name in node.input if isinstance(self._values.get(name), Unfinished)}
                raise Refused(error, {_known_by(node)} | pieces) from error
            self._values.update((name, one) for name, one in zip(node.output, results, strict=False) if name)

    def _input(self, given: Any) -> Any:
        import onnx

        kind = given.type.tensor_type
        if not given.type.HasField("tensor_type"):
            raise errors.cannot_convert(f"input {given.name!r}", "no tensor")
        if not kind.HasField("shape"):
            raise errors.cannot_convert(f"input {given.name!r}", "a value whose shape the file does not tell")
        sizes = [
            Size(dim.dim_value) if dim.HasField("dim_value") else Size(1, (dim.dim_param or f"{given.name}.{place}",))
            for place, dim in enumerate(kind.shape.dim)
        ]
        axes = tuple(Axis(size) for size in sizes)
        if is_state(self._users, given.name, [None if size.names else size.number for size in sizes]):
            return States(None, axes, given.name)
        if is_lengths(self._users, given.name):
            return Lengths(axes)
        is_index = kind.elem_type in (onnx.TensorProto.INT32, onnx.TensorProto.INT64)
        return self._tracer.input(given.name, axes, is_index=is_index)

    def _results(self, node: Any) -> Sequence[Any]:
        where = _place(node)
        for name in node.input:
            if name not in self._values:
                raise errors.cannot_convert(where, f"the input {name!r}, which nothing before it computes")
        given = [self._values[name] for name in node.input]
        if not _is_plain(node):
            raise errors.onnx_operator_of_others(where, node.domain)
        if node.op_type == "If":
            return self._branch(node, where, given)
        if node.op_type == "Constant" or (node.op_type != "GRU" and all(_is_constant(one) for one in given)):
            return folded(self._model, node, where, given)
        if node.op_type in VIEWS and isinstance(given[0], Repeated) and all(map(_is_constant, given[1:])):
            return [Repeated(one) for one in folded(self._model, node, where, [given[0].constant, *given[1:]])]
        if node.op_type not in KNOWN:
            raise errors.unknown_onnx_operator(where, node.op_type)
        attributes, count = _attributes(node), len(node.output)
        name, about = _name_of(node), (self._opset, self._dtype, self._notes)
        op = Operation(self._tracer, where, name, node.op_type, given, attributes, count, *about)
        try:
            results = handle(op)
        except errors.FastGRUError:
            raise
        except MALFORMED as error:
            raise errors.cannot_convert(where, f"inputs or attributes that do not fit ({error})") from error
        return results if isinstance(results, tuple) else (results,)

    def _branch(self, node: Any, where: str, given: Sequence[Any]) -> list[Any]:
        """The results of the branch that an If takes, which must not depend on a call."""
        if len(given) != 1 or not isinstance(given[0], Constant) or given[0].array.size != 1:
            raise errors.cannot_convert(where, "an If whose condition depends on the call")
        name = "then_branch" if bool(given[0].array.reshape(())) else "else_branch"
        graph = _attributes(node)[name]
        self._read_constants(graph)
        self._read_nodes(graph.node)
        return [self._values[port.name] for port in graph.output]

    def _check_features(self, given: Sequence[tuple[str, Any]]) -> None:
        """Raises where the size of an input's vectors is not fixed, or the program has inserted their axis."""
        for name, value in given:
            if not isinstance(value, Traced) or value.is_index:
                continue
            for axis in value.axes:
                if axis.role is Role.FEATURES and axis.size.names:
                    raise errors.features_not_fixed(name, axis.size.names[0])
            added = {node.output[0] for node, _ in self._users.get(name, ()) if node.op_type == "Unsqueeze"}
            if added and all(axis.role in (Role.TIME, Role.BATCH, Role.UNIT) for axis in value.axes):
                raise Refused(errors.features_inserted(name), added)

    def _outputs(self) -> list[tuple[str, Traced]]:
        found: dict[str, Traced] = {}
        states = {}
        for port in self._model.graph.output:
            value = self._values.get(port.name)
            value = value.value if isinstance(value, Unfinished) else value
            if isinstance(value, States):
                states[port.name] = value
                continue
            if not isinstance(value, Traced):
                raise errors.cannot_convert(f"output {port.name!r}", "a result that does not depend on the input")
            found[port.name] = value
        found = found or self._only_state(states)
        has_states = any(isinstance(self._values[given.name], States) for given in self._model.graph.input)
        kept = [(name, value) for name, value in found.items() if not (has_states and value.is_state)]
        return kept or list(found.items())[:1]

    def _only_state(self, states: Mapping[str, States]) -> dict[str, Traced]:
        """The state of a model that gives nothing else, as its output: that of one layer and direction."""
        for name, value in states.items():
            if value.cells is not None and len(value.cells) == 1:
                axes = tuple(axis for axis in value.axes if axis.role is not Role.CELLS)
                state = Traced(value.cells[0], axes, is_state=True)
                for place, axis in enumerate(value.axes):
                    state = self._tracer.unsqueezed(state, place) if axis.role is Role.CELLS else state
                return {name: state}
        advice = "a last state of one layer and direction may be an output"
        raise errors.cannot_convert(
            "the model", f"no output but states of layers, which the runtime returns ({advice})"
        )


def _known_by(node: Any) -> str:
    """The name of a result of a node, which no other node has."""
    return next((name for name in node.output if name), "")


def _place(node: Any) -> str:
    return f"node {node.name or _known_by(node)!r} ({node.op_type})"


def _is_plain(node: Any) -> bool:
    return node.domain in ("", "ai.onnx")


def _is_constant(value: Any) -> bool:
    return value is None or isinstance(value, Constant)


def _name_of(node: Any) -> str:
    """A name in the graph: that of the module that torch's exporter tells, else the node's own, or its result's."""
    told = {prop.key: prop.value for prop in node.metadata_props}.get("pkg.torch.onnx.name_scopes")
    scopes = re.findall(r"'([^']*)'", told or "")
    if scopes:
        return str(([scope for scope in scopes[:-1] if scope] or scopes)[-1])
    return str(node.name or _known_by(node)).strip("/").replace("/", ".")


def _attributes(node: Any) -> Mapping[str, Any]:
    import onnx

    return {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute}
