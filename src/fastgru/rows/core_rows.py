"""Row-wise operations by the core, on tensors that nobody follows and whose sizes were checked.

The core reads tensors as they are where it can. Else it is given dense matrices of the same values.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from fastgru import _core, errors
from fastgru.backends.base import not_compiled
from fastgru.call import memory

_threads = torch.get_num_threads


@not_compiled
def linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """The sums x . weight^T + bias: (..., K), (N, K) and (N) to (..., N)."""
    result = _core.linear(x, weight, bias, None, _threads())
    if result is not None:
        return result  # type: ignore[no-any-return]
    output = x.new_empty(*x.shape[:-1], weight.shape[0])
    own_bias = None if bias is None else memory.dense("bias", bias)
    own = _matrix("input", x), memory.dense("weight", weight), own_bias, _matrix("output", output)
    _must(_core.linear(*own, _threads()))
    return output


@not_compiled
def linear_gradients(
    d_output: Tensor, x: Tensor, weight: Tensor, wanted: Sequence[bool]
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """The gradients of input, weight and bias; None where not wanted."""
    found = _core.linear_gradients(d_output, x, weight, wanted[0], wanted[1], wanted[2], _threads())
    if found is not None:
        return found
    d_x = x.new_empty(x.shape) if wanted[0] else None
    d_weight, d_bias = [
        weight.new_empty(shape) if is_wanted else None
        for shape, is_wanted in zip((weight.shape, weight.shape[:1]), wanted[1:], strict=True)
    ]
    own = _matrix("gradient", d_output), _matrix("input", x), memory.dense("weight", weight)
    to = [None if d_x is None else _matrix("gradient of input", d_x), d_weight, d_bias]
    results = [False if result is None else result for result in to]
    _must(_core.linear_gradients(*own, results[0], results[1], results[2], _threads()))
    return d_x, d_weight, d_bias


@not_compiled
def activate(x: Tensor, function: str, a: float, b: float) -> Tensor:
    """A function of each value, by the core's name for it."""
    return _in_the_shape_of(x, lambda x, out: _core.activate(x, function, a, b, out, _threads()))


@not_compiled
def softmax(x: Tensor, is_log: bool) -> Tensor:
    """Softmax over the last dimension, or its logarithm."""
    return _in_the_shape_of(x, lambda x, out: _core.softmax(x, is_log, out, _threads()))


@not_compiled
def layer_norm(x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """The normalized vectors of the last dimension, and (..., 1) their means and what they were scaled by."""
    found = _core.layer_norm(x, weight, bias, eps, None, True, True, _threads())
    if found is not None:
        return found
    output, *statistics = x.new_empty(x.shape), x.new_empty(*x.shape[:-1], 1), x.new_empty(*x.shape[:-1], 1)
    own = [None if t is None else memory.dense(name, t) for name, t in (("weight", weight), ("bias", bias))]
    out, mean, scale = [_matrix("result", t) for t in (output, *statistics)]
    _must(_core.layer_norm(_matrix("input", x), own[0], own[1], eps, out, mean, scale, _threads()))
    return output, statistics[0], statistics[1]


def _in_the_shape_of(x: Tensor, run: Callable[[Any, Any], Any]) -> Tensor:
    result = run(x, None)
    if result is not None:
        return result  # type: ignore[no-any-return]
    output = x.new_empty(x.shape)
    _must(run(_matrix("input", x), _matrix("output", output)))
    return output


def _matrix(name: str, tensor: Tensor) -> Tensor:
    """The same values as rows without gaps; of a result, the result itself."""
    own = memory.dense(name, tensor)
    width = own.shape[-1] if own.dim() > 0 else 1
    return own.view(own.shape[:-1].numel(), width)


def _must(result: Any) -> None:
    """Raises where the core cannot read matrices that were made for it."""
    if result is None:
        raise errors.changed_during_call()
