"""Nodes of ONNX graphs that take parts of values, and put values together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from fastgru.convert.onnx_nodes.operation import Operation
from fastgru.convert.onnx_nodes.values import Constant, Unfinished, Zeros
from fastgru.graph.axes import Axis, Role, Size, is_unit
from fastgru.graph.traced import States, Traced

_LARGEST_TABLE = 2**24  # numbers in the table of a OneHot


def _gather(op: Operation) -> Any:
    data, index, axis = op.inputs[0], op.inputs[1], op.attributes.get("axis", 0)
    if isinstance(data, Constant) and isinstance(index, Traced):
        if axis != 0 or data.array.ndim != 2:
            raise op.refuse("a lookup in a constant that is no table of vectors")
        return op.tracer.embedding(op.name, index, (data.key, data.array))
    places = op.needed(1)
    if isinstance(data, Zeros):
        return data
    if places.array.size != 1:
        raise op.refuse("several elements of an axis")
    result = _element(op, op.parts(), axis, places.ints()[0])
    if places.array.ndim == 0:
        return result
    return op.tracer.unsqueezed(result.value if isinstance(result, Unfinished) else result, axis)


def _element(op: Operation, x: Traced, axis: int, index: int) -> Traced | Unfinished:
    if x.axes[axis].role is Role.DIRECTIONS or (x.axes[axis].size == Size(1) and index in (0, -1)):
        return direction(op, x, axis, index)
    if x.axes[axis].role is Role.FEATURES and not x.axes[axis].size.names:
        place = range(x.axes[axis].size.number)[index]
        return op.tracer.squeezed(op.where, op.features(op.whole(x), axis, place, place + 1), [axis])
    if index == 0 and x.axes[axis].role is Role.TIME:
        return _first_step(op, op.whole(x), axis)
    if index != -1:
        raise op.refuse(f"element {index} of an axis. Expected the last step (-1)")
    return op.tracer.last_step(op.name, op.whole(x), axis)


def _first_step(op: Operation, x: Traced, axis: int) -> Traced | Unfinished:
    """The first step of the second direction of a GRU, which is its last state."""
    place, known = axis % len(x.axes), op.notes.reverse.get(x.name)
    rest = x.axes[:place] + x.axes[place + 1 :]
    if known is not None and (known.first, known.last) == (0, x.axes[-1].size.number):
        return Traced(known.state, rest, is_state=True)
    if known is None:
        raise op.refuse(_FIRST)
    return Unfinished("first", replace(x, axes=rest), partial(_refuse_first, op))


_FIRST = "the first step of values. Expected the last one (-1), or the first one of the second direction of a GRU"


def _refuse_first(op: Operation) -> Traced:
    raise op.refuse(_FIRST)


def _of_first_step(op: Operation, step: Unfinished) -> Traced:
    """The features of the second direction, of the first step of both."""
    known, axes = op.notes.reverse[step.x.name], step.x.axes
    ((axis, part),) = op.slices()
    limits = range(axes[-1].size.number)[part]
    if axes[axis] is not axes[-1] or (limits.start, limits.stop, limits.step) != (known.first, known.last, 1):
        raise op.refuse(_FIRST)
    rest = (*axes[:-1], Axis(Size(len(limits)), Role.FEATURES))
    return Traced(known.state, rest, is_state=True)


def direction(op: Operation, x: Traced, axis: int, index: int) -> Traced:
    """One direction of the outputs of a GRU, or one group of features."""
    directions = x.axes[axis].size.number
    if directions == 1:
        return op.tracer.squeezed(op.where, x, [axis])
    features = next((place for place, one in enumerate(x.axes) if one.role is Role.FEATURES), None)
    if features is None:
        raise op.refuse("one of several groups of numbers")
    size, number = x.axes[features].size.number, range(directions)[index]
    place = axis % len(x.axes)
    whole = replace(x, axes=tuple(one for at, one in enumerate(x.axes) if at != place))
    if any(one.role is Role.DIRECTIONS and one.size != Size(1) for one in whole.axes):
        raise op.refuse("groups of features in groups")
    at = features - (features > place)
    wide = list(whole.axes)
    wide[at] = Axis(Size(size * directions), Role.FEATURES)
    return op.features(replace(whole, axes=tuple(wide)), at, number * size, (number + 1) * size)


def _slice(op: Operation) -> Any:
    value = op.inputs[0]
    if isinstance(value, Zeros):
        return value
    if isinstance(value, Unfinished) and value.kind == "first":
        return _of_first_step(op, value)
    value = op.parts()
    for axis, part in op.slices():
        value = _sliced(op, value, axis, part)
    return value


def _sliced(op: Operation, value: Traced, axis: int, part: slice) -> Traced:
    size, role = value.axes[axis].size, value.axes[axis].role
    to_end = part.stop >= 2**31 - 1
    if part.start == 0 and part.step == 1 and to_end:
        return value
    if part.start == -1 and part.step == 1 and to_end and role not in (Role.FEATURES, Role.DIRECTIONS):
        return op.tracer.unsqueezed(op.tracer.last_step(op.name, op.whole(value), axis), axis)
    if role is Role.TIME and part == slice(0, 1, 1):
        first = _first_step(op, op.whole(value), axis)
        return op.tracer.unsqueezed(first.value if isinstance(first, Unfinished) else first, axis)
    if part.step != 1:
        raise op.refuse("every second or further element of an axis, or elements in reverse")
    if size.names:
        raise op.refuse("a part of the steps or rows")
    limits = range(size.number)[part]
    if len(limits) == size.number:
        return value
    if role is Role.DIRECTIONS and len(limits) == 1:
        return op.tracer.unsqueezed(direction(op, value, axis, limits.start), axis)
    if any(one.role is Role.DIRECTIONS and one.size != Size(1) for one in value.axes):
        raise op.refuse("a part of several directions or groups of features")
    return op.features(value, axis, limits.start, limits.stop)


def _split(op: Operation) -> tuple[Any, ...]:
    value, axis = op.inputs[0], op.attributes.get("axis", 0)
    if isinstance(value, Zeros):
        return (value,) * op.outputs
    value = op.parts()
    size = value.axes[axis].size
    if size.names:
        raise op.refuse("a split of steps or rows")
    return tuple(_sliced(op, value, axis, part) for part in op.split_parts(size.number))


def _concat(op: Operation) -> Any:
    parts, axis = op.inputs, op.attributes["axis"]
    if all(isinstance(one, Zeros) for one in parts):
        return parts[0]
    if all(isinstance(one, Traced) and one.is_state and is_unit(one.axes[axis]) for one in parts):
        axes = list(parts[0].axes)
        axes[axis] = Axis(Size(len(parts)), Role.CELLS)
        return States(tuple(one.name for one in parts), tuple(axes))
    return op.tracer.concat(op.name, [op.value(place) for place in range(len(parts))], axis)


def _one_hot(op: Operation) -> Traced:
    """Rows of the unit matrix, or of one with two other numbers."""
    index, depth, pair = op.inputs[0], op.needed(1).ints()[0], op.needed(2).array
    if (
        not isinstance(index, Traced)
        or not index.is_index
        or op.attributes.get("axis", -1) not in (-1, len(index.axes))
    ):
        raise op.refuse("a OneHot of anything but indices, along another axis than the last")
    if not 0 < depth**2 <= _LARGEST_TABLE:
        raise op.refuse(f"a OneHot of {depth} classes")
    off, on = (float(one) for one in pair.reshape(-1))
    table = np.where(np.eye(depth, dtype=bool), np.float32(on), np.float32(off))
    return op.tracer.embedding(op.name, index, (f"{op.name}.table", table))


PARTS: Mapping[str, Callable[[Operation], Any]] = {
    "Gather": _gather,
    "Slice": _slice,
    "Split": _split,
    "Concat": _concat,
    "OneHot": _one_hot,
}
