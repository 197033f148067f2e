"""Nodes of ONNX graphs that move axes, parts of values and states, and sizes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from fastgru.convert.onnx_nodes.operation import Constant, Lengths, Operation, Shape, Zeros, described
from fastgru.graph.axes import Axis, Role, Size
from fastgru.graph.traced import States, Traced


def _gather(op: Operation) -> Any:
    data, index, axis = op.inputs[0], op.inputs[1], op.attributes.get("axis", 0)
    if isinstance(data, Constant) and isinstance(index, Traced):
        if axis != 0 or data.array.ndim != 2:
            raise op.refuse("a lookup in a constant that is no table of vectors")
        return op.tracer.embedding(op.name, index, (data.key, data.array))
    places = op.needed(1)
    if isinstance(data, Shape):
        chosen = tuple(data.sizes[place] for place in places.ints())
        return Shape(chosen)
    if isinstance(data, Zeros):
        return data
    if places.array.size != 1:
        raise op.refuse("several elements of an axis")
    if isinstance(data, States):
        return _state_of(op, data, axis, places.ints()[0], keeps_axis=places.array.ndim > 0)
    result = _element(op, op.value(), axis, places.ints()[0])
    return op.tracer.unsqueezed(result, axis) if places.array.ndim > 0 else result


def _element(op: Operation, x: Traced, axis: int, index: int) -> Traced:
    if x.axes[axis].role is Role.DIRECTIONS or (x.axes[axis].size == Size(1) and index in (0, -1)):
        return _direction(op, x, axis, index)
    if index != -1:
        raise op.refuse(f"element {index} of an axis. Expected the last step (-1)")
    return op.tracer.last_step(op.name, x, axis)


def _direction(op: Operation, x: Traced, axis: int, index: int) -> Traced:
    """One direction of the outputs of a GRU."""
    directions = x.axes[axis].size.number
    if directions == 1:
        return op.tracer.squeezed(op.where, x, [axis])
    features = next(place for place, one in enumerate(x.axes) if one.role is Role.FEATURES)
    size, number = x.axes[features].size.number, range(directions)[index]
    place = axis % len(x.axes)
    whole = replace(x, axes=tuple(one for at, one in enumerate(x.axes) if at != place))
    at = features - (features > place)
    wide = list(whole.axes)
    wide[at] = Axis(Size(size * directions), Role.FEATURES)
    return op.tracer.features(op.name, replace(whole, axes=tuple(wide)), at, number * size, (number + 1) * size)


def _same(op: Operation) -> Any:
    return op.inputs[0]


def _cast(op: Operation) -> Any:
    """The same numbers in another type, unless that changes them."""
    import onnx

    value, kind = op.inputs[0], op.attributes["to"]
    if isinstance(value, Traced):
        kinds = onnx.TensorProto
        kept = (kinds.INT32, kinds.INT64) if value.is_index else (kinds.FLOAT, kinds.DOUBLE)
        if kind not in kept:
            what = "indices" if value.is_index else "numbers"
            raise op.refuse(f"a Cast to {kinds.DataType.Name(kind)}, which the runtime does not have for {what}")
    return value


def _shape(op: Operation) -> Shape:
    value = op.inputs[0]
    if not isinstance(value, (Traced, States, Lengths)):
        raise op.refuse(f"the sizes of {described(value)}")
    sizes = tuple(axis.size for axis in value.axes)
    return Shape(sizes[op.attributes.get("start", 0) : op.attributes.get("end")])


def _where(op: Operation) -> Any:
    """A state where sequences are not empty, which those of the runtime are anyway."""
    condition, value = op.inputs[0], op.inputs[1]
    if isinstance(condition, Lengths) and isinstance(value, States):
        return value
    raise op.refuse("Where of values")


def _of_lengths(op: Operation) -> Any:
    if not isinstance(op.inputs[0], Lengths):
        raise op.refuse(f"{op.kind} of anything but lengths of sequences")
    return op.inputs[0]


def _zeros(op: Operation) -> Zeros:
    import onnx.numpy_helper

    value = op.attributes.get("value")
    if value is not None and np.any(onnx.numpy_helper.to_array(value)):
        raise op.refuse("a constant of a size that is not fixed")
    return Zeros()


def _transpose(op: Operation) -> Any:
    value = op.inputs[0]
    if isinstance(value, Zeros):
        return value
    axes = value.axes
    order = op.attributes.get("perm") or list(range(len(axes)))[::-1]
    if isinstance(value, States):
        return replace(value, axes=tuple(axes[place] for place in order))
    return op.tracer.permuted(op.value(), order)


def _unsqueeze(op: Operation) -> Any:
    value, places = op.inputs[0], op.numbers("axes", 1) or []
    if isinstance(value, (Shape, Zeros, States, Lengths)):
        return value
    x = op.value()
    rank = len(x.axes) + len(places)
    for place in sorted(place % rank for place in places):
        x = op.tracer.unsqueezed(x, place)
    return x


def _squeeze(op: Operation) -> Any:
    value, places = op.inputs[0], op.numbers("axes", 1)
    if isinstance(value, (Shape, Zeros)):
        return value
    if isinstance(value, States):
        if value.cells is None:
            return value
        wanted = places if places is not None else [_cells_axis(value)]
        return _state_of(op, value, wanted[0], 0, keeps_axis=False)
    return op.tracer.squeezed(op.where, op.value(), places)


def _cells_axis(states: States) -> int:
    return next(place for place, axis in enumerate(states.axes) if axis.role is Role.CELLS)


def _state_of(op: Operation, states: States, axis: int, index: int, *, keeps_axis: bool) -> Any:
    """The state of one layer and direction, as a value; or states of one, if the axis stays."""
    if states.cells is None:
        return states
    if states.axes[axis].role is not Role.CELLS:
        raise op.refuse("a part of states along another axis than that of layers and directions")
    if keeps_axis:
        axes = list(states.axes)
        axes[axis] = Axis(Size(1), Role.CELLS)
        return replace(states, cells=(states.cells[index],), axes=tuple(axes))
    return op.tracer.state(op.where, states, index)


def _reshape(op: Operation) -> Any:
    value, target = op.inputs[0], op.inputs[1]
    if isinstance(value, (Shape, Zeros)):
        return value
    if isinstance(value, States):
        return _reshaped_states(op, value)
    x = op.value()
    return op.tracer.reshaped(op.where, x, _target(op, x, target))


def _target(op: Operation, x: Traced, target: Any) -> list[Size | None]:
    """The sizes that a reshape asks for; None for the rest (-1)."""
    if isinstance(target, Shape):
        asked = list(target.sizes)
    elif isinstance(target, Constant):
        asked = [Size(number) for number in target.ints()]
    else:
        raise op.refuse("a reshape to sizes that are computed")
    keeps = not op.attributes.get("allowzero", 0)
    return [
        None if size == Size(-1) else x.axes[place].size if size == Size(0) and keeps else size
        for place, size in enumerate(asked)
    ]


def _reshaped_states(op: Operation, states: States) -> Any:
    """States as they are, the only one, or all of them side by side."""
    target, sizes = op.inputs[1], tuple(axis.size for axis in states.axes)
    asked = list(target.sizes) if isinstance(target, Shape) else [Size(number) for number in target.ints()]
    asked = [sizes[place] if size == Size(0) else size for place, size in enumerate(asked)]
    if states.cells is None:
        return states
    if len(asked) == len(sizes):
        same = all(one in (Size(-1), size) for one, size in zip(asked, sizes, strict=True))
        return states if same else _only_shown(states)
    roles = [axis.role for axis in states.axes]
    if Role.CELLS not in roles or len(sizes) != 3 or len(asked) != 2:
        raise op.refuse("a reshape of the states of several layers or directions")
    cells = [op.tracer.state(op.where, states, cell) for cell in range(len(states.cells))]
    free, width = Size(-1), sizes[2].number * len(cells)
    if len(cells) == 1 and asked[1] in (free, Size(width)):
        return cells[0]
    if roles.index(Role.CELLS) == 1 and asked[0] in (free, sizes[0]) and asked[1] in (free, Size(width)):
        return replace(op.tracer.concat(op.name, cells, -1), is_state=True)
    raise op.refuse("a reshape of the states of several layers or directions")


def _flatten(op: Operation) -> Traced:
    x, axis = op.value(), op.attributes.get("axis", 1)
    if len(x.axes) - axis != 1:
        raise op.refuse("a Flatten that makes steps or rows features")
    return op.tracer.reshaped(op.where, x, [None, x.axes[-1].size])


def _expand(op: Operation) -> Any:
    if isinstance(op.inputs[0], (Zeros, Constant, States)):
        return Zeros() if not isinstance(op.inputs[0], States) else op.inputs[0]
    raise op.refuse("an Expand of values")


def _concat(op: Operation) -> Any:
    kinds = {type(one) for one in op.inputs}
    if Shape in kinds:
        sizes: tuple[Size, ...] = ()
        for one in op.inputs:
            sizes += one.sizes if isinstance(one, Shape) else tuple(Size(number) for number in one.ints())
        return Shape(sizes)
    if kinds <= {Zeros}:
        return Zeros()
    if kinds <= {States}:
        return _joined_states(op)
    return op.tracer.concat(op.name, [op.value(place) for place in range(len(op.inputs))], op.attributes["axis"])


def _joined_states(op: Operation) -> States:
    first: States = op.inputs[0]
    axis = op.attributes["axis"]
    cells = [one.cells for one in op.inputs]
    if cells == [None] * len(cells):
        return first
    if None in cells or any(one.axes[axis].role is not Role.CELLS for one in op.inputs):
        return _only_shown(first)
    axes = list(first.axes)
    axes[axis] = Axis(Size(sum(map(len, cells))), Role.CELLS)
    return replace(first, cells=tuple(name for names in cells for name in names), axes=tuple(axes))


def _only_shown(states: States) -> States:
    """States in a form that nothing reads but whoever called the model."""
    return replace(states, cells=(), axes=tuple(Axis(axis.size) for axis in states.axes))


def _slice(op: Operation) -> Any:
    value = op.inputs[0]
    begins, ends = op.numbers("starts", 1) or [], op.numbers("ends", 2) or []
    axes = op.numbers("axes", 3) or list(range(len(begins)))
    steps = op.numbers("steps", 4) or [1] * len(begins)
    if isinstance(value, Zeros):
        return value
    if isinstance(value, Shape):
        return Shape(value.sizes[begins[0] : ends[0] : steps[0]])
    for axis, begin, end, step in zip(axes, begins, ends, steps, strict=True):
        value = _sliced(op, value, axis, slice(begin, end, step))
    return value


def _sliced(op: Operation, value: Any, axis: int, part: slice) -> Any:
    if isinstance(value, States):
        if value.cells is None:
            return value
        if value.axes[axis].role is not Role.CELLS:
            is_whole = part.start == 0 and part.step == 1 and part.stop >= 2**31 - 1
            return value if is_whole else _only_shown(value)
        cells = value.cells[part]
        axes = list(value.axes)
        axes[axis] = Axis(Size(len(cells)), Role.CELLS)
        return replace(value, cells=cells, axes=tuple(axes))
    size = value.axes[axis].size
    if part.start == 0 and part.step == 1 and part.stop >= 2**31 - 1:
        return value
    if part.start == -1 and part.step == 1 and part.stop >= 2**31 - 1 and value.axes[axis].role is not Role.FEATURES:
        return op.tracer.unsqueezed(op.tracer.last_step(op.name, value, axis), axis)
    if size.names or part.step != 1:
        raise op.refuse("a part of the steps or rows")
    limits = range(size.number)[part]
    if value.axes[axis].role is Role.DIRECTIONS and len(limits) == 1:
        return op.tracer.unsqueezed(_direction(op, value, axis, limits.start), axis)
    return value if len(limits) == size.number else op.tracer.features(op.name, value, axis, limits.start, limits.stop)


def _split(op: Operation) -> tuple[Any, ...]:
    value, axis = op.inputs[0], op.attributes.get("axis", 0)
    if isinstance(value, Zeros) or (isinstance(value, States) and value.cells is None):
        return (value,) * op.outputs
    size = value.axes[axis].size
    if size.names:
        raise op.refuse("a split of steps or rows")
    sizes = op.numbers("split", 1) or _parts(size.number, op.outputs)
    begins = [sum(sizes[:place]) for place in range(len(sizes))]
    return tuple(
        _sliced(op, value, axis, slice(begin, begin + one, 1)) for begin, one in zip(begins, sizes, strict=True)
    )


def _parts(total: int, count: int) -> list[int]:
    each = -(-total // count)
    return [min(each, total - each * place) for place in range(count)]


AXES: Mapping[str, Callable[[Operation], Any]] = {
    "Gather": _gather,
    "Concat": _concat,
    "Slice": _slice,
    "Split": _split,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
    "Squeeze": _squeeze,
    "Reshape": _reshape,
    "Flatten": _flatten,
    "Expand": _expand,
    "Shape": _shape,
    "Greater": _of_lengths,
    "Where": _where,
    "ConstantOfShape": _zeros,
    "Identity": _same,
    "Dropout": _same,
    "Cast": _cast,
}
