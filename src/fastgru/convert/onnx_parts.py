"""Parts of ONNX models: from some values to others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import SimpleNamespace
from typing import Any, NamedTuple

from fastgru import errors


class Part(NamedTuple):
    """A part of a model, with the fields of an onnx.ModelProto that are read; weights are not copied."""

    graph: Any
    opset_import: Any


def part_of(
    model: Any,
    inputs: Sequence[str] | None,
    outputs: Sequence[str] | None,
    known: Mapping[str, Any] | None = None,
) -> Part:
    """The part of a model that computes `outputs`, given `inputs` and those of the model that it needs besides.

    Args:
        model: an onnx.ModelProto, which is not changed.
        inputs: names of values; None: none besides the model's own.
        outputs: names of values; None: the model's own.
        known: what `told_values` gives for the model, if that is there already.

    Raises:
        ArgumentError: there is no such value, or the part does not need it.
    """
    check_names(inputs, outputs)
    names = list(outputs) if outputs is not None else [port.name for port in model.graph.output]
    own = {port.name for port in model.graph.input}
    computed = {name for node in model.graph.node for name in node.output if name}
    for name in (*(inputs or ()), *names):
        if name not in computed | own:
            raise errors.unknown_onnx_value(name, [*own, *computed])
    nodes, reached = needed(model.graph, set(inputs or ()), names)
    for name in inputs or ():
        if name not in reached:
            raise errors.unneeded_onnx_value(name, names)
    known = told_values(model) if known is None else known
    if untold := [name for name in inputs or () if name not in known]:
        raise errors.untold_onnx_value(untold[0])
    ports = [known[name] for name in inputs or ()]
    ports += [port for port in model.graph.input if port.name in reached and port.name not in (inputs or ())]
    shown = [_output(known, name) for name in names]
    graph = SimpleNamespace(node=nodes, input=ports, output=shown, initializer=model.graph.initializer)
    return Part(graph, model.opset_import)


def _output(known: Mapping[str, Any], name: str) -> Any:
    import onnx

    return known.get(name) or onnx.helper.make_tensor_value_info(name, onnx.TensorProto.UNDEFINED, None)


def check_names(inputs: Sequence[str] | None, outputs: Sequence[str] | None) -> None:
    """Raises unless these are lists of names, of at least one output.

    Raises:
        ArgumentError: they are not.
    """
    for option, names in (("inputs", inputs), ("outputs", outputs)):
        if names is None:
            continue
        if isinstance(names, str) or not all(isinstance(name, str) for name in names):
            raise errors.not_a_list_of_names(option, names)
        if not names and option == "outputs":
            raise errors.not_a_list_of_names(option, names)


def needed(graph: Any, inputs: set[str], outputs: Sequence[str]) -> tuple[list[Any], set[str]]:
    """The nodes that outputs depend on, not going on behind inputs; and the names of all values that these read."""
    wanted, found = set(outputs), []
    for node in reversed(graph.node):
        if (wanted - inputs) & set(node.output):
            found.append(node)
            wanted |= read_names(node)
    return found[::-1], wanted


def read_names(node: Any) -> set[str]:
    """The names of values that a node reads, also in branches."""
    names = {name for name in node.input if name}
    for attribute in node.attribute:
        if attribute.HasField("g"):
            for inner in attribute.g.node:
                names |= read_names(inner)
            names |= {port.name for port in attribute.g.output}
    return names


def told_values(model: Any) -> dict[str, Any]:
    """Types and shapes of values by name, as far as the file or the rules of its operators tell them."""
    import onnx

    with suppress(Exception):  # for models that it does not understand; the file may tell enough
        model = onnx.shape_inference.infer_shapes(model, data_prop=True)
    graph = model.graph
    return {
        port.name: port
        for port in (*graph.value_info, *graph.output, *graph.input)
        if port.type.tensor_type.HasField("shape")
    }


def wider_cut(model: Any, left_out: set[str]) -> tuple[list[str], list[str]] | None:
    """Where to cut a model so that the GRU nodes stay and some nodes do not; None where nothing would stay.

    Args:
        model: an onnx.ModelProto.
        left_out: outputs of the nodes that are left out.

    Returns:
        Names of inputs and outputs for `part_of`. Inputs are what nodes that are left out give to those that lead to
        a GRU; outputs are what is computed behind a GRU without them.
    """
    nodes = list(model.graph.node)
    is_out = [bool(set(node.output) & left_out) for node in nodes]
    leads = _leading(nodes)
    begins = [name for node, out in zip(nodes, is_out, strict=True) if out for name in node.output if name in leads]
    inside, behind = set(begins), set[str]()
    own = {port.name for port in model.graph.input}
    constant = {tensor.name for tensor in model.graph.initializer}
    for node, out in zip(nodes, is_out, strict=True):
        read = read_names(node)
        depends = {name for name in read if name not in constant}
        if out or not depends <= inside | own:
            continue
        inside |= set(node.output)
        if not depends:
            constant |= set(node.output)
        elif node.op_type == "GRU" or depends & behind:
            behind |= set(node.output)
    ends = [name for name in _ends(model, nodes, is_out, inside) if name in behind]
    return (_without_inner(nodes, begins, ends), ends) if ends else None


def _leading(nodes: Sequence[Any]) -> set[str]:
    """The values that lead to a GRU."""
    leads: set[str] = set()
    for node in reversed(nodes):
        if node.op_type == "GRU" or set(node.output) & leads:
            leads |= read_names(node)
    return leads


def _ends(model: Any, nodes: Sequence[Any], is_out: Sequence[bool], inside: set[str]) -> list[str]:
    """Values inside that nodes outside read, and outputs of the model that are inside."""
    ends = [port.name for port in model.graph.output if port.name in inside]
    for node in nodes:
        if not set(node.output) <= inside:
            ends += [name for name in node.input if name in inside and node.op_type != "Shape"]
    return list(dict.fromkeys(ends))


def _without_inner(nodes: Sequence[Any], begins: Sequence[str], ends: Sequence[str]) -> list[str]:
    """The inputs that the part needs."""
    needed: set[str] = set(ends)
    for node in reversed(nodes):
        if (needed - set(begins)) & set(node.output):
            needed |= read_names(node)
    return [name for name in begins if name in needed]
