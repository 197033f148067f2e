"""States of layers that a program computes with, layer by layer; and values that become states again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeGuard

from fastgru.graph.axes import Axis, Merged, Role, Size, is_unit, joined
from fastgru.graph.traced import States, Traced
from fastgru.integrations.exported.operation import Constant, Operation, Zeros, described, shape_of


def readable(value: object) -> TypeGuard[States]:
    """Whether a program may compute with it: the states of layers, but not those that come in or are only shown."""
    return isinstance(value, States) and bool(value.cells)


def place_of_cells(states: States) -> int:
    """The axis that counts layers and directions."""
    return [axis.role for axis in states.axes].index(Role.CELLS)


def cell_of(op: Operation, states: States, cell: int) -> Traced:
    """The state of one layer and direction, with an axis of size 1 where the states had that of all."""
    return op.tracer.unsqueezed(op.tracer.state(op.where, states, cell), place_of_cells(states))


def over_cells(op: Operation, handler: Callable[[Operation], Any]) -> Any:
    """An operation on states of layers: on the state of each layer and direction by itself."""
    given = [one for arg in op.args for one in (arg if isinstance(arg, list) else [arg])]
    states = [one for one in given if readable(one)]
    counts = {len(one.cells or ()) for one in states}
    if len(counts) > 1:
        raise op.refuse(f"of the states of {' and '.join(map(str, sorted(counts)))} layers and directions")
    results = [handler(replace(op, args=_of_cell(op, op.args, cell))) for cell in range(counts.pop())]
    is_cat, are_all = op.name in ("aten.cat", "aten.concat"), not any(isinstance(one, Traced) for one in given)
    are_states = is_cat and are_all and not any(one.is_computed for one in states)
    if len(results) == 1:
        return replace(results[0], is_state=are_states)
    return _as_states(op, results, place_of_cells(states[0]), is_computed=not are_states)


def _as_states(op: Operation, results: Sequence[Traced], place: int, *, is_computed: bool) -> States:
    """Results of the layers, which have an axis of size 1 at `place`, side by side along it."""
    if not all(place < len(result.axes) and is_unit(result.axes[place]) for result in results):
        raise op.refuse("of the states of several layers and directions with a value for each of them")
    axes = list(results[0].axes)
    axes[place] = Axis(Size(len(results)), Role.CELLS)
    return States(tuple(result.name for result in results), tuple(axes), is_computed=is_computed)


def _of_cell(op: Operation, args: Sequence[Any], cell: int) -> list[Any]:
    """Arguments with the state of one layer and direction instead of all."""
    return [
        _of_cell(op, one, cell) if isinstance(one, list) else cell_of(op, one, cell) if readable(one) else one
        for one in args
    ]


def stack(op: Operation) -> States:
    """Values or states on a new axis: as that of layers and directions, which a layer may begin with."""
    parts = op.args[0]
    if not all(isinstance(part, Traced) for part in parts):
        raise op.refuse(f"of {described(next(part for part in parts if not isinstance(part, Traced)))}")
    axes = parts[0].axes
    for part in parts[1:]:
        axes = joined(axes, part.axes, op.where)
    place = op.argument(1, "dim", 0) % (len(axes) + 1)
    axes = (*axes[:place], Axis(Size(len(parts)), Role.CELLS), *axes[place:])
    return States(tuple(part.name for part in parts), axes, is_computed=not all(part.is_state for part in parts))


def side_by_side(op: Operation, parts: Sequence[Any], axis: int) -> States | None:
    """States, and values with an axis of size 1, along the axis of layers and directions; None if they are not such."""
    cells: list[Traced] = []
    for part in parts:
        if readable(part) and part.axes[axis].role is Role.CELLS:
            cells += [cell_of(op, part, cell) for cell in range(len(part.cells or ()))]
        elif isinstance(part, Traced) and is_unit(part.axes[axis]):
            cells.append(part)
        else:
            return None
    place = axis % len(cells[0].axes)
    return _as_states(op, cells, place, is_computed=not all(cell.is_state for cell in cells))


def repeated(op: Operation, value: Any, counts: Sequence[Any]) -> Any:
    """A value or states, so many times along the axis of layers and directions, and once along the others."""
    if isinstance(value, Zeros) or all(count == 1 for count in counts):
        return value
    places = [place for place, count in enumerate(counts) if count != 1]
    axes = getattr(value, "axes", ())
    if len(places) == 1 and len(counts) == len(axes) and isinstance(counts[places[0]], int):
        place, parts = places[0], [value] * counts[places[0]]
        found = side_by_side(op, parts, place)
        if found is not None:
            return found
    raise op.refuse("of an axis, which repeats vectors. Add or multiply without it: axes of size 1 fit all others")


def cut_features(op: Operation, x: Traced) -> States | None:
    """The features as vectors for several layers and directions, (.., L*H) -> (.., L, H); None for other reshapes."""
    new, old = shape_of(op), tuple(axis.size for axis in x.axes)
    if (
        isinstance(x.axes[-1].find(), Merged)
        or len(new) != len(old) + 1
        or new[:-2] != old[:-1]
        or new[-2].names
        or new[-1].names
    ):
        return None
    count, width = new[-2].number, new[-1].number
    if count == 1 or Size(count * width) != old[-1]:
        return None
    parts = [op.tracer.features(op.where, x, -1, k * width, (k + 1) * width) for k in range(count)]
    axes = (*x.axes[:-1], Axis(Size(count), Role.CELLS), parts[0].axes[-1])
    return States(tuple(part.name for part in parts), axes, is_computed=True)


def beginnings(op: Operation, state: Any, count: int) -> list[Traced]:
    """What the sequences of a layer begin with, for each of its layers and directions; empty: zeros or a state.

    Raises:
        ConversionError: it cannot begin with it.
    """
    if state is None or isinstance(state, (Zeros, Constant)) or (isinstance(state, States) and state.cells is None):
        return []
    if readable(state) and state.axes[0].role is Role.CELLS and len(state.cells or ()) == count:
        return [op.tracer.state(op.where, state, cell) for cell in range(count)]
    if isinstance(state, Traced) and count == 1 and state.axes[0].size == Size(1):
        return [op.tracer.squeezed(op.where, state, [0])]
    raise op.refuse(
        f"that begins with {described(state)}. Expected zeros, an input of the model, or a vector for each layer and "
        f"direction, (layers * directions, batch, hidden_size)"
    )
