"""Functions of one value on the core: those of torch whose bits depend on the processor, each with its slope.

What torch computes by single correctly rounded operations has the same bits everywhere already: relu, leaky_relu,
hardtanh, softsign, threshold and the like.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as torchs

from fastgru import dispatch
from fastgru.call.memory import PLAIN
from fastgru.recording import profiler
from fastgru.rows import core_rows, routes
from fastgru.rows.recording import recorded
from fastgru.rows.routes import Route

_SELU_SCALE, _SELU_ALPHA = 1.0507009873554804934, 1.6732632423543772848
_GELU_SCALE, _GELU_CUBE = math.sqrt(2 / math.pi), 0.044715


class Curve(NamedTuple):
    """A function with two parameters a and b, which most leave alone.

    Attributes:
        torchs: the same function of torch, of the value and the parameters.
        slope: its derivative, of the value, the result and the parameters; of single operations and of functions here,
            so that it has the same bits everywhere too, and autograd can follow it.
        uses: which of value ("x") and result ("y") the slope reads.
    """

    torchs: Callable[[Tensor, float, float], Tensor]
    slope: Callable[[Tensor, Tensor, float, float], Tensor]
    uses: str


def apply(name: str, input: Tensor, a: float = 0.0, b: float = 0.0) -> Tensor:
    """The function of this name in `CURVES`, value by value."""
    is_quick = dispatch.is_unwatched() and not profiler._is_profiler_enabled and type(input) in PLAIN
    route = Route.CORE if is_quick and _is_plain(input) else routes.of(input)
    if route is Route.CORE:
        run = _Activate.apply if torch.is_grad_enabled() and input.requires_grad else core_rows.activate
        return recorded(f"fastgru::{name}", run, input, name, a, b)  # type: ignore[no-any-return]
    if route is Route.TORCH:
        return CURVES[name].torchs(input, a, b)
    if route is Route.FUNCTION:
        return _Activate.apply(input, name, a, b)  # type: ignore[no-any-return, no-untyped-call]
    return torch.ops.fastgru.activate(input, name, a, b)  # type: ignore[no-any-return]


def _is_plain(input: Tensor) -> bool:
    return (
        input.dtype in routes.DTYPES
        and input.is_cpu
        and input.layout is torch.strided
        and not input.is_nested
        and torch._C._has_storage(input)
    )


class _Activate(torch.autograd.Function):
    @staticmethod
    def forward(input: Tensor, name: str, a: float, b: float) -> Tensor:
        if routes.of(input) is Route.OPERATOR:
            return torch.ops.fastgru.activate(input, name, a, b)  # type: ignore[no-any-return]
        return core_rows.activate(input, name, a, b)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        keep(ctx, inputs, output)
        ctx.save_for_forward(*_kept(ctx.curve, inputs[0], output))

    @staticmethod
    def backward(ctx: Any, d_output: Tensor) -> tuple[Tensor | None, ...]:
        return backward(ctx, d_output)

    @staticmethod
    def jvp(ctx: Any, d_input: Tensor, *_: None) -> Tensor:
        return d_input * _slope(ctx)

    @staticmethod
    def vmap(info: Any, in_dims: Sequence[Any], input: Tensor, *options: Any) -> tuple[Tensor, Any]:
        name, a, b = options
        return apply(name, input, a, b), in_dims[0]


def _kept(curve: Curve, input: Tensor, output: Tensor) -> list[Tensor]:
    return [tensor for letter, tensor in zip("xy", (input, output), strict=True) if letter in curve.uses]


def keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    """Saves what the slope reads."""
    input, name, *ctx.parameters = inputs
    ctx.curve = CURVES[name]
    ctx.save_for_backward(*_kept(ctx.curve, input, output))


def _slope(ctx: Any) -> Tensor:
    saved = routes.saved(ctx)
    input, output = (saved[ctx.curve.uses.index(letter)] if letter in ctx.curve.uses else None for letter in "xy")
    return ctx.curve.slope(input, output, *ctx.parameters)  # type: ignore[no-any-return]


def backward(ctx: Any, d_output: Tensor) -> tuple[Tensor | None, ...]:
    """The gradients of the arguments."""
    return d_output * _slope(ctx), None, None, None


# ---- slopes


def _slope_of_gelu(x: Tensor, y: Tensor, a: float, b: float) -> Tensor:
    below = (apply("erf", x * math.sqrt(0.5)) + 1) * 0.5
    return below + x * apply("exp", x * x * -0.5) * (1 / math.sqrt(2 * math.pi))


def _slope_of_gelu_tanh(x: Tensor, y: Tensor, a: float, b: float) -> Tensor:
    square = x * x
    t = apply("tanh", x * (square * _GELU_CUBE + 1) * _GELU_SCALE)
    inner = (square * (3 * _GELU_CUBE) + 1) * _GELU_SCALE
    return ((t + 1) + x * (1 - t * t) * inner) * 0.5


def _slope_of_silu(x: Tensor, y: Tensor, a: float, b: float) -> Tensor:
    s = apply("sigmoid", x)
    return s * (x * (1 - s) + 1)


def _slope_of_elu(x: Tensor, y: Tensor, a: float, b: float) -> Tensor:
    return torch.where(x > 0, torch.ones_like(x), apply("exp", x.clamp(max=0)) * a)


def _slope_of_softplus(x: Tensor, y: Tensor, a: float, b: float) -> Tensor:
    return torch.where(x * a > b, torch.ones_like(x), apply("sigmoid", x * a))


def _slope_of_hard_swish(x: Tensor, y: Tensor, a: float, b: float) -> Tensor:
    inner = torch.where(x < -3, torch.zeros_like(x), x * (1 / 3) + 0.5)
    return torch.where(x > 3, torch.ones_like(x), inner)


CURVES = {
    "sigmoid": Curve(lambda x, a, b: torch.sigmoid(x), lambda x, y, a, b: y * (1 - y), "y"),
    "tanh": Curve(lambda x, a, b: torch.tanh(x), lambda x, y, a, b: 1 - y * y, "y"),
    "exp": Curve(lambda x, a, b: torch.exp(x), lambda x, y, a, b: y, "y"),
    "erf": Curve(lambda x, a, b: torch.erf(x), lambda x, y, a, b: apply("exp", -x * x) * (2 / math.sqrt(math.pi)), "x"),
    "gelu": Curve(lambda x, a, b: torchs.gelu(x), _slope_of_gelu, "x"),
    "gelu_tanh": Curve(lambda x, a, b: torchs.gelu(x, approximate="tanh"), _slope_of_gelu_tanh, "x"),
    "silu": Curve(lambda x, a, b: torchs.silu(x), _slope_of_silu, "x"),
    "elu": Curve(lambda x, a, b: torchs.elu(x, a), _slope_of_elu, "x"),
    "selu": Curve(
        lambda x, a, b: torchs.selu(x),
        lambda x, y, a, b: _slope_of_elu(x, y, _SELU_ALPHA, b) * _SELU_SCALE,
        "x",
    ),
    "softplus": Curve(lambda x, a, b: torchs.softplus(x, a, b), _slope_of_softplus, "x"),
    "hard_sigmoid": Curve(
        lambda x, a, b: torchs.hardsigmoid(x),
        lambda x, y, a, b: torch.where((x > -3) & (x < 3), torch.full_like(x, a), torch.zeros_like(x)),
        "x",
    ),
    "hard_swish": Curve(lambda x, a, b: torchs.hardswish(x), _slope_of_hard_swish, "x"),
}


# ---- by the names of torch


def sigmoid(input: Tensor) -> Tensor:
    """1 / (1 + exp(-x)), as `torch.sigmoid`; like all functions here with the same bits on every processor.

    Example:
        >>> import torch, fastgru
        >>> fastgru.functional.sigmoid(torch.zeros(2))
        tensor([0.5000, 0.5000])
    """
    return apply("sigmoid", input)


def tanh(input: Tensor) -> Tensor:
    """The hyperbolic tangent, as `torch.tanh`.

    Example:
        >>> import torch, fastgru
        >>> fastgru.functional.tanh(torch.zeros(2))
        tensor([0., 0.])
    """
    return apply("tanh", input)


def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """The value times the normal distribution function, x / 2 (1 + erf(x / sqrt 2)); as `torch.nn.functional.gelu`.

    With approximate="tanh" x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))).

    Raises:
        RuntimeError: `approximate` is neither, from torch.

    Example:
        >>> import torch, fastgru
        >>> fastgru.functional.gelu(torch.tensor([0.0, 1.0]))
        tensor([0.0000, 0.8413])
    """
    if approximate not in ("none", "tanh"):
        return torchs.gelu(input, approximate=approximate)
    return apply("gelu" if approximate == "none" else "gelu_tanh", input)


def silu(input: Tensor) -> Tensor:
    """The value times its sigmoid, as `torch.nn.functional.silu`.

    Example:
        >>> import torch, fastgru
        >>> fastgru.functional.silu(torch.tensor([0.0, 1.0]))
        tensor([0.0000, 0.7311])
    """
    return apply("silu", input)


def elu(input: Tensor, alpha: float = 1.0) -> Tensor:
    """The value x for x > 0, else alpha (exp(x) - 1); as `torch.nn.functional.elu`.

    Example:
        >>> import torch, fastgru
        >>> fastgru.functional.elu(torch.tensor([2.0, -1.0]))
        tensor([ 2.0000, -0.6321])
    """
    return apply("elu", input, float(alpha))


def selu(input: Tensor) -> Tensor:
    """1.0507 (x for x > 0, else 1.6733 (exp(x) - 1)), as `torch.nn.functional.selu`.

    Example:
        >>> import torch, fastgru
        >>> fastgru.functional.selu(torch.tensor([1.0]))
        tensor([1.0507])
    """
    return apply("selu", input)


def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """log(1 + exp(beta x)) / beta, and x where beta x is above the threshold; as `torch.nn.functional.softplus`.

    Example:
        >>> import torch, fastgru
        >>> fastgru.functional.softplus(torch.zeros(1))
        tensor([0.6931])
    """
    return apply("softplus", input, float(beta), float(threshold))


def hardsigmoid(input: Tensor) -> Tensor:
    """The line x / 6 + 1/2, between 0 and 1; as `torch.nn.functional.hardsigmoid`.

    Example:
        >>> import torch, fastgru
        >>> fastgru.functional.hardsigmoid(torch.tensor([0.0, 9.0]))
        tensor([0.5000, 1.0000])
    """
    return apply("hard_sigmoid", input, 1 / 6, 0.5)


def hardswish(input: Tensor) -> Tensor:
    """The value times its `hardsigmoid`, as `torch.nn.functional.hardswish`.

    Example:
        >>> import torch, fastgru
        >>> fastgru.functional.hardswish(torch.tensor([0.0, 9.0]))
        tensor([0., 9.])
    """
    return apply("hard_swish", input)
