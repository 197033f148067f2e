"""Nodes of ONNX graphs that move the axes of values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from fastgru.convert.onnx_nodes.operation import Operation
from fastgru.convert.onnx_nodes.sizes import repeated
from fastgru.convert.onnx_nodes.values import Constant, Lengths, Shape, Unfinished, Zeros
from fastgru.graph.axes import Axis, Role, Size, flattened, is_unit, reshaped, unit
from fastgru.graph.traced import States, Traced


def _same(op: Operation) -> Any:
    return op.inputs[0]


def _dropout(op: Operation) -> Any:
    """Nothing, unless the file asks for it when the model is used."""
    training = op.constant(2)
    if training is not None and bool(training.array.reshape(())):
        raise op.refuse("a Dropout in training mode")
    return op.inputs[0]


def _cast(op: Operation) -> Any:
    """The same numbers in another type, unless that changes them."""
    value = op.inputs[0]
    if isinstance(value, (Traced, Unfinished)):
        op.check_cast(is_index=isinstance(value, Traced) and value.is_index)
    return value


def _transpose(op: Operation) -> Any:
    if isinstance(op.inputs[0], Zeros):
        return op.inputs[0]
    x = op.parts()
    return op.tracer.permuted(x, op.attributes.get("perm") or list(range(len(x.axes)))[::-1])


def _unsqueeze(op: Operation) -> Any:
    value, places = op.inputs[0], op.numbers("axes", 1) or []
    if isinstance(value, (Zeros, Lengths)):
        return value
    x = op.parts()
    rank = len(x.axes) + len(places)
    for place in sorted(place % rank for place in places):
        x = op.tracer.unsqueezed(x, place)
    return x


def _squeeze(op: Operation) -> Any:
    if isinstance(op.inputs[0], Zeros):
        return op.inputs[0]
    return op.tracer.squeezed(op.where, op.parts(), op.numbers("axes", 1))


def _reshape(op: Operation) -> Any:
    if isinstance(op.inputs[0], Zeros):
        return op.inputs[0]
    x = op.parts()
    asked = _asked(op, x)
    _check_names(op, x, asked)
    return _groups(op, x, asked) or op.tracer.reshaped(op.where, x, asked)


def _check_names(op: Operation, x: Traced, asked: list[Size | None]) -> None:
    """Raises for a number in the place of a size with a name: torch's exporter leaves that of its example there."""
    kept = [axis for axis in flattened(x.axes) if not is_unit(axis)]
    for place, (axis, size) in enumerate(zip(kept, asked, strict=False)):
        if size == axis.size:
            continue
        if size is None or size.names or size.number < 2 or not axis.size.names:
            return
        meant = [*asked[:place], axis.size, *asked[place + 1 :]]
        if reshaped(x.axes, meant) is not None:
            raise op.refuse(
                f"a reshape to {size.number} where the inputs have the size "
                f"{axis.size.names[0]!r}. The exporter left the number of its example there. Export anew, for "
                "example with batch_first or dynamo=False; or give the input that number in the file"
            )
        return


def _asked(op: Operation, x: Traced) -> list[Size | None]:
    """The sizes that a reshape asks for; None for the rest (-1)."""
    target = op.inputs[1]
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


def _groups(op: Operation, x: Traced, asked: list[Size | None]) -> Traced | None:
    """Features in groups of the same size, such as the directions of a GRU; None where a reshape does something else.

    Nothing reads such vectors but what takes or adds up groups, or puts them together again.
    """
    if len(asked) != len(x.axes) + 1 or not x.axes or x.axes[-1].size.names:
        return None
    known = all(size in (None, axis.size) for size, axis in zip(asked[:-2], x.axes[:-1], strict=True))
    total, (count, width) = x.axes[-1].size.number, asked[-2:]
    if count is None and width is not None and not width.names and width.number > 0:
        count = Size(total // width.number)
    if width is None and count is not None and not count.names and count.number > 0:
        width = Size(total // count.number)
    if not known or count is None or width is None or count.times(width) != Size(total) or 1 in (count[0], width[0]):
        return None
    x.axes[-1].become(Role.FEATURES, op.where)
    return replace(x, axes=(*x.axes[:-1], Axis(count, Role.DIRECTIONS), Axis(width, Role.FEATURES)))


def _flatten(op: Operation) -> Traced:
    x, axis = op.value(), op.attributes.get("axis", 1)
    if axis % len(x.axes) != len(x.axes) - 1:
        raise op.refuse("a Flatten that makes steps or rows features")
    return op.tracer.reshaped(op.where, x, [None, x.axes[-1].size])


def _expand(op: Operation) -> Any:
    """A value at more steps, or for more rows: it is the same at all of them. A single feature is repeated by ones."""
    value = op.inputs[0]
    if isinstance(value, Zeros) or (isinstance(value, States) and value.cells is None):
        return value
    if isinstance(value, Constant):
        return repeated(op, value, op.sizes(1))
    x, sizes = op.parts(), op.sizes(1)
    last = x.axes[-1] if x.axes else unit()
    if last.size == Size(1) and sizes[-1] != Size(1) and not sizes[-1].names and last.role in (None, Role.FEATURES):
        x = op.tracer.linear(
            op.name, op.whole(x), (f"{op.name}.weight", np.ones((sizes[-1].number, 1), op.dtype)), None
        )
    return op.grown(x, sizes)


AXES: Mapping[str, Callable[[Operation], Any]] = {
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
    "Squeeze": _squeeze,
    "Reshape": _reshape,
    "Flatten": _flatten,
    "Expand": _expand,
    "Identity": _same,
    "Dropout": _dropout,
    "Cast": _cast,
}
