"""Flax's `flax.nnx.GRUCell`, alone, in `RNN` and in `Bidirectional`.

Source: flax.nnx.nn.recurrent of Flax 0.12. Gates in the order r, z, n, z keeps the old state. Kernels are transposed.
The layer of the state has no bias, so there is no place for the bias of n inside the product with r.
"""

from __future__ import annotations

import numpy as np

from fastgru.convert.biases import merged_apart, single
from fastgru.convert.layout import Arrays, Cell, Framework, Layout
from fastgru.errors import ArgumentError

_SHAPES = {"dense_i/kernel": "I 3H", "dense_h/kernel": "H 3H", "dense_i/bias": "3H"}


def read(arrays: Arrays, reset_after: bool) -> Cell:
    """The cell of dense_i/kernel (I, 3H), dense_h/kernel (H, 3H) and dense_i/bias (3H,)."""
    weights = (arrays["dense_i/kernel"].T.copy(), arrays["dense_h/kernel"].T.copy())
    return Cell(*weights, *single(arrays["dense_i/bias"]))


def write(cell: Cell, reset_after: bool) -> Arrays:
    """The arrays of a cell whose bias_hh is zero for n; zeros for biases that it does not have.

    Raises:
        ArgumentError: a bias_hh that is not zero for n.
    """
    bias, hidden_n = merged_apart(cell)
    if np.any(hidden_n != 0):
        raise ArgumentError(
            f"the rows of n of bias_hh{cell.suffix} are not zero, and flax.nnx.GRUCell has no parameter for them. "
            'Write to "flax_linen", whose cell has one (hn/bias), or train the layer with these rows fixed to zero.'
        )
    return {
        "dense_i/kernel": cell.weight_ih.T.copy(),
        "dense_h/kernel": cell.weight_hh.T.copy(),
        "dense_i/bias": bias,
    }


FLAX_NNX = Framework("Flax nnx", (Layout(_SHAPES, True),), read, write)
