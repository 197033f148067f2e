"""A graph as JSON, without its arrays, and back.

    {"version": [1, 0],
     "inputs": [{"name": "x", "axes": "BTF", "size": 80}],
     "nodes": [{"name": "gru", "operator": "GRU", "inputs": ["x"], "outputs": ["y"],
                "attributes": {"input_size": 80, ...}, "parameters": {"weight_ih_l0": "gru.weight_ih_l0", ...}}],
     "outputs": [{"name": "y", "value": "y", "axes": "BTF"}]}

A larger major version (the first number) may change anything and is refused. A larger minor version only adds operators
and attributes with defaults, and a graph that uses none of them can be read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from fastgru.errors import newer_version, not_a_model
from fastgru.graph.graph import Graph, Input, Node, Output

VERSION = (1, 0)
MOST_CHARACTERS = 16 * 2**20
MOST_NODES = 10_000


class Parts(NamedTuple):
    """What a graph is made of, apart from its arrays."""

    inputs: list[Input]
    nodes: list[Node]
    outputs: list[Output]


def to_json(graph: Graph) -> str:
    """The JSON of a graph."""
    return json.dumps(
        {
            "version": VERSION,
            "inputs": [{"name": x.name, "axes": x.axes, "size": x.size} for x in graph.inputs],
            "nodes": [
                {
                    "name": node.name,
                    "operator": node.operator,
                    "inputs": node.inputs,
                    "outputs": node.outputs,
                    "attributes": dict(node.attributes),
                    "parameters": dict(node.parameters),
                }
                for node in graph.nodes
            ],
            "outputs": [{"name": y.name, "value": y.value, "axes": y.axes} for y in graph.outputs],
        },
        allow_nan=False,
        separators=(",", ":"),
    )


def from_json(text: str, path: object) -> Parts:
    """The parts that `text` describes. `Graph` checks whether they fit together.

    Args:
        text: JSON as `to_json` writes it.
        path: for the words of errors.

    Raises:
        FormatError: it is not such JSON, or of a newer major version.
    """
    if len(text) > MOST_CHARACTERS:
        raise not_a_model(path, f"the description of its graph has {len(text)} characters, more than {MOST_CHARACTERS}")
    try:
        whole = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise not_a_model(path, f"the description of its graph is not JSON ({error})") from None
    reader = _Reader(path)
    fields = reader.mapping(whole, "the graph")
    _check_version(fields.get("version"), path)
    nodes = reader.rows(fields, "nodes")
    if len(nodes) > MOST_NODES:
        raise not_a_model(path, f"its graph has {len(nodes)} nodes, more than {MOST_NODES}")
    return Parts(
        [
            Input(reader.text(row, "name"), reader.text(row, "axes"), reader.size(row))
            for row in reader.rows(fields, "inputs")
        ],
        [reader.node(row) for row in nodes],
        [
            Output(reader.text(row, "name"), reader.text(row, "value"), reader.text(row, "axes"))
            for row in reader.rows(fields, "outputs")
        ],
    )


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")


def _check_version(version: object, path: object) -> None:
    is_pair = isinstance(version, list) and len(version) == 2
    if not is_pair or not all(type(part) is int and part >= 0 for part in version):  # type: ignore[attr-defined]
        raise not_a_model(path, "the description of its graph has no version")
    if version[0] > VERSION[0]:  # type: ignore[index]
        raise newer_version(path, ".".join(map(str, version)), VERSION[0])  # type: ignore[call-overload]


class _Reader:
    """Takes values of the right types out of JSON."""

    def __init__(self, path: object) -> None:
        self.path = path

    def mapping(self, value: object, what: str) -> Mapping[str, Any]:
        if not isinstance(value, dict):
            raise not_a_model(self.path, f"{what} is of type {type(value).__name__} and not an object of JSON")
        return value

    def rows(self, fields: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
        rows = fields.get(key)
        if not isinstance(rows, list):
            raise not_a_model(self.path, f"its graph has no list of {key}")
        return [self.mapping(row, f"one of the {key}") for row in rows]

    def text(self, row: Mapping[str, Any], key: str) -> str:
        value = row.get(key)
        if not isinstance(value, str):
            raise not_a_model(self.path, f"{key!r} of {row.get('name', 'a part')!r:.80} is not text")
        return value

    def size(self, row: Mapping[str, Any]) -> int | None:
        size = row.get("size")
        if size is not None and (type(size) is not int or not 1 <= size < 2**31):
            raise not_a_model(self.path, f"the size of {row.get('name')!r:.80} is {size!r:.80}")
        return size

    def names(self, row: Mapping[str, Any], key: str) -> tuple[str, ...]:
        names = row.get(key)
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise not_a_model(self.path, f"{key!r} of {row.get('name')!r:.80} is not a list of names")
        return tuple(names)

    def node(self, row: Mapping[str, Any]) -> Node:
        parameters = self.mapping(row.get("parameters"), "the parameters of a node")
        if not all(isinstance(key, str) for key in parameters.values()):
            raise not_a_model(self.path, f"a parameter of {row.get('name')!r:.80} is not a name")
        return Node(
            self.text(row, "name"),
            self.text(row, "operator"),
            self.names(row, "inputs"),
            self.names(row, "outputs"),
            self.mapping(row.get("attributes"), "the attributes of a node"),
            parameters,
        )
