"""Models that take states: whether the states that their layers return are those that the runtime would pass on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from fastgru import errors
from fastgru.graph import Graph
from fastgru.graph.traced import States, Traced


class Taken(NamedTuple):
    """A layer that begins with a state that the model takes.

    Attributes:
        source: the name of the input.
        rank: the number of its axes.
        output: the name of the layer's output.
        cells: the names of its last states.
    """

    source: str
    rank: int
    output: str
    cells: tuple[str, ...]


def check_carried(graph: Graph, taken: Sequence[Taken], outputs: Sequence[Any]) -> None:
    """Raises if the runtime would pass on other states than a caller of the model does.

    Raises:
        ConversionError: a second layer begins with what came of a state, or the model returns a changed state.
    """
    begun = _reached(graph, (name for one in taken for name in (one.output, *one.cells)))
    for node in graph.nodes:
        if node.name in graph.begun and begun & set(node.inputs[1:]):
            raise errors.hands_states_on(node.name)
    for one in taken:
        changed = None if _is_returned(graph, one, outputs) else _changed(graph, one, outputs)
        if changed is not None:
            raise errors.returns_changed_state(one.source, changed)


def _reached(graph: Graph, names: Iterable[str]) -> set[str]:
    """Values by name, and all that are computed of them."""
    reached = set(names)
    for node in graph.nodes:
        if reached & set(node.inputs):
            reached |= set(node.outputs)
    return reached


def _is_returned(graph: Graph, one: Taken, outputs: Sequence[Any]) -> bool:
    """Whether the model returns the layer's unchanged state, perhaps among other results."""
    whole = set(one.cells)
    for node in graph.nodes:
        if node.operator == "Concat" and whole & set(node.inputs):
            whole |= set(node.outputs)
    shown = [value for value in outputs if isinstance(value, States) and value.cells is not None]
    names = {value.name for value in outputs if isinstance(value, Traced)}
    return any(not value.cells or set(one.cells) & set(value.cells) for value in shown) or bool(names & whole)


def _changed(graph: Graph, one: Taken, outputs: Sequence[Any]) -> str | None:
    """The name of a result that is computed of the state and could be taken for it; None if there is none."""
    reached = _reached(graph, one.cells) - set(one.cells)
    for value in outputs:
        if isinstance(value, Traced) and value.name in reached and len(value.axes) == one.rank:
            sizes = {graph.values[name].size for name in one.cells if name in graph.values}
            if graph.values[value.name].size in sizes:
                return value.name
    return None
