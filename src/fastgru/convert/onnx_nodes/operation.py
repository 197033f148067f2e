"""One node of an ONNX graph: its inputs as values of the tracer, constants and sizes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fastgru import errors
from fastgru.convert.onnx_nodes.values import Constant, Notes, Reverse, Shape, Unfinished, described
from fastgru.graph.axes import Axis, Role, Size, is_unit, unit
from fastgru.graph.traced import States, Traced
from fastgru.graph.tracing import GraphTracer


@dataclass(frozen=True)
class Operation:
    """One node: its place for words, its name, and its inputs as values of the tracer, constants and sizes."""

    tracer: GraphTracer
    where: str
    name: str
    kind: str
    inputs: Sequence[Any]
    attributes: Mapping[str, Any]
    outputs: int
    opset: int
    dtype: Any
    notes: Notes

    def input(self, place: int) -> Any:
        """An input; None if it is left out."""
        return self.inputs[place] if place < len(self.inputs) else None

    def value(self, place: int = 0) -> Traced:
        """An input that must be a value. Vectors of the directions of a GRU that lie apart may not be meant together.

        Raises:
            ConversionError: it is something else.
        """
        return self.whole(self.parts(place))

    def whole(self, value: Traced) -> Traced:
        """A value, unless its features lie apart in directions or groups.

        Raises:
            ConversionError: they do.
        """
        if any(axis.role is Role.DIRECTIONS and axis.size != Size(1) for axis in value.axes):
            raise self.refuse(f"{self.kind} of directions or groups of features that lie apart")
        return value

    def parts(self, place: int = 0) -> Traced:
        """As `value`, for operations that treat each number alike, or know of directions."""
        value = self.input(place)
        if isinstance(value, States):
            return value_of_states(self, value)
        if isinstance(value, Unfinished):
            return value.value
        if not isinstance(value, Traced):
            raise self.refuse(f"{self.kind} of {described(value)}")
        return value

    def constant(self, place: int) -> Constant | None:
        """An input that must be constant, or left out.

        Raises:
            ConversionError: it is computed.
        """
        value = self.input(place)
        if value is not None and not isinstance(value, Constant):
            raise self.refuse(f"{self.kind} with an input {place} that is computed")
        return value

    def needed(self, place: int) -> Constant:
        """An input that must be constant.

        Raises:
            ConversionError: it is computed, or left out.
        """
        constant = self.constant(place)
        if constant is None:
            raise self.refuse(f"{self.kind} without its input {place}")
        return constant

    def numbers(self, attribute: str, place: int) -> list[int] | None:
        """Integers that older operators have as an attribute and newer ones as an input."""
        if attribute in self.attributes:
            given = self.attributes[attribute]
            return [int(given)] if isinstance(given, int) else [int(one) for one in given]
        constant = self.constant(place)
        return None if constant is None else constant.ints()

    def sizes(self, place: int) -> tuple[Size, ...]:
        """An input that must be sizes, of the call or fixed.

        Raises:
            ConversionError: it is something else.
        """
        value = self.input(place)
        if isinstance(value, Shape):
            return value.sizes
        if not isinstance(value, Constant) or value.array.dtype.kind not in "iu":
            raise self.refuse(f"{self.kind} with sizes that are computed")
        return tuple(Size(number) for number in value.ints())

    def with_features(self, x: Traced, count: int) -> Traced:
        """The value, whose last axis becomes that of `count` features, if the file does not tell its size.

        A program may also have inserted the axis, for single numbers.
        """
        if not x.axes:
            return x
        if count == 1 and is_unit(x.axes[-1]):
            return replace(x, axes=(*x.axes[:-1], Axis(Size(1), Role.FEATURES)), is_number=True)
        if x.axes[-1].size.names and x.axes[-1].size.number == 1:
            x.axes[-1].size = Size(count)
        return x

    def along(self, x: Traced, axis: int, call: Callable[[Traced], Traced]) -> Traced:
        """The result of an operation on vectors whose features lie along `axis`; it keeps the order of axes."""
        order = list(range(len(x.axes)))
        order.append(order.pop(axis % len(x.axes)))
        result = call(self.tracer.permuted(x, order))
        return self.tracer.permuted(result, [order.index(place) for place in range(len(order))])

    def grown(self, x: Traced, sizes: Sequence[Size]) -> Traced:
        """A value with these sizes where it has axes of size 1, or none: it is the same at all places."""
        old = [*[unit() for _ in range(len(sizes) - len(x.axes))], *x.axes]
        new = [*[Size(1)] * (len(x.axes) - len(sizes)), *sizes]
        keeps = [size in (Size(1), axis.size) for axis, size in zip(old, new, strict=True)]
        if not all(kept or is_unit(axis) for axis, kept in zip(old, keeps, strict=True)):
            raise self.refuse(f"{self.kind} that repeats features, steps or rows")
        axes = [axis if kept else Axis(size) for axis, size, kept in zip(old, new, keeps, strict=True)]
        return replace(x, axes=tuple(axes))

    def features(self, x: Traced, axis: int, first: int, last: int) -> Traced:
        """The features from `first` to before `last`."""
        result = self.tracer.features(self.name, x, axis, first, last)
        known = self.notes.reverse.get(x.name)
        if known is not None and (known.first, known.last) == (first, last):
            self.notes.reverse[result.name] = Reverse(0, last - first, known.state)
        return result

    def slices(self) -> list[tuple[int, slice]]:
        """What a Slice takes, axis by axis."""
        begins, ends = self.numbers("starts", 1) or [], self.numbers("ends", 2) or []
        axes = self.numbers("axes", 3) or list(range(len(begins)))
        steps = self.numbers("steps", 4) or [1] * len(begins)
        return [
            (axis, slice(begin, end, step)) for axis, begin, end, step in zip(axes, begins, ends, steps, strict=True)
        ]

    def split_parts(self, total: int) -> list[slice]:
        """What the results of a Split take of an axis of `total` elements."""
        each = -(-total // self.outputs)
        sizes = self.numbers("split", 1) or [min(each, total - each * place) for place in range(self.outputs)]
        begins = [sum(sizes[:place]) for place in range(len(sizes))]
        return [slice(begin, begin + size, 1) for begin, size in zip(begins, sizes, strict=True)]

    def check_cast(self, *, is_index: bool) -> None:
        """Raises if a Cast changes the numbers.

        Raises:
            ConversionError: it does.
        """
        import onnx

        kinds, kind = onnx.TensorProto, self.attributes["to"]
        if kind not in ((kinds.INT32, kinds.INT64) if is_index else (kinds.FLOAT, kinds.DOUBLE)):
            what = "indices" if is_index else "numbers"
            raise self.refuse(f"a Cast to {kinds.DataType.Name(kind)}, which the runtime does not have for {what}")

    def refuse(self, what: str) -> Exception:
        """An error for this node."""
        return errors.cannot_convert(self.where, what)


def value_of_states(op: Operation, states: States) -> Traced:
    """The state of the only layer and direction, with axes of size 1 where these are counted.

    Raises:
        ConversionError: there are several, or it is a state that comes in.
    """
    if states.cells is None:
        raise errors.state_read_elsewhere(op.where, states.source)
    if not states.cells:
        raise op.refuse(f"{op.kind} of a part of the states along rows or features")
    if len(states.cells) > 1:
        raise op.refuse(
            f"{op.kind} of the states of several layers or directions at once. Take one of them, such as h_n[-1], or "
            "concatenate their features"
        )
    value = op.tracer.state(op.where, states, 0)
    for place, axis in enumerate(states.axes):
        if axis.role is Role.CELLS:
            value = op.tracer.unsqueezed(value, place)
    return value
