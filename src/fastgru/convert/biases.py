"""Biases of frameworks that store fewer than torch.

For r and z only the sum of the two biases matters, for n as well where the reset gate acts before the product. A sum
with zero is taken as it is, so what was read from such a framework is written to the bit.
"""

from __future__ import annotations

import numpy as np

from fastgru.convert.layout import Array, Cell
from fastgru.errors import ArgumentError


def merged(cell: Cell) -> Array:
    """The (3H,) sums of both biases, for a reset gate that acts before the product; zeros for a cell without biases.

    Raises:
        ArgumentError: a sum of finite numbers overflows.

    Example:
        >>> import numpy as np
        >>> from fastgru.convert.biases import merged
        >>> from fastgru.convert.layout import Cell
        >>> cell = Cell(np.ones((3, 1)), np.ones((3, 1)), np.array([1.0, 2, 3]), np.array([0.5, 0, 1]))
        >>> merged(cell).tolist()
        [1.5, 2.0, 4.0]
    """
    a, b = both(cell)
    with np.errstate(over="ignore", invalid="ignore"):
        total = np.where(b == 0, a, np.where(a == 0, b, a + b))
    if np.any(np.isinf(total) & np.isfinite(a) & np.isfinite(b)):
        raise ArgumentError(
            f"bias_ih{cell.suffix} + bias_hh{cell.suffix} overflows {a.dtype}. This framework stores only their sum. "
            "Convert the parameters to a larger dtype first."
        )
    return total


def merged_apart(cell: Cell) -> tuple[Array, Array]:
    """The biases for a reset gate after the product: the (3H,) sums for r and z with b_n, and the (H,) hidden c_n."""
    a, b = both(cell)
    gates = 2 * len(a) // 3
    sums = merged(cell._replace(bias_ih=a[:gates], bias_hh=b[:gates]))
    return np.concatenate([sums, a[gates:]]), b[gates:].copy()


def apart(bias: Array, hidden_n: Array) -> tuple[Array, Array]:
    """Torch's bias_ih and bias_hh of what `merged_apart` gives: the sums become bias_ih."""
    return bias.copy(), np.concatenate([np.zeros(2 * len(hidden_n), bias.dtype), hidden_n])


def single(bias: Array) -> tuple[Array, Array]:
    """Torch's bias_ih and bias_hh of what `merged` gives."""
    return bias.copy(), np.zeros_like(bias)


def both(cell: Cell) -> tuple[Array, Array]:
    """Torch's two biases; zeros for a cell without biases."""
    zeros = np.zeros(len(cell.weight_ih), cell.weight_ih.dtype)
    return zeros if cell.bias_ih is None else cell.bias_ih, zeros if cell.bias_hh is None else cell.bias_hh
