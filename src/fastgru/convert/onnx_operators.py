"""What the operators of ONNX are in a graph of the runtime."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fastgru import errors
from fastgru.convert.gate_order import reorder_gates
from fastgru.graph.axes import Axis, Role, Size
from fastgru.graph.tracing import GraphTracer, Recurrence, States, Traced
from fastgru.spec import GRUSpec

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Constant:
    """A weight or another constant, and its name."""

    key: str
    array: Array

    def ints(self) -> list[int]:
        """Its values as integers."""
        return [int(one) for one in np.asarray(self.array).reshape(-1)]


@dataclass(frozen=True)
class Shape:
    """The sizes of an array, or one of them."""

    sizes: tuple[Size, ...]


@dataclass(frozen=True)
class Zeros:
    """Zeros of any shape: the start of a recurrence."""


@dataclass(frozen=True)
class Lengths:
    """The lengths of the sequences, which the runtime has an argument for; `axes` is the one of the batch."""

    axes: tuple[Axis, ...]


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

    def input(self, place: int) -> Any:
        """An input; None if it is left out."""
        return self.inputs[place] if place < len(self.inputs) else None

    def value(self, place: int = 0) -> Traced:
        """An input that must be a value.

        Raises:
            ConversionError: it is something else.
        """
        value = self.input(place)
        if isinstance(value, States):
            raise errors.state_read_elsewhere(self.where, value.source)
        if not isinstance(value, Traced):
            raise self.refuse(f"{self.kind} of {_described(value)}")
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

    def refuse(self, what: str) -> Exception:
        """An error for this node."""
        return errors.cannot_convert(self.where, what)


def _described(value: Any) -> str:
    names = {Shape: "sizes", Zeros: "zeros", Lengths: "the lengths", type(None): "nothing"}
    return names.get(type(value), f"the constant {getattr(value, 'key', value)!r}")


def _pair(constant: Constant | None) -> tuple[str, Array] | None:
    return None if constant is None else (constant.key, constant.array)


# ---- layers ----


def _mat_mul(op: Operation) -> Traced:
    weight, x = op.needed(1), op.value()
    if weight.array.ndim != 2:
        raise op.refuse(f"a product with a constant of shape {weight.array.shape}. Expected a matrix")
    return op.tracer.linear(op.name, x, (weight.key, np.ascontiguousarray(weight.array.T)), None)


def _gemm(op: Operation) -> Traced:
    weight, bias = op.needed(1), op.constant(2)
    alpha, beta = op.attributes.get("alpha", 1.0), op.attributes.get("beta", 1.0)
    if op.attributes.get("transA", 0):
        raise op.refuse("a Gemm of a transposed input")
    matrix = weight.array if op.attributes.get("transB", 0) else weight.array.T
    matrix = matrix if alpha == 1 else (matrix * alpha).astype(matrix.dtype)
    own_bias = None
    if bias is not None:
        vector = np.broadcast_to(bias.array, (1, matrix.shape[0])).reshape(-1) if bias.array.size == 1 else bias.array
        own_bias = (bias.key, (vector if beta == 1 else vector * beta).reshape(-1).astype(matrix.dtype))
    return op.tracer.linear(op.name, op.value(), (weight.key, np.ascontiguousarray(matrix)), own_bias)


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


def _layer_norm(op: Operation) -> Traced:
    axis = op.attributes.get("axis", -1)
    x = op.value()
    if axis not in (-1, len(x.axes) - 1):
        raise op.refuse("a normalization over several axes. Expected the last one")
    pair = [_pair(op.constant(place)) for place in (1, 2)]
    return op.tracer.layer_norm(op.name, x, float(op.attributes.get("epsilon", 1e-5)), *pair)


def _batch_norm(op: Operation) -> Traced:
    x = op.value()
    if len(x.axes) != 2:
        raise op.refuse("a BatchNormalization of more than two axes")
    scale, bias, mean, variance = (op.needed(place) for place in (1, 2, 3, 4))
    factor = scale.array / np.sqrt(variance.array.astype(np.float64) + op.attributes.get("epsilon", 1e-5))
    kind = scale.array.dtype
    scaled = op.tracer.operation(op.name, "Multiply", x, factor.astype(kind))
    shift = (bias.array - mean.array * factor).astype(kind)
    return op.tracer.operation(f"{op.name}.shift", "Add", scaled, shift)


def _gru(op: Operation) -> tuple[Any, ...]:
    _check_activations(op)
    layer, is_reverse = _recurrence(op)
    _check_start(op)
    by_batch = bool(op.attributes.get("layout", 0))
    x = op.value()
    time, batch = (1, 0) if by_batch else (0, 1)
    output, states = op.tracer.gru(op.name, x, layer, time, batch)
    hidden = layer.attributes["hidden_size"]
    directions = 2 if layer.attributes["bidirectional"] else 1
    if is_reverse:
        output = op.tracer.features(f"{op.name}.reverse", output, -1, hidden, 2 * hidden)
        assert states.cells is not None
        states = States(states.cells[1:], (Axis(Size(1), Role.CELLS), *states.axes[1:]))
        directions = 1
    one = Axis(Size(directions), Role.DIRECTIONS)
    features = Axis(Size(hidden), Role.FEATURES)
    place = 2 if by_batch else 1
    axes = (*output.axes[:place], one, *output.axes[place:-1], features)
    cells, *others = states.axes
    state_axes = (others[0], cells, *others[1:]) if by_batch else states.axes
    return replace(output, axes=axes), replace(states, axes=tuple(state_axes))


def _check_activations(op: Operation) -> None:
    names = [str(one.decode() if isinstance(one, bytes) else one) for one in op.attributes.get("activations", [])]
    if [name.lower() for name in names] not in ([], ["sigmoid", "tanh"], ["sigmoid", "tanh"] * 2):
        raise op.refuse(f"a GRU with the activations {', '.join(names)}. Expected Sigmoid and Tanh")
    if "clip" in op.attributes:
        raise op.refuse("a GRU with clip")


def _check_start(op: Operation) -> None:
    lengths, start = op.input(4), op.input(5)
    if isinstance(lengths, Constant) and len(set(lengths.ints())) > 1:
        raise op.refuse("a GRU with constant lengths of sequences")
    if not (lengths is None or isinstance(lengths, (Constant, Lengths))):
        raise op.refuse("a GRU with lengths that are computed")
    is_zero = isinstance(start, Constant) and not np.any(start.array)
    is_input = isinstance(start, States) and start.cells is None
    if not (start is None or is_zero or is_input or isinstance(start, Zeros)):
        raise op.refuse("a GRU that begins with something else than zeros or an input of the model")


def _recurrence(op: Operation) -> tuple[Recurrence, bool]:
    """The layer, and whether it is the second direction alone: then the first has zeros for weights."""
    w, r, b = op.needed(1), op.needed(2), op.constant(3)
    direction = op.attributes.get("direction", b"forward")
    direction = direction.decode() if isinstance(direction, bytes) else direction
    arrays = [w.array, r.array] + ([] if b is None else [b.array])
    if direction == "reverse":
        arrays = [np.concatenate([np.zeros_like(one), one]) for one in arrays]
    hidden = int(r.array.shape[-1])
    reset_after = bool(op.attributes.get("linear_before_reset", 0))
    spec = GRUSpec(int(w.array.shape[-1]), hidden, 1, b is not None, direction != "forward", reset_after)
    found: list[Array] = []
    for one in range(spec.num_directions):
        found += [reorder_gates(np.ascontiguousarray(array[one]), "zrn", "rzn") for array in arrays[:2]]
        if b is not None:
            found += [reorder_gates(half, "zrn", "rzn") for half in np.split(arrays[2][one], 2)]
    return Recurrence(spec._asdict(), dict(zip(spec.parameter_names, found, strict=True))), direction == "reverse"


# ---- functions ----


def _function(name: str, **renamed: tuple[str, Any]) -> Callable[[Operation], Traced]:
    """A function of each number; `renamed` are our attributes: the operator's name and default."""

    def handle(op: Operation) -> Traced:
        given = {ours: op.attributes.get(theirs, default) for ours, (theirs, default) in renamed.items()}
        return op.tracer.function(op.name, name, op.value(), **given)

    return handle


