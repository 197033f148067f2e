"""Nodes of ONNX graphs that move the states of GRUs: the layers and directions in them, one by one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fastgru.convert.onnx_nodes.operation import Operation, value_of_states
from fastgru.convert.onnx_nodes.values import Constant, Shape
from fastgru.graph.axes import Axis, Role, Size, flattened, is_unit, reshaped, unit
from fastgru.graph.traced import States, Traced

Handler = Callable[[Operation, States], Any]


def _grid(states: States) -> np.ndarray[Any, Any]:
    """The names of the states, with an axis for each that counts layers or directions."""
    shape = [axis.size.number for axis in states.axes if axis.role is Role.CELLS]
    return np.array(states.cells, dtype=object).reshape(shape)


def _with(states: States, grid: np.ndarray[Any, Any], axes: Sequence[Axis]) -> States:
    """States of these cells; the axes that count them get the sizes of `grid`."""
    sizes = iter(grid.shape)
    found = tuple(Axis(Size(next(sizes)), Role.CELLS) if axis.role is Role.CELLS else axis for axis in axes)
    return replace(states, cells=tuple(grid.reshape(-1)), axes=found)


def _number(states: States, axis: int) -> int | None:
    """Which one an axis is of those that count layers or directions; None if it does not."""
    if states.axes[axis].role is not Role.CELLS:
        return None
    return sum(one.role is Role.CELLS for one in states.axes[: axis % len(states.axes)])


def _only_shown(states: States) -> States:
    """States in a form that nothing reads but whoever called the model."""
    return replace(states, cells=(), axes=tuple(Axis(axis.size) for axis in states.axes))


def _finished(op: Operation, states: States) -> Any:
    """A value, if nothing counts layers and directions any more."""
    if states.cells and not any(axis.role is Role.CELLS for axis in states.axes):
        return op.tracer.state(op.where, states, 0)
    return states


def _taken(op: Operation, states: States, axis: int, index: int) -> Any:
    """One element of an axis, which is removed."""
    number = _number(states, axis)
    if number is None:
        raise op.refuse("a part of states along another axis than that of layers and directions")
    place = axis % len(states.axes)
    axes = states.axes[:place] + states.axes[place + 1 :]
    left = np.array(_grid(states).take(index, axis=number), dtype=object)
    return _finished(op, _with(states, left, axes))


def _part(states: States, axis: int, part: slice) -> States:
    """Some layers and directions."""
    number = _number(states, axis)
    if number is None:
        is_whole = part.start == 0 and part.step == 1 and part.stop >= 2**31 - 1
        return states if is_whole else _only_shown(states)
    places: list[slice] = [slice(None)] * number
    return _with(states, _grid(states)[(*places, part)], states.axes)


def _gather(op: Operation, states: States) -> Any:
    axis, places = op.attributes.get("axis", 0), op.needed(1)
    if places.array.ndim == 0:
        return _taken(op, states, axis, places.ints()[0])
    number = _number(states, axis)
    if number is None or places.array.ndim != 1:
        raise op.refuse("a part of states along another axis than that of layers and directions")
    return _with(states, _grid(states).take(places.ints(), axis=number), states.axes)


def _slice(op: Operation, states: States) -> States:
    for axis, part in op.slices():
        states = _part(states, axis, part)
    return states


def _split(op: Operation, states: States) -> tuple[States, ...]:
    axis = op.attributes.get("axis", 0)
    if states.axes[axis].role is not Role.CELLS:
        return (_only_shown(states),) * op.outputs
    return tuple(_part(states, axis, part) for part in op.split_parts(states.axes[axis].size.number))


def _transpose(op: Operation, states: States) -> States:
    rank = len(states.axes)
    order = [place % rank for place in op.attributes.get("perm") or range(rank)[::-1]]
    counting = [place for place in range(rank) if states.axes[place].role is Role.CELLS]
    grid = _grid(states).transpose([counting.index(place) for place in order if place in counting])
    return _with(states, grid, [states.axes[place] for place in order])


def _unsqueeze(op: Operation, states: States) -> States:
    places = op.numbers("axes", 1) or []
    axes, rank = list(states.axes), len(states.axes) + len(places)
    for place in sorted(place % rank for place in places):
        axes.insert(place, unit())
    return replace(states, axes=tuple(axes))


def _squeeze(op: Operation, states: States) -> Any:
    rank, places = len(states.axes), op.numbers("axes", 1)
    if places is None:
        places = [place for place in range(rank) if states.axes[place].size == Size(1)]
    grid, wanted = _grid(states), {place % rank for place in places}
    for place in wanted:
        if states.axes[place].role is not Role.CELLS and not is_unit(states.axes[place]):
            raise op.refuse("a Squeeze of states along another axis than that of layers and directions")
    counting = [place for place in range(rank) if states.axes[place].role is Role.CELLS]
    grid = grid.squeeze(axis=tuple(number for number, place in enumerate(counting) if place in wanted))
    axes = [axis for place, axis in enumerate(states.axes) if place not in wanted]
    return _finished(op, _with(states, grid, axes))


def _reshape(op: Operation, states: States) -> Any:
    target = op.inputs[1]
    if not isinstance(target, (Shape, Constant)):
        raise op.refuse("a reshape to sizes that are computed")
    asked: list[Size | None] = [Size(n) for n in target.ints()] if isinstance(target, Constant) else [*target.sizes]
    keeps = not op.attributes.get("allowzero", 0)
    for place, size in enumerate(asked):
        if size == Size(0) and keeps:
            asked[place] = states.axes[place].size
        elif size == Size(-1):
            asked[place] = None
    return _reshaped(op, states, asked)


def _flatten(op: Operation, states: States) -> Any:
    axis = op.attributes.get("axis", 1) % len(states.axes)
    if axis == 1:
        return _reshaped(op, states, [states.axes[0].size, None])
    if axis == len(states.axes) - 1:
        return _reshaped(op, states, [None, states.axes[-1].size])
    raise op.refuse("a Flatten of states that makes rows features")


def _reshaped(op: Operation, states: States, asked: Sequence[Size | None]) -> Any:
    """States with other axes that count them, without these, or side by side as features."""
    axes = reshaped(_counted_apart(states, asked), asked)
    if axes is None:
        return _only_shown(states)
    found: list[Axis] = []
    for axis in axes:
        parts = [part for part in flattened([axis]) if part.role is not Role.CELLS or part.size != Size(1)]
        if len(parts) <= 1:
            found += [axis] if len(flattened([axis])) == 1 else parts
        elif [part.role for part in parts[:-1]] == [Role.CELLS] * (len(parts) - 1) and axis is axes[-1]:
            return _side_by_side(op, states, [*found, *parts])
        else:
            return _only_shown(states)
    kept = _grid(states).reshape([axis.size.number for axis in found if axis.role is Role.CELLS])
    return _finished(op, _with(states, kept, found))


def _counted_apart(states: States, asked: Sequence[Size | None]) -> list[Axis]:
    """The axes of states, where layers and directions are counted apart if a reshape asks for both."""
    axes = list(states.axes)
    place = next((at for at, axis in enumerate(axes) if axis.role is Role.CELLS), None)
    if place is None or len(asked) != len(axes) + 1:
        return axes
    total = axes[place].size.number
    pair = [None if size is None else size.number for size in asked[place : place + 2]]
    if None in pair:
        known = next((one for one in pair if one), total)
        pair = [total // known if one is None else one for one in pair]
    first, second = (one or 0 for one in pair)
    if first * second != total:
        return axes
    return [*axes[:place], Axis(Size(first), Role.CELLS), Axis(Size(second), Role.CELLS), *axes[place + 1 :]]


def _side_by_side(op: Operation, states: States, axes: Sequence[Axis]) -> Any:
    """The features of all layers and directions behind those of others, one behind the other."""
    if any(axis.role is Role.CELLS for axis in axes[: -2 if len(axes) > 1 else None]):
        return _only_shown(states)
    rest = [axis for axis in axes if axis.role is not Role.CELLS]
    parts = [Traced(name, tuple(rest), is_state=True) for name in states.cells or ()]
    return replace(op.tracer.concat(op.name, parts, -1), is_state=True)


def _concat(op: Operation, states: States) -> Any:
    """More layers and directions, or the features of single ones side by side."""
    axis, parts = op.attributes["axis"], list(op.inputs)
    if all(isinstance(part, States) and part.cells is None for part in parts):
        return states
    if not all(isinstance(part, States) and part.cells for part in parts):
        return _only_shown(states) if all(isinstance(part, States) for part in parts) else joined_values(op, axis)
    number = _number(states, axis)
    if number is None:
        return joined_values(op, axis)
    grids = [_grid(part) for part in parts]
    return _with(states, np.concatenate(grids, axis=number), states.axes)


def joined_values(op: Operation, axis: int) -> Traced:
    """Values one behind the other."""
    return op.tracer.concat(op.name, [op.value(place) for place in range(len(op.inputs))], axis)


def _sum(op: Operation, states: States) -> Any:
    """The sum or the mean over layers and directions."""
    axes = op.numbers("axes", 1)
    if axes is None or len(axes) != 1 or _number(states, axes[0]) is None:
        raise op.refuse(f"{op.kind} of states along another axis than that of layers and directions")
    count = states.axes[axes[0]].size.number
    kept = op.attributes.get("keepdims", 1) == 1
    values = [_taken(op, states, axes[0], place) for place in range(count)]
    values = [value_of_states(op, one) if isinstance(one, States) else one for one in values]
    total = values[0]
    for one in values[1:]:
        total = op.tracer.operation(op.name, "Add", total, one)
    if op.kind == "ReduceMean" and count > 1:
        total = op.tracer.operation(f"{op.name}.mean", "Divide", total, np.asarray(float(count)))
    return op.tracer.unsqueezed(total, axes[0] % len(states.axes)) if kept else total


def _cast(op: Operation, states: States) -> States:
    op.check_cast(is_index=False)
    return states


_HANDLERS: Mapping[str, Handler] = {
    "Gather": _gather,
    "Slice": _slice,
    "Split": _split,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
    "Squeeze": _squeeze,
    "Reshape": _reshape,
    "Flatten": _flatten,
    "Concat": _concat,
    "ReduceSum": _sum,
    "ReduceMean": _sum,
    "Identity": lambda op, states: states,
    "Cast": _cast,
}


def handle_states(op: Operation) -> Any:
    """The result of a node whose first input is states. Those that come in keep their form until a GRU reads them."""
    states = op.inputs[0]
    if states.cells is None:
        return (states,) * op.outputs if op.kind == "Split" else states
    if not states.cells:
        raise op.refuse(f"{op.kind} of a part of the states along rows or features")
    return _HANDLERS[op.kind](op, states)


STATES = frozenset(_HANDLERS)
