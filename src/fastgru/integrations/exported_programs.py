"""Reading programs of `torch.export` into graphs of the runtime, operation by operation."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx
from torch.export import ExportedProgram

from fastgru import errors
from fastgru.graph import Graph
from fastgru.graph.axes import Axis, Role, Size
from fastgru.graph.tracing import GraphTracer, Recurrence, States, Traced
from fastgru.spec import GRUSpec

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Constant:
    """A parameter, buffer or constant, and its name."""

    key: str
    array: Array


@dataclass(frozen=True)
class Zeros:
    """Zeros of any shape: the start of a recurrence."""


def read_program(program: ExportedProgram) -> Graph:
    """The graph of an exported program.

    Raises:
        ConversionError: an operation that the runtime does not have. The message names it and its module.
        GraphError: something does not fit together.
    """
    return _Reader(program).graph()


class _Reader:
    """Goes through a program; `values` are what its nodes stand for."""

    def __init__(self, program: ExportedProgram) -> None:
        self.tracer = GraphTracer()
        self.values: dict[fx.Node, Any] = {}
        self._program = program
        self._has_states = False  # whether states are inputs: then states among the outputs are those to go on from
        self._users = {node: list(node.users) for node in program.graph.nodes}

    def graph(self) -> Graph:
        outputs: list[tuple[str, Traced]] = []
        self._read_placeholders()
        for node in self._program.graph.nodes:
            if node.op == "call_function":
                self.values[node] = self._call(node)
            elif node.op == "output":
                outputs = self._outputs(node)
        return self.tracer.graph(outputs)

    def _read_placeholders(self) -> None:
        signature = self._program.graph_signature
        held = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
        held |= signature.inputs_to_lifted_tensor_constants
        state = {**self._program.state_dict, **self._program.constants}
        for node in self._program.graph.nodes:
            if node.op != "placeholder":
                continue
            if node.name in held:
                key = held[node.name]
                self.values[node] = Constant(key, _numbers(state[key]))
            elif isinstance(node.meta.get("val"), Tensor):
                self.values[node] = self._input(node)
            else:
                self.values[node] = node.meta.get("val")

    def _input(self, node: fx.Node) -> Any:
        """An input: a value; or a state, lengths or marks of resets, which the runtime has arguments for."""
        fake = node.meta["val"]
        axes = tuple(Axis(size) for size in _sizes(fake.shape))
        if self._feeds(node, 1):
            self._has_states = True
            return States(None, axes, node.name)
        if self._feeds(node, 4) or self._feeds(node, 5):
            return Zeros()
        return self.tracer.input(node.name, axes, is_index=not fake.is_floating_point())

    def _feeds(self, node: fx.Node, place: int) -> bool:
        """Whether it goes, perhaps by way of views, into this argument of a recurrent layer."""
        for user in self._users[node]:
            if user.target is torch.ops.fastgru.forward.default:
                if user.args[place] is node:
                    return True
            elif _name(user) in _VIEWS and self._feeds(user, place):
                return True
        return False

    def _call(self, node: fx.Node) -> Any:
        name, where = _name(node), place_of(node)
        if isinstance(node.meta.get("val"), (int, float, bool, torch.SymInt)):
            return node.meta["val"]  # sizes, which torch has computed
        args = [self._resolved(one) for one in node.args]
        kwargs = {key: self._resolved(one) for key, one in node.kwargs.items()}
        if name == "getitem":
            return args[0][args[1]]
        if name in _IN_PLACE and _is_seen_elsewhere(node):
            raise errors.cannot_convert(where, f"{name}, which changes a view of a value in place. Compute a new value")
        handler = HANDLERS.get(name)
        if handler is None:
            raise errors.cannot_convert(where, f"the operation {name}, which the runtime does not have")
        return handler(Operation(self.tracer, where, name, node, args, kwargs))

    def _resolved(self, value: Any) -> Any:
        if isinstance(value, fx.Node):
            return self.values[value]
        if isinstance(value, (list, tuple)):
            return [self._resolved(one) for one in value]
        return value

    def _outputs(self, node: fx.Node) -> list[tuple[str, Traced]]:
        """The outputs that are values; states are handed on by the runtime."""
        found = []
        results: Any = node.args[0]
        for place, one in enumerate(results):
            value = self._resolved(one)
            if isinstance(value, States):
                continue
            if not isinstance(value, Traced):
                raise errors.cannot_convert(f"output {place}", "a result that does not depend on the input")
            found.append((one.name, value))
        kept = [(name, value) for name, value in found if not (value.is_state and self._has_states)] or found[:1]
        if not kept:
            advice = "a last state, as h_n[-1], may be an output"
            raise errors.cannot_convert(
                "the model", f"no output but states of layers, which the runtime returns ({advice})"
            )
        return [("output" if len(kept) == 1 else name, value) for name, value in kept]


@dataclass(frozen=True)
class Operation:
    """One operation: its place, and its arguments as values of the tracer, constants and numbers."""

    tracer: GraphTracer
    where: str
    name: str
    node: fx.Node
    args: Sequence[Any]
    kwargs: Mapping[str, Any]

    def argument(self, place: int, name: str, default: Any = None) -> Any:
        """An argument by place or name."""
        return self.args[place] if place < len(self.args) else self.kwargs.get(name, default)

    def value(self, place: int) -> Traced:
        """An argument that must be a value.

        Raises:
            ConversionError: it is something else.
        """
        value = self.args[place]
        if not isinstance(value, Traced):
            raise errors.cannot_convert(self.where, f"{self.name} of {_described(value)}")
        return value

    def refuse(self, what: str) -> Exception:
        """An error for this operation."""
        return errors.cannot_convert(self.where, f"{self.name} {what}")


def place_of(node: fx.Node) -> str:
    """The module that an operation belongs to, or its own name."""
    stack = list(node.meta.get("nn_module_stack", {}).values())
    path = str(stack[-1][0]) if stack else ""
    return path if path and _is_leaf(stack[-1][1]) else (f"{path}.{node.name}" if path else node.name)


def _is_leaf(kind: object) -> bool:
    return str(kind).startswith(("torch.nn.", "fastgru.")) or "torch.nn.modules" in str(kind)


def _name(node: fx.Node) -> str:
    if node.target is operator.getitem:
        return "getitem"
    parts = str(node.target).split(".")
    return ".".join(parts[:2])


def _is_seen_elsewhere(node: fx.Node) -> bool:
    """Whether what an operation changes in place is read later by way of another view of it."""
    base: Any = node.args[0]
    while _is_view(base):
        base = base.args[0]
    aliases, later = [base], set(node.graph.nodes) - set(_until(node))
    for one in aliases:
        aliases += [user for user in one.users if user is not node and _is_view(user)]
    return any(user in later for one in aliases for user in one.users)


def _until(node: fx.Node) -> list[fx.Node]:
    nodes = list(node.graph.nodes)
    return nodes[: nodes.index(node) + 1]


def _is_view(node: fx.Node) -> bool:
    if _name(node) == "getitem":
        return _name(node.args[0]) in _VIEWS  # type: ignore[arg-type]
    return _name(node) in _VIEWS - {"aten.clone", "aten._to_copy"}


def _described(value: object) -> str:
    if isinstance(value, States):
        return f"the state {value.source!r}" if value.source else "the state of a layer"
    if isinstance(value, Constant):
        return f"the constant {value.key!r}"
    return "zeros or an argument of recurrent layers" if isinstance(value, Zeros) else f"{value!r:.60}"


def _numbers(tensor: Tensor) -> Array:
    return np.ascontiguousarray(tensor.detach().cpu().numpy())


def _sizes(shape: Sequence[Any]) -> tuple[Size, ...]:
    return tuple(_size(size) for size in shape)


def _size(size: Any) -> Size:
    """A size of torch, a number or a product of symbols."""
    if isinstance(size, int):
        return Size(size)
    number, factors = size.node.expr.as_coeff_mul()
    return Size(int(number), tuple(sorted(map(str, factors))))


def _shape(op: Operation) -> tuple[Size, ...]:
    return _sizes(op.node.meta["val"].shape)


# ---- layers ----


def _linear(op: Operation) -> Traced:
    x = op.value(0)
    weight, bias = op.args[1], op.argument(2, "bias")
    if not isinstance(weight, Constant) or not (bias is None or isinstance(bias, Constant)):
        raise op.refuse("with weights that are computed")
    own_bias = None if bias is None else (bias.key, bias.array)
    return op.tracer.linear(op.where, x, (weight.key, weight.array), own_bias)


def _product(op: Operation) -> Traced:
    """X @ W, with a constant W of (in, out)."""
    x = op.value(0)
    weight = op.args[1]
    if not isinstance(weight, Constant) or weight.array.ndim != 2:
        raise op.refuse("of two values that are computed")
    return op.tracer.linear(op.where, x, (weight.key, np.ascontiguousarray(weight.array.T)), None)


def _addmm(op: Operation) -> Traced:
    x = op.value(1)
    bias, weight = op.args[0], op.args[2]
    if not isinstance(weight, Constant) or not isinstance(bias, Constant) or op.kwargs:
        raise op.refuse("with weights that are computed")
    return op.tracer.linear(
        op.where, x, (weight.key, np.ascontiguousarray(weight.array.T)), (bias.key, bias.array.reshape(-1))
    )


def _embedding(op: Operation) -> Traced:
    x = op.value(1)
    return op.tracer.embedding(op.where, x, (op.args[0].key, op.args[0].array))


def _layer_norm(op: Operation) -> Traced:
    x = op.value(0)
    if len(op.args[1]) != 1:
        raise op.refuse(f"over {len(op.args[1])} axes; expected the last one")
    weight, bias = op.argument(2, "weight"), op.argument(3, "bias")
    pair = [None if one is None else (one.key, one.array) for one in (weight, bias)]
    return op.tracer.layer_norm(op.where, x, op.argument(4, "eps", 1e-5), *pair)


def _gru(op: Operation) -> tuple[Traced, States, None]:
    x = op.value(0)
    state, reset_state, weights = op.args[1:4]
    layers, bidirectional, batch_first = op.args[6:9]
    learned = state if isinstance(state, Constant) else None
    is_start = state is None or isinstance(state, Zeros) or (isinstance(state, States) and state.cells is None)
    if learned is None and not is_start:
        raise op.refuse(f"that begins with {_described(state)}. Expected zeros, or an input of the model")
    if not (reset_state is None or (isinstance(reset_state, Constant) and isinstance(state, (Constant, States)))):
        raise op.refuse(f"with resets to {_described(reset_state)}")
    if any(not (one is None or isinstance(one, Zeros)) for one in op.args[4:6]):
        raise op.refuse("with lengths or resets that are computed. Expected inputs of the model, as they are")
    learned = learned or reset_state
    if not all(isinstance(weight, Constant) for weight in weights):
        raise op.refuse("with weights that are computed")
    hidden = weights[1].array.shape[1]
    bias = len(weights) == 4 * layers * (2 if bidirectional else 1)
    reset_after = bool(op.argument(11, "reset_after", True))
    spec = GRUSpec(weights[0].array.shape[1], hidden, layers, bias, bidirectional, reset_after)
    named = dict(zip(spec.parameter_names, weights, strict=True))
    if learned is not None:
        named["h_0"] = Constant(learned.key, _one_row(op, learned.array))
    layer = Recurrence(
        {**spec._asdict(), "learn_h0": learned is not None},
        {name: one.array for name, one in named.items()},
        {name: one.key for name, one in named.items()},
    )
    time, batch = (0, None) if len(x.axes) == 2 else ((1, 0) if batch_first else (0, 1))
    output, states = op.tracer.gru(op.where, x, layer, time, batch)
    return output, states, None


def _one_row(op: Operation, state: Array) -> Array:
    """A learned state (L*D, H) of one that may have been repeated for all rows."""
    rows = state if state.ndim == 2 else state[:, 0]
    if state.ndim == 3 and not np.array_equal(np.broadcast_to(state[:, :1], state.shape), state):
        raise op.refuse("that begins with different constants for the rows of a batch")
    return np.ascontiguousarray(rows)


# ---- functions ----


def _function(name: str, *attributes: tuple[str, Any]) -> Callable[[Operation], Any]:
    """A handler for a function of each number, with its arguments behind the first: name and default."""

    def handle(op: Operation) -> Traced:
        x = op.value(0)
        given = {key: op.argument(1 + place, key, default) for place, (key, default) in enumerate(attributes)}
        return op.tracer.function(op.where, name, x, **given)

    return handle


# The core's names of functions -> our operators, and what their two parameters are called.
_OURS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "sigmoid": ("Sigmoid", {}),
    "tanh": ("Tanh", {}),
    "exp": ("Exp", {}),
    "erf": ("Erf", {}),
    "gelu": ("GELU", {}),
    "gelu_tanh": ("GELU", {}),
    "silu": ("SiLU", {}),
    "elu": ("ELU", {"alpha": "a"}),
    "selu": ("SELU", {}),
    "softplus": ("Softplus", {"beta": "a", "threshold": "b"}),
    "hard_sigmoid": ("Hardsigmoid", {"alpha": "a", "beta": "b"}),
    "hard_swish": ("Hardswish", {}),
}


def _ours(op: Operation) -> Traced:
    """A function of fastgru.functional."""
    name, a, b = op.args[1:4]
    operator, renamed = _OURS[name]
    given: dict[str, Any] = {ours: {"a": a, "b": b}[theirs] for ours, theirs in renamed.items()}
    if name == "gelu_tanh":
        given["approximate"] = "tanh"
    return op.tracer.function(op.where, operator, op.value(0), **given)


def _our_softmax(op: Operation) -> Traced:
    return op.tracer.over_features(op.where, "LogSoftmax" if op.args[1] else "Softmax", op.value(0), -1)


def _our_layer_norm(op: Operation) -> tuple[Traced, None, None]:
    pair = [None if one is None else (one.key, one.array) for one in op.args[1:3]]
    return op.tracer.layer_norm(op.where, op.value(0), op.args[3], *pair), None, None


def _elu(op: Operation) -> Traced:
    x = op.value(0)
    if op.argument(2, "scale", 1) != 1 or op.argument(3, "input_scale", 1) != 1:
        raise op.refuse("with a scale")
    return op.tracer.function(op.where, "ELU", x, alpha=float(op.argument(1, "alpha", 1)))


def _clamp(op: Operation) -> Traced:
    x = op.value(0)
    limits = {"min": op.argument(1, "min"), "max": op.argument(2, "max")}
    return op.tracer.function(op.where, "Clamp", x, **{key: one for key, one in limits.items() if one is not None})


def _clamp_one(key: str) -> Callable[[Operation], Traced]:
    def handle(op: Operation) -> Traced:
        x = op.value(0)
        return op.tracer.function(op.where, "Clamp", x, **{key: op.args[1]})

    return handle


def _softmax(name: str) -> Callable[[Operation], Traced]:
    def handle(op: Operation) -> Traced:
        x = op.value(0)
        return op.tracer.over_features(op.where, name, x, op.args[1])

    return handle


def _hard_sigmoid(op: Operation) -> Traced:
    x = op.value(0)
    return op.tracer.function(op.where, "Hardsigmoid", x)


def _glu(op: Operation) -> Traced:
    x = op.value(0)
    axis = op.argument(1, "dim", -1)
    half = x.axes[axis].size.number // 2
    first, second = (op.tracer.features(op.where, x, axis, begin, begin + half) for begin in (0, half))
    return op.tracer.operation(op.where, "Multiply", first, op.tracer.function(op.where, "Sigmoid", second))


# ---- sums and products ----


def _operation(name: str, *, swap: bool = False) -> Callable[[Operation], Any]:
    def handle(op: Operation) -> Traced:
        left, right = (_operand(one) for one in op.args[:2])
        for option, usual in (("alpha", 1), ("rounding_mode", None)):
            if op.kwargs.get(option, usual) != usual:
                raise op.refuse(f"with {option}")
        if any(isinstance(one, (torch.SymInt, torch.SymFloat)) for one in op.args[:2]):
            raise op.refuse("with a number that depends on the sizes of the call")
        pair = (right, left) if swap else (left, right)
        for one in op.args[:2]:
            if isinstance(one, (States, Zeros)):
                raise op.refuse(f"of {_described(one)}")
        if not any(isinstance(one, Traced) for one in pair):
            raise op.refuse("of constants")
        return op.tracer.operation(op.where, name, *pair)

    return handle


def _operand(value: Any) -> Any:
    return value.array if isinstance(value, Constant) else value


def _square(op: Operation) -> Traced:
    x = op.value(0)
    if op.args[1] != 2:
        raise op.refuse(f"to the power {op.args[1]}")
    return op.tracer.operation(op.where, "Multiply", x, x)


def _batch_norm(op: Operation) -> Traced:
    """Statistics are fixed at inference, so it is a product and a sum."""
    x = op.value(0)
    weight, bias, mean, variance, training, _, eps = op.args[1:8]
    if training or len(x.axes) != 2:
        raise op.refuse("in training, or of more than two axes")
    scale = 1 / np.sqrt(variance.array.astype(np.float64) + eps)
    scale = scale if weight is None else scale * weight.array
    shift = -mean.array * scale + (0 if bias is None else bias.array)
    kind = variance.array.dtype
    scaled = op.tracer.operation(op.where, "Multiply", x, scale.astype(kind))
    return op.tracer.operation(f"{op.where}.shift", "Add", scaled, shift.astype(kind))


# ---- axes ----


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
        return Constant(value.key, value.array.astype(_numbers(torch.empty(0, dtype=kind)).dtype))
    if isinstance(value, Traced):
        is_rounded = kind in (torch.float16, torch.bfloat16) if kind.is_floating_point else not value.is_index
        if is_rounded or (value.is_index and kind.is_floating_point):
            raise op.refuse(
                f"to {kind}, which the runtime does not have for {'indices' if value.is_index else 'numbers'}"
            )
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
        return States(value.cells, tuple(value.axes[place] for place in order), value.source)
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
    if places is not None:
        places = [place for place in places if x.axes[place].size == Size(1)]
    return op.tracer.squeezed(op.where, x, places)


def _reshape(op: Operation) -> Any:
    if isinstance(op.args[0], Constant):
        return Constant(op.args[0].key, op.args[0].array.reshape(tuple(op.node.meta["val"].shape)))
    if isinstance(op.args[0], States):
        return _reshaped_state(op, op.args[0])
    return op.tracer.reshaped(op.where, op.value(0), _shape(op))


def _reshaped_state(op: Operation, states: States) -> Any:
    """States as they are, the only one, or all of them side by side."""
    old, new = tuple(axis.size for axis in states.axes), _shape(op)
    if states.cells is None or old == new:
        return states
    roles = [axis.role for axis in states.axes]
    if Role.CELLS in roles and len(new) == 2 and len(old) == 3:
        cells = [op.tracer.state(op.where, states, cell) for cell in range(len(states.cells))]
        rows = [size for size, role in zip(old, roles, strict=True) if role is not Role.CELLS]
        if len(cells) == 1 and list(new) == rows:
            return cells[0]
        if roles.index(Role.CELLS) == 1 and new == (old[0], Size(old[1].number * old[2].number)):
            return replace(op.tracer.concat(op.where, cells, -1), is_state=True)
    return _only_shown(op, states)


def _only_shown(op: Operation, states: States) -> States:
    """States in a form that nothing reads but whoever called the model."""
    return States((), tuple(Axis(size) for size in _shape(op)), states.source)


def _squeezed_states(op: Operation, states: States, places: Sequence[int] | None) -> Any:
    """States without axes of size 1: that of the only layer and direction, or of a batch that the model inserted."""
    axes = states.axes
    wanted = {place % len(axes) for place in (range(len(axes)) if places is None else places)}
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
    if not isinstance(op.args[0], Traced):
        return op.args[0]
    x = op.value(0)
    shape = _shape(op)
    grown = [axis.size != size for axis, size in zip(x.axes, shape[len(shape) - len(x.axes) :], strict=True)]
    if len(shape) != len(x.axes) or any(grown):
        raise op.refuse("of an axis, which repeats vectors. Add or multiply without it: axes of size 1 fit all others")
    return x


def _select(op: Operation) -> Any:
    value, axis, index = op.args[:3]
    if isinstance(value, States):
        return _selected_state(op, value, axis, index) if value.cells is not None else value
    x = op.value(0)
    size, role = x.axes[axis].size, x.axes[axis].role
    if size == Size(1) and index in (0, -1) and role is not Role.TIME:
        return op.tracer.squeezed(op.where, x, [axis])
    if role is Role.FEATURES:
        place = range(size.number)[index]
        return op.tracer.squeezed(op.where, op.tracer.features(op.where, x, axis, place, place + 1), [axis])
    if index != -1:
        raise op.refuse(f"of element {index}. Expected the last step (-1)")
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
    is_to_end = end is None or (end >= 2**62 if isinstance(end, int) else _size(end) == size)
    if is_to_end and isinstance(begin, int) and begin == 0:
        return x
    is_of_steps = bool(size.names) or role in (Role.TIME, Role.BATCH)
    if is_of_steps and is_to_end and isinstance(begin, int) and begin == -1:
        return op.tracer.unsqueezed(op.tracer.last_step(op.where, x, axis), axis)
    if is_of_steps:
        raise op.refuse("of steps or rows")
    limits = range(size.number)[begin:end]
    return op.tracer.features(op.where, x, axis, limits.start, limits.stop)


def _sliced_states(op: Operation, states: States, axis: int, part: slice) -> States:
    if states.cells is None:
        return states
    if states.axes[axis].role is not Role.CELLS:
        return states if _shape(op) == tuple(one.size for one in states.axes) else _only_shown(op, states)
    return _some_cells(states, axis, states.cells[part])


def _some_cells(states: States, axis: int, cells: tuple[str, ...]) -> States:
    axes = list(states.axes)
    axes[axis] = Axis(Size(len(cells)), Role.CELLS)
    return States(cells, tuple(axes), states.source)


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
    if all(isinstance(part, States) for part in parts):
        return _joined_states(op, parts, axis)
    wrong = [part for part in parts if not isinstance(part, Traced)]
    if wrong:
        raise op.refuse(f"of {_described(wrong[0])}")
    return op.tracer.concat(op.where, parts, axis)


def _joined_states(op: Operation, parts: Sequence[States], axis: int) -> States:
    if all(part.cells is None for part in parts):
        return parts[0]
    if any(part.cells is None or part.axes[axis].role is not Role.CELLS for part in parts):
        return _only_shown(op, parts[0])
    return _some_cells(parts[0], axis, tuple(name for part in parts for name in part.cells or ()))


def _stack(op: Operation) -> Any:
    """States of several layers as one output; they are handed on by the runtime."""
    parts = op.args[0]
    if op.argument(1, "dim", 0) != 0 or not all(isinstance(part, Traced) and part.is_state for part in parts):
        raise op.refuse("of values")
    return States(tuple(part.name for part in parts), (Axis(Size(len(parts)), Role.CELLS), *parts[0].axes))


def _zeros(op: Operation) -> Any:
    fill = op.args[1] if op.name in ("aten.full", "aten.full_like") else 0
    return Zeros() if fill == 0 else fill


_VIEWS = {
    "aten.permute", "aten.transpose", "aten.unsqueeze", "aten.squeeze", "aten.view", "aten.reshape", "aten.slice",
    "aten.select", "aten.to", "aten._to_copy", "aten.contiguous", "aten.clone", "aten.detach", "aten.alias", "aten.t",
    "aten.squeeze_", "aten.split", "aten.chunk", "aten.unbind", "getitem", "aten.expand", "aten.detach_",
}  # fmt: skip

_IN_PLACE = {"aten.relu_", "aten.add_"}

HANDLERS: Mapping[str, Callable[[Operation], Any]] = {
    "aten.linear": _linear,
    "aten.matmul": _product,
    "aten.mm": _product,
    "aten.addmm": _addmm,
    "aten.embedding": _embedding,
    "aten.layer_norm": _layer_norm,
    "aten.batch_norm": _batch_norm,
    "fastgru.forward": _gru,
    "fastgru.linear": _linear,
    "fastgru.activate": _ours,
    "fastgru.softmax": _our_softmax,
    "fastgru.layer_norm": _our_layer_norm,
    "aten.relu": _function("ReLU"),
    "aten.relu_": _function("ReLU"),
    "aten.leaky_relu": _function("LeakyReLU", ("negative_slope", 0.01)),
    "aten.elu": _elu,
    "aten.selu": _function("SELU"),
    "aten.gelu": _function("GELU", ("approximate", "none")),
    "aten.silu": _function("SiLU"),
    "aten.sigmoid": _function("Sigmoid"),
    "aten.tanh": _function("Tanh"),
    "aten.softplus": _function("Softplus", ("beta", 1.0), ("threshold", 20.0)),
    "aten.softsign": _function("Softsign"),
    "aten.hardsigmoid": _hard_sigmoid,
    "aten.hardswish": _function("Hardswish"),
    "aten.hardtanh": _function("Clamp", ("min", -1.0), ("max", 1.0)),
    "aten.relu6": lambda op: op.tracer.function(op.where, "Clamp", op.value(0), min=0.0, max=6.0),
    "aten.clamp": _clamp,
    "aten.clip": _clamp,
    "aten.clamp_min": _clamp_one("min"),
    "aten.clamp_max": _clamp_one("max"),
    "aten.exp": _function("Exp"),
    "aten.log": _function("Log"),
    "aten.sqrt": _function("Sqrt"),
    "aten.abs": _function("Abs"),
    "aten.erf": _function("Erf"),
    "aten.neg": _function("Neg"),
    "aten.pow": _square,
    "aten.square": lambda op: op.tracer.operation(op.where, "Multiply", op.value(0), op.value(0)),
    "aten.softmax": _softmax("Softmax"),
    "aten._softmax": _softmax("Softmax"),
    "aten.log_softmax": _softmax("LogSoftmax"),
    "aten._log_softmax": _softmax("LogSoftmax"),
    "aten.glu": _glu,
    "aten.add": _operation("Add"),
    "aten.add_": _operation("Add"),
    "aten.sub": _operation("Subtract"),
    "aten.rsub": _operation("Subtract", swap=True),
    "aten.mul": _operation("Multiply"),
    "aten.div": _operation("Divide"),
    "aten.cat": _cat,
    "aten.concat": _cat,
    "aten.stack": _stack,
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
