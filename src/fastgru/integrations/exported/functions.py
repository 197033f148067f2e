"""Functions, sums and products in exported programs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fastgru.graph.traced import States, Traced
from fastgru.integrations.exported.advice import NUMBERS
from fastgru.integrations.exported.operation import (
    Constant,
    Operation,
    Zeros,
    described,
)


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


def _operation(name: str, *, swap: bool = False) -> Callable[[Operation], Any]:
    def handle(op: Operation) -> Traced:
        left, right = (_operand(one) for one in op.args[:2])
        for option, usual in (("alpha", 1), ("rounding_mode", None)):
            if op.kwargs.get(option, usual) != usual:
                raise op.refuse(f"with {option}")
        pair = (right, left) if swap else (left, right)
        for one in op.args[:2]:
            if isinstance(one, (States, Zeros)):
                raise op.refuse(f"of {described(one)}")
        if not any(isinstance(one, Traced) for one in pair):
            raise op.refuse("of constants")
        if any(isinstance(one, Traced) and one.is_index for one in pair):
            raise op.refuse("of integers or booleans", NUMBERS)
        return op.tracer.operation(op.where, name, *pair)

    return handle


def _operand(value: Any) -> Any:
    return value.array if isinstance(value, Constant) else value


def _square(op: Operation) -> Traced:
    x = op.value(0)
    if op.args[1] != 2:
        raise op.refuse(f"to the power {op.args[1]}")
    return op.tracer.operation(op.where, "Multiply", x, x)


FUNCTIONS: Mapping[str, Callable[[Operation], Any]] = {
    "fastgru.activate": _ours,
    "fastgru.softmax": _our_softmax,
    "aten.relu": _function("ReLU"),
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
    "aten.sub": _operation("Subtract"),
    "aten.rsub": _operation("Subtract", swap=True),
    "aten.mul": _operation("Multiply"),
    "aten.div": _operation("Divide"),
}