def _gelu(op: Operation) -> Traced:
    approximate = op.attributes.get("approximate", b"none")
    name = approximate.decode() if isinstance(approximate, bytes) else approximate
    return op.tracer.function(op.name, "GELU", op.value(), approximate=name)


def _clip(op: Operation) -> Traced:
    limits = {}
    for place, name in ((1, "min"), (2, "max")):
        constant = op.constant(place)
        value = op.attributes.get(name) if constant is None else float(np.asarray(constant.array).reshape(()))
        if value is not None and np.isfinite(value):
            limits[name] = float(value)
    return op.tracer.function(op.name, "Clamp", op.value(), **limits)


def _extreme(limit: str) -> Callable[[Operation], Traced]:
    """Min or Max with one number."""

    def handle(op: Operation) -> Traced:
        left, right = op.inputs if len(op.inputs) == 2 else (None, None)
        x, constant = (left, right) if isinstance(left, Traced) else (right, left)
        if not isinstance(x, Traced) or not isinstance(constant, Constant) or constant.array.size != 1:
            raise op.refuse(f"{op.kind} of anything but a value and a number")
        return op.tracer.function(op.name, "Clamp", x, **{limit: float(constant.array.reshape(()))})

    return handle


def _softmax(name: str) -> Callable[[Operation], Traced]:
    def handle(op: Operation) -> Traced:
        x = op.value()
        axis = op.attributes.get("axis", -1 if op.opset >= 13 else 1)
        if op.opset < 13 and axis % len(x.axes) != len(x.axes) - 1:
            raise op.refuse(f"{op.kind} over several axes at once, as before opset 13")
        return op.tracer.over_features(op.name, name, x, axis)

    return handle


