"""The inputs and outputs of a traced graph, and the nodes between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from fastgru import errors
from fastgru.graph.axes import (
    LETTERS,
    Axis,
    Merged,
    Role,
    Size,
    flattened,
    is_unit,
)
from fastgru.graph.graph import Node
from fastgru.graph.traced import Traced


def letters_of(traced: Traced) -> str:
    """The axes of an input or output. Those that nothing tells are batch, time and features in this order."""
    if any(isinstance(axis.find(), Merged) and axis.find().role is None for axis in traced.axes):
        raise errors.merged_axes(f"{traced.name!r}", "of an input or output")
    _name_axes(traced)
    letters = "".join(_letter(axis) for axis in flattened(traced.axes))
    if "?" in letters:
        raise errors.too_many_axes(traced.name, len(traced.axes))
    if "B" in letters:
        return letters
    if "1" in letters:  # a batch of one, which the program removes
        return letters.replace("1", "B", 1)
    return letters.replace("T", "TB") if "T" in letters else f"B{letters}"


def features_of(traced: Traced) -> int | None:
    """The size of an input's features; None for indices."""
    if traced.is_index:
        return None
    sizes = [axis.size.number for axis in flattened(traced.axes) if axis.role is Role.FEATURES]
    if not sizes:
        raise errors.cannot_convert(
            f"input {traced.name!r}", "numbers without an axis of features. Give it one of size 1"
        )
    return sizes[0]


def used_nodes(nodes: Sequence[Node], wanted: Sequence[str]) -> list[Node]:
    """The nodes that the outputs depend on, and of their results those that are read."""
    needed = set(wanted)
    used = []
    for node in reversed(nodes):
        if not needed & set(node.outputs):
            continue
        needed |= set(node.inputs)
        kept = len(node.outputs)
        while kept > 1 and node.outputs[kept - 1] not in needed:
            kept -= 1
        used.append(replace(node, outputs=node.outputs[:kept]))
    return used[::-1]


def _letter(axis: Axis) -> str:
    is_one_direction = axis.role is Role.DIRECTIONS and axis.size == Size(1)
    return "1" if is_unit(axis) or is_one_direction else LETTERS.get(axis.role or Role.CELLS, "?")


def _name_axes(traced: Traced) -> None:
    """Gives roles to the axes that have none."""
    axes = [axis for axis in flattened(traced.axes) if not is_unit(axis)]
    roles = [axis.role for axis in axes]
    unnamed = [axis for axis in axes if axis.role is None]
    if not traced.is_index and not traced.is_number and Role.FEATURES not in roles and unnamed:
        unnamed.pop().become(Role.FEATURES, f"{traced.name!r}")
    free = [role for role in (Role.BATCH, Role.TIME) if role not in roles]
    if len(unnamed) > len(free):
        raise errors.too_many_axes(traced.name, len(traced.axes))
    for axis, role in zip(unnamed, free, strict=False):
        axis.become(role, f"{traced.name!r}")


def known_features(traced: Traced) -> int | None:
    """The size of the axis of features, if it is known."""
    return next((axis.size.number for axis in traced.axes if axis.role is Role.FEATURES and not axis.size.names), None)
