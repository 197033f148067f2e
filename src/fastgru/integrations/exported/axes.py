"""Operations of exported programs that move axes, and parts of values and states."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from fastgru import errors
from fastgru.graph.axes import Axis, Role, Size
from fastgru.graph.traced import States, Traced
from fastgru.integrations.exported.advice import FIRST_STEP, NUMBERS, SOME_STEPS
from fastgru.integrations.exported.cells import (
    cut_features,
    over_cells,
    readable,
    repeated,
    side_by_side,
    stack,
)
from fastgru.integrations.exported.operation import (
    Constant,
    Operation,
    Zeros,
    described,
    numbers_of,
    shape_of,
    size_of,
)


def _same(op: Operation) -> Any:
    return op.args[0]


def _dropout(op: Operation) -> Any:
    """Nothing, unless the model asks for it in evaluation mode too."""
    if op.argument(2, "train"):
        raise op.refuse("in evaluation mode too. Pass training=self.training")
    return op.args[0]


def _converted(op: Operation) -> Any:
    """The same numbers in another type, unless that changes them."""
    value, kind = op.args[0], op.node.meta["val"].dtype
    if isinstance(value, Constant):
        return Constant(value.key, value.array.astype(numbers_of(torch.empty(0, dtype=kind)).dtype))
    if isinstance(value, Traced):
        is_rounded = kind in (torch.float16, torch.bfloat16) if kind.is_floating_point else not value.is_index
        if is_rounded or (value.is_index and kind.is_floating_point):
            what = "integers and booleans" if value.is_index else "numbers"
            raise op.refuse(f"to {kind}, which the runtime does not have for {what}", *[NUMBERS] * value.is_index)
    return value


def _permute(op: Operation) -> Any:
    value = op.args[0]
    rank = len(value.array.shape) if isinstance(value, Constant) else len(value.axes)
    order = list(range(rank))
    if op.name == "aten.permute":
        order = [place % rank for place in op.args[1]]
    elif op.name in ("aten.t", "aten.numpy_T", "aten.mT"):
        order = order[::-1]
    else:
        first, second = op.args[1] % rank, op.args[2] % rank
        order[first], order[second] = order[second], order[first]
    if isinstance(value, Constant):
        return Constant(value.key, np.ascontiguousarray(value.array.transpose(order)))
    if isinstance(value, States):
        return replace(value, axes=tuple(value.axes[place] for place in order))
    return op.tracer.permuted(op.value(0), order)


def _unsqueeze(op: Operation) -> Any:
    if isinstance(op.args[0], States):
        return op.args[0] if op.args[0].cells is None else _only_shown(op, op.args[0])
    if isinstance(op.args[0], Constant):
        return Constant(op.args[0].key, np.expand_dims(op.args[0].array, op.args[1]))
    return op.tracer.unsqueezed(op.value(0), op.args[1])


def _squeeze(op: Operation) -> Any:
    value, places = op.args[0], op.argument(1, "dim")
    places = [places] if isinstance(places, int) else places
    if isinstance(value, States):
        return value if value.cells is None else _squeezed_states(op, value, places)
    x = op.value(0)
    wanted = range(len(x.axes)) if places is None else places
    if any(x.axes[place].size.names for place in wanted):
        raise errors.only_one_in_the_example(op.where, op.name)
    found = [place for place in wanted if x.axes[place].size == Size(1)]
    for place in found:
        _check_is_one(op, x, place)
    return op.tracer.squeezed(op.where, x, found)


def _check_is_one(op: Operation, x: Traced, place: int) -> None:
    """Raises unless an axis of size 1 has it in every call, not only in the example."""
    axis = x.axes[place]
    if axis.role is None and place % len(x.axes) == len(x.axes) - 1:
        axis.become(Role.FEATURES, op.where)
    if axis.role not in (Role.UNIT, Role.DIRECTIONS, Role.FEATURES):
        raise errors.only_one_in_the_example(op.where, op.name)


def _reshape(op: Operation) -> Any:
    if isinstance(op.args[0], Constant):
        return Constant(op.args[0].key, op.args[0].array.reshape(tuple(op.node.meta["val"].shape)))
    if isinstance(op.args[0], States):
        return _reshaped_state(op, op.args[0])
    x = op.value(0)
    cut = cut_features(op, x)
    return op.tracer.reshaped(op.where, x, shape_of(op)) if cut is None else cut


def _reshaped_state(op: Operation, states: States) -> Any:
    """States as they are, the only one, or all of them side by side."""
    old, new = tuple(axis.size for axis in states.axes), shape_of(op)
    if states.cells is None or old == new:
        return states
    roles = [axis.role for axis in states.axes]
    if Role.CELLS in roles and len(new) == 2 and len(old) == 3:
        cells = [op.tracer.state(op.where, states, cell) for cell in range(len(states.cells))]
        rows = [size for size, role in zip(old, roles, strict=True) if role is not Role.CELLS]
        if len(cells) == 1 and list(new) == rows:
            return cells[0]
        if roles.index(Role.CELLS) == 1 and new == (old[0], Size(old[1].number * old[2].number)):
            return replace(op.tracer.concat(op.where, cells, -1), is_state=not states.is_computed)
    return _only_shown(op, states)


def _only_shown(op: Operation, states: States) -> States:
    """States in a form that nothing reads but whoever called the model."""
    if states.is_computed:
        raise op.refuse("of values for several layers and directions")
    return States((), tuple(Axis(size) for size in shape_of(op)), states.source)


def _squeezed_states(op: Operation, states: States, places: Sequence[int] | None) -> Any:
    """States without axes of size 1: that of the only layer and direction, or of a batch that the model inserted."""
    axes = states.axes
    wanted = {place % len(axes) for place in (range(len(axes)) if places is None else places)}
    if places is None and any(axis.size.names for axis in axes):
        raise errors.only_one_in_the_example(op.where, op.name)
    found = sorted((place for place in wanted if axes[place].size == Size(1)), reverse=True)
    value: Any = states
    for place in found:
        if axes[place].role is Role.CELLS:
            continue
        if axes[place].role is not Role.UNIT:
            raise op.refuse("of the states of a layer, along another axis than that of layers and directions")
        value = replace(value, axes=value.axes[:place] + value.axes[place + 1 :])
    return op.tracer.state(op.where, value, 0) if any(axes[place].role is Role.CELLS for place in found) else value


def _expand(op: Operation) -> Any:
    if not isinstance(op.args[0], Traced) and not readable(op.args[0]):
        return op.args[0]
    value, shape = op.args[0], shape_of(op)
    old = tuple(axis.size for axis in value.axes)
    sizes = [new.number if old == Size(1) and not new.names else 1 if old == new else None
             for old, new in zip(old, shape[len(shape) - len(old) :], strict=True)]  # fmt: skip
    return repeated(op, value, [0] * (len(shape) - len(old)) + sizes)


def _repeat(op: Operation) -> Any:
    value, counts = op.args[:2]
    if isinstance(value, Constant):
        if any(count != 1 and size != 1 for count, size in zip(counts[::-1], value.array.shape[::-1], strict=False)):
            raise op.refuse("of a constant along an axis that has several elements")
        return value
    return repeated(op, value, counts)


def _select(op: Operation) -> Any:
    value, axis, index = op.args[:3]
    if isinstance(value, States):
        return _selected_state(op, value, axis, index) if value.cells is not None else value
    x = op.value(0)
    size, role = x.axes[axis].size, x.axes[axis].role
    if size == Size(1) and index in (0, -1) and role is not Role.TIME:
        _check_is_one(op, x, axis)
        return op.tracer.squeezed(op.where, x, [axis])
    if role is Role.FEATURES:
        place = range(size.number)[index]
        return op.tracer.squeezed(op.where, op.tracer.features(op.where, x, axis, place, place + 1), [axis])
    if index != -1:
        remedy = [FIRST_STEP] if index == 0 else []
        raise op.refuse(f"of element {index}. Expected the last step (-1)", *remedy)
    return op.tracer.last_step(op.where, x, axis)


def _selected_state(op: Operation, states: States, axis: int, index: int) -> Traced:
    if states.axes[axis].role is not Role.CELLS:
        raise op.refuse("of the states of a layer, along another axis than that of layers and directions")
    return op.tracer.state(op.where, states, index)


def _slice(op: Operation) -> Any:
    value, axis = op.args[0], op.argument(1, "dim", 0)
    begin, end, step = op.argument(2, "start") or 0, op.argument(3, "end"), op.argument(4, "step", 1)
    if isinstance(value, States):
        return _sliced_states(op, value, axis, slice(begin, end, step))
    x = op.value(0)
    size, role = x.axes[axis].size, x.axes[axis].role
    if step != 1:
        raise op.refuse("of every second or further element")
    is_to_end = end is None or (end >= 2**62 if isinstance(end, int) else size_of(end) == size)
    if is_to_end and isinstance(begin, int) and begin == 0:
        return x
    is_of_steps = bool(size.names) or role in (Role.TIME, Role.BATCH)
    if is_of_steps and is_to_end and isinstance(begin, int) and begin == -1:
        return op.tracer.unsqueezed(op.tracer.last_step(op.where, x, axis), axis)
    if is_of_steps:
        raise op.refuse("of steps or rows", SOME_STEPS)
    limits = range(size.number)[begin:end]
    return op.tracer.features(op.where, x, axis, limits.start, limits.stop)


def _sliced_states(op: Operation, states: States, axis: int, part: slice) -> States:
    if states.cells is None:
        return states
    if states.axes[axis].role is not Role.CELLS:
        return states if shape_of(op) == tuple(one.size for one in states.axes) else _only_shown(op, states)
    return _some_cells(states, axis, states.cells[part])


def _some_cells(states: States, axis: int, cells: tuple[str, ...]) -> States:
    axes = list(states.axes)
    axes[axis] = Axis(Size(len(cells)), Role.CELLS)
    return replace(states, cells=cells, axes=tuple(axes))


def _split(op: Operation) -> Any:
    value, axis = op.args[0], op.argument(2, "dim", 0)
    if isinstance(value, Zeros) or (isinstance(value, States) and value.cells is None):
        return [value] * 64
    if isinstance(value, States) and value.axes[axis].role is not Role.CELLS:
        raise op.refuse("of the states of a layer, along another axis than that of layers and directions")
    x = value if isinstance(value, States) else op.value(0)
    size, parts = x.axes[axis].size, op.args[1]
    if size.names:
        raise op.refuse("of steps or rows")
    if op.name in ("aten.chunk", "aten.tensor_split"):
        parts = -(-size.number // parts)
    sizes = parts if isinstance(parts, list) else _equal_parts(size.number, parts)
    first, found = 0, list[Any]()
    for one in sizes:
        if isinstance(x, States):
            found.append(_some_cells(x, axis, (x.cells or ())[first : first + one]))
        else:
            found.append(op.tracer.features(op.where, x, axis, first, first + one))
        first += one
    return found


def _equal_parts(total: int, size: int) -> list[int]:
    return [min(size, total - first) for first in range(0, total, size)]


def _unbind(op: Operation) -> Any:
    value = op.args[0]
    axis = op.argument(1, "dim", 0)
    if isinstance(value, States) and value.cells is not None and value.axes[axis].role is Role.CELLS:
        return [op.tracer.state(op.where, value, cell) for cell in range(len(value.cells))]
    raise op.refuse("of steps, rows or features")


def _cat(op: Operation) -> Any:
    parts, axis = op.args[0], op.argument(1, "dim", 0)
    found = side_by_side(op, parts, axis)
    if found is not None:
        return found
    if any(readable(part) for part in parts):
        return over_cells(op, _cat)
    if all(isinstance(part, States) for part in parts):
        return parts[0] if all(part.cells is None for part in parts) else _only_shown(op, parts[0])
    wrong = [part for part in parts if not isinstance(part, Traced)]
    if wrong:
        raise op.refuse(f"of {described(wrong[0])}")
    return op.tracer.concat(op.where, parts, axis)


def _zeros(op: Operation) -> Any:
    fill = op.args[1] if op.name in ("aten.full", "aten.full_like") else 0
    return Zeros() if fill == 0 else fill


AXES: Mapping[str, Callable[[Operation], Any]] = {
    "aten.cat": _cat,
    "aten.concat": _cat,
    "aten.stack": stack,
    "aten.repeat": _repeat,
    "aten.split": _split,
    "aten.split_with_sizes": _split,
    "aten.chunk": _split,
    "aten.slice": _slice,
    "aten.select": _select,
    "aten.unbind": _unbind,
    "aten.permute": _permute,
    "aten.transpose": _permute,
    "aten.t": _permute,
    "aten.numpy_T": _permute,
    "aten.unsqueeze": _unsqueeze,
    "aten.squeeze": _squeeze,
    "aten.squeeze_": _squeeze,
    "aten.view": _reshape,
    "aten.reshape": _reshape,
    "aten._unsafe_view": _reshape,
    "aten.flatten": _reshape,
    "aten.unflatten": _reshape,
    "aten.expand": _expand,
    "aten.zeros": _zeros,
    "aten.zeros_like": _zeros,
    "aten.new_zeros": _zeros,
    "aten.full": _zeros,
    **dict.fromkeys(
        ("aten.contiguous", "aten.clone", "aten.detach", "aten.detach_", "aten.alias",
         "aten.lift_fresh_copy"),
        _same,
    ),
    **dict.fromkeys(("aten.dropout", "aten.dropout_", "aten.feature_dropout"), _dropout),
    **dict.fromkeys(("aten.to", "aten._to_copy", "aten.type_as"), _converted),
    "aten._assert_tensor_metadata": lambda op: None,
    "aten._assert_scalar": lambda op: None,
}  # fmt: skip
