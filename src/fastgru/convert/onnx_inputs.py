"""The purpose of the inputs of an ONNX model: states that a caller passes on, and lengths of sequences."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

VIEWS = frozenset(
    {"Cast", "Squeeze", "Unsqueeze", "Transpose", "Reshape", "Slice", "Split", "Identity", "Gather", "Expand"}
)
_CUTS = frozenset({"Slice", "Split", "Gather"})
Users = Mapping[str, Sequence[tuple[Any, int]]]


def users_of(nodes: Iterable[Any]) -> dict[str, list[tuple[Any, int]]]:
    """For each value the nodes that read it, also in branches, and the place among their inputs."""
    users: dict[str, list[tuple[Any, int]]] = {}
    for node in _all_nodes(nodes):
        for place, name in enumerate(node.input):
            users.setdefault(name, []).append((node, place))
    return users


def _all_nodes(nodes: Iterable[Any]) -> Iterator[Any]:
    for node in nodes:
        yield node
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _all_nodes(attribute.g.node)


def is_state(users: Users, name: str, sizes: Sequence[int | None]) -> bool:
    """Whether an input is nothing but what GRU nodes begin with, as a whole.

    Args:
        users: see `users_of`.
        name: of the input.
        sizes: of its axes; None where they are not fixed. One that is taken apart has to have one element for each
            layer and direction: the last step of a sequence of vectors is no state, though a GRU may begin with it.
    """
    reached = _begun(users, name)
    if not reached:
        return False
    nodes, is_cut = reached
    return not is_cut or sum(map(_directions, nodes)) in sizes


def _begun(users: Users, name: str) -> tuple[list[Any], bool] | None:
    """The GRU nodes that begin with a value, by way of views, and whether these take it apart; None: others read it."""
    found, is_cut = [], False
    for node, place in users.get(name, []):
        if node.op_type == "GRU" and place == 5:
            found.append(node)
        elif node.op_type in VIEWS and place == 0:
            is_cut = is_cut or node.op_type in _CUTS
            for result in node.output:
                behind = _begun(users, result)
                if behind is None:
                    return None
                found += behind[0]
                is_cut = is_cut or behind[1]
        elif node.op_type != "Shape":
            return None
    return found, is_cut


def _directions(node: Any) -> int:
    return 2 if any(one.name == "direction" and one.s == b"bidirectional" for one in node.attribute) else 1


def is_lengths(users: Users, name: str) -> bool:
    """Whether a value goes into the lengths of a GRU node."""
    return any(
        (node.op_type == "GRU" and place == 4) or (node.op_type == "Cast" and is_lengths(users, node.output[0]))
        for node, place in users.get(name, [])
    )
