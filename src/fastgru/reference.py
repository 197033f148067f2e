"""The equations of the GRU. Everything else is tested against this file in float64.

They use a small set of array operations. With those of torch, autograd can differentiate them to any order and under
any transform; with those of NumPy they do not need torch. They are not meant to be fast.

Sources: the documentation of torch.nn.GRU, whose reset gate acts after the product; Cho et al. 2014, arXiv 1406.1078v3,
equation 8, whose reset gate acts before it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from fastgru.spec import GRUSpec

Array = Any  # numpy.ndarray or torch.Tensor


class Operations(Protocol):
    """The operations of an array library that the equations use."""

    def sigmoid(self, a: Array) -> Array:
        """1 / (1 + exp(-a))."""

    def tanh(self, a: Array) -> Array:
        """Hyperbolic tangent."""

    def split(self, a: Array, parts: int) -> Sequence[Array]:
        """Equal parts of the last dimension."""

    def concat(self, arrays: Sequence[Array], axis: int) -> Array:
        """Arrays one behind the other along `axis`."""

    def stack(self, arrays: Sequence[Array]) -> Array:
        """Arrays along a new first dimension."""

    def zeros(self, like: Array, shape: tuple[int, ...]) -> Array:
        """Zeros of the type and device of `like`."""

    def where(self, condition: Array, a: Array, b: Array) -> Array:
        """Elements of `a` where `condition` holds, else of `b`."""


class NumPyOperations:
    """The operations on NumPy arrays."""

    @staticmethod
    def sigmoid(a: Array) -> Array:
        """1 / (1 + exp(-a)), without overflow."""
        e = np.exp(-np.abs(a))
        return np.where(a >= 0, 1 / (1 + e), e / (1 + e)).astype(a.dtype)

    @staticmethod
    def tanh(a: Array) -> Array:
        """Hyperbolic tangent."""
        return np.tanh(a)

    @staticmethod
    def split(a: Array, parts: int) -> Sequence[Array]:
        """Equal parts of the last dimension."""
        return np.split(a, parts, axis=-1)

    @staticmethod
    def concat(arrays: Sequence[Array], axis: int) -> Array:
        """Arrays one behind the other along `axis`."""
        return np.concatenate(arrays, axis=axis)

    @staticmethod
    def stack(arrays: Sequence[Array]) -> Array:
        """Arrays along a new first dimension."""
        return np.stack(arrays)

    @staticmethod
    def zeros(like: Array, shape: tuple[int, ...]) -> Array:
        """Zeros of the type of `like`."""
        return np.zeros(shape, dtype=like.dtype)

    @staticmethod
    def where(condition: Array, a: Array, b: Array) -> Array:
        """Elements of `a` where `condition` holds, else of `b`."""
        return np.where(condition, a, b)


def step(op: Operations, a: Array, h: Array, project: Callable[[Array], Array], *, reset_after: bool = True) -> Array:
    """One step of a GRU.

    Args:
        op: the array operations.
        a: x W_ih^T + b_ih, (B, 3H), rows r, z, n.
        h: the state before, (B, H).
        project: h -> h W_hh^T + b_hh, (B, H) -> (B, 3H).
        reset_after: whether the reset gate acts after the product with the rows n of W_hh, on W_hn h + b_hn, as in
            torch; otherwise before it, on h: then only the sum of b_in and b_hn matters.

    Returns:
        The state after, (B, H).

    Example:
        >>> import numpy as np
        >>> from fastgru import reference
        >>> a, h, weight = np.zeros((1, 6)), np.ones((1, 2)), np.eye(6, 2)
        >>> reference.step(reference.NumPyOperations(), a, h, lambda h: h @ weight.T, reset_after=False).tolist()
        [[0.5, 0.5]]
    """
    a_r, a_z, a_n = op.split(a, 3)
    c_r, c_z, c_n = op.split(project(h), 3)
    r = op.sigmoid(a_r + c_r)
    z = op.sigmoid(a_z + c_z)
    if reset_after:
        n = op.tanh(a_n + r * c_n)
    else:
        _, _, c_n = op.split(project(r * h), 3)
        n = op.tanh(a_n + c_n)
    return (1 - z) * n + z * h


def run(
    op: Operations,
    spec: GRUSpec,
    x: Array,
    h_0: Array | None,
    weights: Sequence[Array],
    lengths: Array | None = None,
    reset: Array | None = None,
    reset_state: Array | None = None,
) -> tuple[Array, Array]:
    """Computes a stacked, bidirectional GRU.

    After the end of a sequence its state is kept and its outputs are zero; the second direction starts at the end.
    Before a step that `reset` marks, the state is set to `reset_state`, as if a new sequence started there; for the
    second direction, which runs backwards, as if a sequence ended there.

    Args:
        op: the array operations of the library of the arrays.
        spec: sizes and options.
        x: (T, B, I).
        h_0: (L*D, B, H); None for zeros.
        weights: in the order of `spec.parameter_names`.
        lengths: (B,) integers from 0 to T; None: all are T.
        reset: (T, B) booleans.
        reset_state: (L*D, H) or (L*D, B, H); None for zeros.

    Returns:
        output (T, B, D*H) and h_n (L*D, B, H).

    Example:
        >>> import numpy as np
        >>> from fastgru import GRUSpec, reference
        >>> spec = GRUSpec(2, 3)
        >>> weights = [np.zeros(shape) for shape in spec.parameter_shapes]
        >>> output, h_n = reference.run(reference.NumPyOperations(), spec, np.ones((4, 5, 2)), None, weights)
        >>> output.shape, h_n.shape
        ((4, 5, 3), (1, 5, 3))
    """
    times, zeros = range(x.shape[0]), op.zeros(x, (x.shape[1], spec.hidden_size))
    alive = None if lengths is None else [(lengths > t)[:, None] for t in times]
    marks = None if reset is None else [reset[t][:, None] for t in times]
    if alive is not None and marks is not None:
        marks = [mark & is_alive for mark, is_alive in zip(marks, alive, strict=True)]
    # Padding may have any values, such as NaN, so it must not even enter the products.
    steps = [x[t] if alive is None else op.where(alive[t], x[t], op.zeros(x, (1, 1))) for t in times]
    per_cell = 4 if spec.bias else 2
    h_n: list[Array] = []
    for _ in range(spec.num_layers):
        directions = []
        for direction in range(spec.num_directions):
            cell = len(h_n)
            start = zeros if h_0 is None else h_0[cell]
            anew = zeros if reset_state is None else reset_state[cell]
            own = weights[cell * per_cell : (cell + 1) * per_cell]
            states, last = _run_direction(op, spec, steps, start, own, alive, marks, anew, direction == 1)
            directions.append(states)
            h_n.append(last)
        steps = [op.concat(both, axis=-1) for both in zip(*directions, strict=True)]
    return op.stack(steps), op.stack(h_n)


def _run_direction(
    op: Operations,
    spec: GRUSpec,
    steps: Sequence[Array],
    h: Array,
    weights: Sequence[Array],
    alive: Sequence[Array] | None,
    marks: Sequence[Array] | None,
    anew: Array,
    is_reverse: bool,
) -> tuple[list[Array], Array]:
    """The outputs of every step, and the final states (B, H)."""
    weight_ih, weight_hh = weights[:2]
    bias_ih, bias_hh = weights[2:] if len(weights) == 4 else (0, 0)
    times = range(len(steps))
    outputs: list[Array] = [None] * len(steps)
    for t in reversed(times) if is_reverse else times:
        border = t + 1 if is_reverse else t
        if marks is not None and border < len(steps):
            h = op.where(marks[border], anew, h)
        a = steps[t] @ weight_ih.T + bias_ih
        next_h = step(op, a, h, lambda state: state @ weight_hh.T + bias_hh, reset_after=spec.reset_after)
        h = next_h if alive is None else op.where(alive[t], next_h, h)
        outputs[t] = h if alive is None else op.where(alive[t], h, op.zeros(h, (1, 1)))
    return outputs, h
