"""Reading ONNX models that hold GRU nodes among others into graphs of the runtime.

Source of the operators: https://onnx.ai/onnx/operators/. What is constant in a model is computed by the reference
implementation of the package onnx; sizes are followed as products of names.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fastgru import errors
from fastgru.convert.onnx_nodes import HANDLERS
from fastgru.convert.onnx_nodes.operation import Constant, Lengths, Operation
from fastgru.graph import Graph
from fastgru.graph.axes import Axis, Size
from fastgru.graph.traced import States, Traced
from fastgru.graph.tracing import GraphTracer

# What reading a malformed node raises: it may have too few inputs, attributes of other types, or impossible sizes.
_MALFORMED = (ValueError, TypeError, LookupError, ArithmeticError, AttributeError, AssertionError, StopIteration)
_FOLDED_BYTES = 2**28  # of one constant that is computed: more is no weight of a model that a GRU belongs to


def read_onnx(path: str | os.PathLike[str]) -> Graph:
    """The graph of an ONNX file.

    Inputs that are only initial states of GRU nodes, and outputs that are only last states, are states of the graph:
    the runtime hands them on by itself. So it is with inputs that are only `sequence_lens`.

    Args:
        path: the file; weights in files beside it are found.

    Raises:
        MissingExtra: the package onnx is not installed.
        ConversionError: the file has an operation that the runtime does not have. The message names the node.
        FormatError: it is no ONNX file.
        OSError: it cannot be read.
    """
    try:
        return _Reader(_opened(Path(path))).graph()
    except errors.FastGRUError:
        raise
    except _MALFORMED as error:  # names that are no text, sizes below 0, and the like
        raise errors.not_an_onnx_file(path, error) from error


def _opened(path: Path) -> Any:
    try:
        import onnx
        import onnx.inliner
    except ModuleNotFoundError as missing:
        raise errors.missing_extra("onnx", "onnx", "fastgru.convert of an ONNX file") from missing
    path.open("rb").close()  # an error about the file itself comes out as it is
    try:
        model = onnx.load(path)
        if not model.graph.output:
            raise ValueError("it has no graph")
        return onnx.inliner.inline_local_functions(model)
    except (onnx.checker.ValidationError, ValueError, TypeError, RuntimeError) as error:
        raise errors.not_an_onnx_file(path, error) from None
    except Exception as error:
        if type(error).__name__ != "DecodeError":  # of protobuf, which has no public name for it
            raise
        raise errors.not_an_onnx_file(path, error) from None


class _Reader:
    """Goes through the nodes of a model; `values` are what their results stand for."""

    def __init__(self, model: Any) -> None:
        import onnx.numpy_helper

        self._model = model
        self._tracer = GraphTracer()
        self._values: dict[str, Any] = {"": None}
        self._opset = next((one.version for one in model.opset_import if one.domain in ("", "ai.onnx")), 1)
        for tensor in model.graph.initializer:
            try:
                array = onnx.numpy_helper.to_array(tensor)
            except _MALFORMED as error:
                raise errors.cannot_convert(f"initializer {tensor.name!r}", f"data that is damaged ({error})") from None
            self._values[tensor.name] = Constant(tensor.name, _widened(array))
        self._users: dict[str, list[tuple[Any, int]]] = {}
        for node in model.graph.node:
            for place, name in enumerate(node.input):
                self._users.setdefault(name, []).append((node, place))

    def graph(self) -> Graph:
        for given in self._model.graph.input:
            if given.name not in self._values:
                self._values[given.name] = self._input(given)
        for number, node in enumerate(self._model.graph.node):
            results = self._results(node, f"node {node.name or number!r} ({node.op_type})")
            self._values.update(zip(node.output, results, strict=False))
        return self._tracer.graph(self._outputs())

    def _input(self, given: Any) -> Any:
        import onnx

        kind = given.type.tensor_type
        if not given.type.HasField("tensor_type"):
            raise errors.cannot_convert(f"input {given.name!r}", "no tensor")
        sizes = [
            Size(dim.dim_value) if dim.HasField("dim_value") else Size(1, (dim.dim_param or f"{given.name}.{place}",))
            for place, dim in enumerate(kind.shape.dim)
        ]
        axes = tuple(Axis(size) for size in sizes)
        if self._only_feeds(given.name, 5):
            return States(None, axes, given.name)
        if self._is_lengths(given.name):
            return Lengths(axes)
        is_index = kind.elem_type in (onnx.TensorProto.INT32, onnx.TensorProto.INT64)
        return self._tracer.input(given.name, axes, is_index=is_index)

    def _only_feeds(self, name: str, place: int) -> bool:
        """Whether a value goes, perhaps by way of views, into this input of GRU nodes and nowhere else."""
        users = self._users.get(name, [])
        found = False
        for node, at in users:
            if (node.op_type == "GRU" and at == place) or (
                node.op_type in _VIEWS and at == 0 and self._only_feeds(node.output[0], place)
            ):
                found = True
            elif node.op_type == "Shape":
                continue
            else:
                return False
        return found

    def _is_lengths(self, name: str) -> bool:
        """Whether a value goes into the lengths of a GRU node."""
        users = self._users.get(name, [])
        return any(
            (node.op_type == "GRU" and place == 4) or (node.op_type == "Cast" and self._is_lengths(node.output[0]))
            for node, place in users
        )

    def _results(self, node: Any, where: str) -> Sequence[Any]:
        for name in node.input:
            if name not in self._values:
                raise errors.cannot_convert(where, f"the input {name!r}, which nothing before it computes")
        given = [self._values[name] for name in node.input]
        if node.domain not in ("", "ai.onnx"):
            raise errors.cannot_convert(where, f"an operator of the domain {node.domain}")
        if node.op_type == "Constant" or (node.op_type != "GRU" and all(_is_constant(one) for one in given)):
            return self._folded(node, where, given)
        if node.op_type not in HANDLERS:
            raise errors.cannot_convert(where, f"the operator {node.op_type}, which the runtime does not have")
        op = Operation(
            self._tracer, where, _name_of(node), node.op_type, given, _attributes(node), len(node.output), self._opset
        )
        try:
            results = HANDLERS[node.op_type](op)
        except errors.FastGRUError:
            raise
        except _MALFORMED as error:
            raise errors.cannot_convert(where, f"inputs or attributes that do not fit ({error})") from error
        return results if isinstance(results, tuple) else (results,)

    def _folded(self, node: Any, where: str, given: Sequence[Any]) -> list[Constant]:
        """The results of a node that reads constants alone."""
        import onnx
        from onnx.reference import ReferenceEvaluator

        names = [name for name in node.input if name]
        ports = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.UNDEFINED, None) for name in names]
        results = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.UNDEFINED, None) for name in node.output]
        graph = onnx.helper.make_graph([node], "constant", ports, results)
        model = onnx.helper.make_model(graph, opset_imports=self._model.opset_import)
        feeds = {name: one.array for name, one in zip(node.input, given, strict=True) if name}
        if sum(array.nbytes for array in feeds.values()) > _FOLDED_BYTES:
            raise errors.cannot_convert(where, "a constant of more than 256 MB")
        try:
            arrays = ReferenceEvaluator(model).run(None, feeds)
        except Exception as error:
            raise errors.cannot_convert(where, f"a constant that cannot be computed ({error})") from error
        return [Constant(name, _widened(np.asarray(array))) for name, array in zip(node.output, arrays, strict=False)]

    def _outputs(self) -> list[tuple[str, Traced]]:
        found = []
        for port in self._model.graph.output:
            value = self._values.get(port.name)
            if isinstance(value, States):
                continue
            if not isinstance(value, Traced):
                raise errors.cannot_convert(f"output {port.name!r}", "a result that does not depend on the input")
            found.append((port.name, value))
        if not found:
            advice = "a last state of one layer and direction may be an output"
            raise errors.cannot_convert(
                "the model", f"no output but states of layers, which the runtime returns ({advice})"
            )
        has_states = any(isinstance(self._values[given.name], States) for given in self._model.graph.input)
        return [(name, value) for name, value in found if not (has_states and value.is_state)] or found[:1]


_VIEWS = {"Cast", "Squeeze", "Unsqueeze", "Transpose", "Reshape", "Slice", "Split", "Identity", "Gather", "Expand"}


def _is_constant(value: Any) -> bool:
    return value is None or isinstance(value, Constant)


def _widened(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Numbers of 16 bits as float32, which is exact."""
    return array.astype(np.float32) if array.dtype.itemsize == 2 and array.dtype.kind in "fV" else array


def _name_of(node: Any) -> str:
    """A name in the graph: that of the module that torch's exporter tells, else the node's own, or its result's."""
    told = {prop.key: prop.value for prop in node.metadata_props}.get("pkg.torch.onnx.name_scopes")
    scopes = re.findall(r"'([^']*)'", told or "")
    if scopes:
        return str(([scope for scope in scopes[:-1] if scope] or scopes)[-1])
    return str(node.name or node.output[0]).strip("/").replace("/", ".")


def _attributes(node: Any) -> Mapping[str, Any]:
    import onnx

    return {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute}
