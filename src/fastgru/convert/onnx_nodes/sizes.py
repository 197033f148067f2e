"""Nodes of ONNX graphs that compute with sizes of arrays, and what is made of these."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import Any

import numpy as np

from fastgru.convert.onnx_nodes.operation import Operation
from fastgru.convert.onnx_nodes.values import Array, Constant, Lengths, Repeated, Shape, Zeros, described
from fastgru.graph.axes import Size, is_unit
from fastgru.graph.traced import States, Traced


def _known(op: Operation, sizes: Sequence[Size], *, is_scalar: bool = False) -> Shape | Constant:
    """Sizes; a constant where none depends on the call."""
    if any(size.names for size in sizes):
        return Shape(tuple(sizes), is_scalar)
    numbers = np.array([size.number for size in sizes], np.int64)
    return Constant(op.name, numbers.reshape(()) if is_scalar else numbers)


def _is_scalar(value: Any) -> bool:
    return value.is_scalar if isinstance(value, Shape) else value.array.ndim == 0


def _sides(op: Operation, first: int = 0) -> tuple[list[tuple[Size, ...]], bool]:
    """Two inputs as sizes of one length, and whether both are scalars."""
    values = op.inputs[first : first + 2]
    sides = [op.sizes(first), op.sizes(first + 1)]
    count = max(map(len, sides))
    if any(len(side) not in (1, count) for side in sides):
        raise op.refuse(f"{op.kind} of {len(sides[0])} and {len(sides[1])} sizes")
    longer = [side * count if len(side) == 1 else side for side in sides]
    return longer, all(map(_is_scalar, values))


def _shape(op: Operation) -> Any:
    value = op.inputs[0]
    if isinstance(value, Shape):
        return Constant(op.name, np.array([] if value.is_scalar else [len(value.sizes)], np.int64))
    if not isinstance(value, (Traced, States, Lengths)) or (isinstance(value, States) and value.cells == ()):
        raise op.refuse(f"the sizes of {described(value)}")
    sizes = tuple(axis.size for axis in value.axes)
    return _known(op, sizes[op.attributes.get("start", 0) : op.attributes.get("end")])


def _gather(op: Operation) -> Any:
    sizes, places = op.sizes(0), op.needed(1)
    return _known(op, [sizes[place] for place in places.ints()], is_scalar=places.array.ndim == 0)


def _slice(op: Operation) -> Any:
    ((_, part),) = op.slices()
    return _known(op, op.sizes(0)[part])


def _split(op: Operation) -> Any:
    sizes = op.sizes(0)
    return tuple(_known(op, sizes[part]) for part in op.split_parts(len(sizes)))


def _concat(op: Operation) -> Any:
    return _known(op, [size for place in range(len(op.inputs)) for size in op.sizes(place)])


def _vector(op: Operation) -> Any:
    return _known(op, op.sizes(0))


def _squeeze(op: Operation) -> Any:
    sizes = op.sizes(0)
    if len(sizes) != 1:
        raise op.refuse("a Squeeze of several sizes")
    return _known(op, sizes, is_scalar=True)


def _reshape(op: Operation) -> Any:
    """As they are, as a vector, or as a scalar."""
    sizes, asked = op.sizes(0), op.needed(1).ints()
    if asked not in ([], [-1], [len(sizes)]):
        raise op.refuse("a reshape of sizes to more than one axis")
    return _known(op, sizes, is_scalar=not asked)


def _cast(op: Operation) -> Any:
    """Sizes as other integers."""
    import onnx

    if op.attributes["to"] not in (onnx.TensorProto.INT32, onnx.TensorProto.INT64):
        raise op.refuse("a number that depends on the sizes of the call")
    return op.inputs[0]


def _product(op: Operation) -> Any:
    axes = op.numbers("axes", 1)
    if axes not in (None, [0], [-1]):
        raise op.refuse("a product of sizes along another axis")
    total = reduce(Size.times, op.sizes(0), Size(1))
    return _known(op, [total], is_scalar=not op.attributes.get("keepdims", 1))


def _arithmetic(op: Operation) -> Any:
    sides, is_scalar = _sides(op)
    call = {"Mul": Size.times, "Div": _quotient, "Add": _total, "Sub": _difference}[op.kind]
    results = [call(one, other) for one, other in zip(*sides, strict=True)]
    found = [size for size in results if size is not None]
    if len(found) < len(results):
        raise op.refuse(f"{op.kind} of sizes that are not fixed")
    return _known(op, found, is_scalar=is_scalar)


def _total(one: Size, other: Size) -> Size | None:
    if one.names == other.names:
        return Size(one.number + other.number, one.names)
    return one if other == Size(0) else other if one == Size(0) else None


def _difference(one: Size, other: Size) -> Size | None:
    if other == Size(0):
        return one
    return Size(one.number - other.number) if not one.names and not other.names else None


def _quotient(one: Size, other: Size) -> Size | None:
    """One size divided by another that is a factor of it."""
    names = list(one.names)
    for name in other.names:
        if name not in names:
            return None
        names.remove(name)
    if other.number < 1 or one.number < 0 or (names and one.number % other.number):
        return None
    return Size(one.number // other.number, tuple(names))


def _equal(op: Operation) -> Constant:
    """Whether sizes are what they cannot be, such as -1, or what they are anyway."""
    sides, is_scalar = _sides(op)
    found = []
    for one, other in zip(*sides, strict=True):
        if one.names != other.names and min(one.number, other.number) >= 0:
            raise op.refuse(f"{op.kind} of sizes that depend on the call")
        found.append(one == other)
    array = np.array(found)
    return Constant(op.name, array.reshape(()) if is_scalar else array)


def _where(op: Operation) -> Any:
    condition = op.needed(0).array.reshape(-1)
    sides, is_scalar = _sides(op, 1)
    if len(condition) != len(sides[0]):
        raise op.refuse(f"Where of {len(sides[0])} sizes with {len(condition)} conditions")
    chosen = [one if is_true else other for is_true, one, other in zip(condition, *sides, strict=True)]
    return _known(op, chosen, is_scalar=is_scalar)


def _zeros(op: Operation) -> Zeros:
    import onnx.numpy_helper

    value = op.attributes.get("value")
    if value is not None and np.any(onnx.numpy_helper.to_array(value)):
        raise op.refuse("a constant of a size that is not fixed")
    return Zeros()


def repeated(op: Operation, constant: Constant, sizes: Sequence[Size]) -> Zeros | Repeated:
    """A constant with these sizes, of which some depend on the call."""
    array: Array = constant.array
    if not np.any(array):
        return Zeros()
    shape = [1] * (len(sizes) - array.ndim) + list(array.shape)
    if len(shape) != len(sizes) or any(size.names and own != 1 for size, own in zip(sizes, shape, strict=True)):
        raise op.refuse("a constant that is repeated along an axis that it has already")
    fixed = [own if size.names or size.number == 1 else size.number for size, own in zip(sizes, shape, strict=True)]
    return Repeated(Constant(constant.key, np.broadcast_to(array.reshape(shape), fixed)))


def _tile(op: Operation) -> Any:
    """Zeros, constants and values of one step or row, repeated."""
    value, times = op.inputs[0], op.sizes(1)
    if isinstance(value, Zeros):
        return value
    if isinstance(value, Constant):
        if any(not one.names and one.number != 1 for one in times):
            raise op.refuse("a Tile of a constant in two ways at once")
        shape = [1] * (len(times) - value.array.ndim) + list(value.array.shape)
        return repeated(op, value, [Size(own).times(one) for own, one in zip(shape, times, strict=True)])
    x = op.parts()
    if any(one != Size(1) and not is_unit(axis) for axis, one in zip(x.axes[::-1], times[::-1], strict=False)):
        raise op.refuse("a Tile that repeats features, steps or rows")
    return op.grown(x, times)


SIZES: Mapping[str, Callable[[Operation], Any]] = {
    "Gather": _gather,
    "Slice": _slice,
    "Split": _split,
    "Concat": _concat,
    "Unsqueeze": _vector,
    "Squeeze": _squeeze,
    "Reshape": _reshape,
    "Identity": lambda op: op.inputs[0],
    "Cast": _cast,
    "Shape": _shape,
    "ReduceProd": _product,
    **dict.fromkeys(("Add", "Sub", "Mul", "Div"), _arithmetic),
    "Equal": _equal,
    "Where": _where,
}
OF_SIZES: Mapping[str, Callable[[Operation], Any]] = {"Shape": _shape, "ConstantOfShape": _zeros, "Tile": _tile}