def _prelu(op: Operation) -> Traced:
    """max(0, x) - slope * max(0, -x)."""
    x, slope = op.value(), op.needed(1)
    positive = op.tracer.function(op.name, "ReLU", x)
    below = op.tracer.function(f"{op.name}.below", "ReLU", op.tracer.function(f"{op.name}.negative", "Neg", x))
    scaled = op.tracer.operation(f"{op.name}.scaled", "Multiply", below, slope.array)
    return op.tracer.operation(f"{op.name}.sum", "Subtract", positive, scaled)


def _pow(op: Operation) -> Traced:
    x, exponent = op.value(), op.needed(1)
    number = float(exponent.array.reshape(-1)[0]) if exponent.array.size == 1 else None
    if number == 0.5:
        return op.tracer.function(op.name, "Sqrt", x)
    if number != 2:
        raise op.refuse(f"the power {number}")
    return op.tracer.operation(op.name, "Multiply", x, x)


def _reciprocal(op: Operation) -> Traced:
    return op.tracer.operation(op.name, "Divide", np.asarray(1.0), op.value())


# ---- sums and products ----


def _operation(name: str) -> Callable[[Operation], Any]:
    def handle(op: Operation) -> Any:
        left, right = op.inputs
        if isinstance(left, Shape) or isinstance(right, Shape):
            return _size_operation(op, name)
        sides = [one.array if isinstance(one, Constant) else one for one in (left, right)]
        for place, one in enumerate(sides):
            if not isinstance(one, (Traced, np.ndarray)):
                op.value(place)
        return _with_bias(op, name, sides) or op.tracer.operation(op.name, name, *sides)

    return handle


def _with_bias(op: Operation, name: str, sides: Sequence[Any]) -> Traced | None:
    """A vector added to a product with weights is the bias of a linear layer."""
    x, vector = sides if isinstance(sides[0], Traced) else sides[::-1]
    if name != "Add" or not isinstance(vector, np.ndarray) or vector.ndim < 1 or vector.size != vector.shape[-1]:
        return None
    constant = next(one for one in op.inputs if isinstance(one, Constant))
    return op.tracer.biased(x, (constant.key, vector.reshape(-1)))


def _size_operation(op: Operation, name: str) -> Shape:
    """Arithmetic with sizes: products of them, and division by what is a factor."""
    if not all(isinstance(one, (Shape, Constant)) for one in op.inputs):
        raise op.refuse(f"{op.kind} with a number that depends on the sizes of the call")
    sides = [one.sizes if isinstance(one, Shape) else tuple(Size(number) for number in one.ints()) for one in op.inputs]
    if name == "Multiply" and len(sides[0]) == len(sides[1]):
        return Shape(tuple(one.times(other) for one, other in zip(*sides, strict=True)))
    if all(not size.names for size in (*sides[0], *sides[1])) and len(sides[0]) == len(sides[1]):
        call = {"Add": int.__add__, "Subtract": int.__sub__, "Divide": int.__floordiv__}[name]
        return Shape(tuple(Size(call(one.number, other.number)) for one, other in zip(*sides, strict=True)))
    raise op.refuse(f"{op.kind} of sizes that are not fixed")


def _sum(op: Operation) -> Traced:
    total = op.value()
    for place in range(1, len(op.inputs)):
        total = op.tracer.operation(op.name, "Add", total, op.value(place))
    return total


# ---- axes and sizes ----


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
        raise op.refuse(f"the sizes of {_described(value)}")
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


HANDLERS: Mapping[str, Callable[[Operation], Any]] = {
    "MatMul": _mat_mul,
    "Gemm": _gemm,
    "Gather": _gather,
    "LayerNormalization": _layer_norm,
    "BatchNormalization": _batch_norm,
    "GRU": _gru,
    "Relu": _function("ReLU"),
    "LeakyRelu": _function("LeakyReLU", negative_slope=("alpha", 0.01)),
    "PRelu": _prelu,
    "Elu": _function("ELU", alpha=("alpha", 1.0)),
    "Selu": _function("SELU"),
    "Gelu": _gelu,
    "Sigmoid": _function("Sigmoid"),
    "Tanh": _function("Tanh"),
    "Softplus": _function("Softplus"),
    "Softsign": _function("Softsign"),
    "HardSigmoid": _function("Hardsigmoid", alpha=("alpha", 0.2), beta=("beta", 0.5)),
    "HardSwish": _function("Hardswish"),
    "Clip": _clip,
    "Min": _extreme("max"),
    "Max": _extreme("min"),
    "Exp": _function("Exp"),
    "Log": _function("Log"),
    "Erf": _function("Erf"),
    "Sqrt": _function("Sqrt"),
    "Abs": _function("Abs"),
    "Neg": _function("Neg"),
    "Pow": _pow,
    "Reciprocal": _reciprocal,
    "Softmax": _softmax("Softmax"),
    "LogSoftmax": _softmax("LogSoftmax"),
    "Add": _operation("Add"),
    "Sub": _operation("Subtract"),
    "Mul": _operation("Multiply"),
    "Div": _operation("Divide"),
    "Sum": _sum,
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
