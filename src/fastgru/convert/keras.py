"""Keras' GRU layer and GRUCell, both with `reset_after=True` and `False`.

Source: keras.layers.GRU of Keras 3. Gates in the order z, r, h (n), z keeps the old state. Matrices are transposed.
"""

from __future__ import annotations

import numpy as np

from fastgru.convert.biases import both, merged, single
from fastgru.convert.gate_order import reorder_gates
from fastgru.convert.layout import Arrays, Cell, Framework, Layout

_WEIGHTS = {"kernel": "I 3H", "recurrent_kernel": "H 3H"}


def read(arrays: Arrays, reset_after: bool) -> Cell:
    """The cell of kernel (I, 3H), recurrent_kernel (H, 3H) and bias: (2, 3H), or (3H,) if the reset gate is before.

    Example:
        >>> import numpy as np
        >>> from fastgru.convert import keras
        >>> keras.read({"kernel": np.array([[1, 2, 3]]), "recurrent_kernel": np.ones((1, 3))}, True).weight_ih.ravel()
        array([2, 1, 3])
    """
    weights = [reorder_gates(arrays[name].T, "zrn", "rzn") for name in _WEIGHTS]
    if "bias" not in arrays:
        return Cell(weights[0], weights[1], None, None)
    pair = arrays["bias"] if reset_after else single(arrays["bias"])
    return Cell(weights[0], weights[1], *(reorder_gates(bias, "zrn", "rzn") for bias in pair))


def write(cell: Cell, reset_after: bool) -> Arrays:
    """The arrays of a cell; without the reset gate after the product both biases are merged."""
    weights = [reorder_gates(weight, "rzn", "zrn").T.copy() for weight in (cell.weight_ih, cell.weight_hh)]
    arrays = dict(zip(_WEIGHTS, weights, strict=True))
    if cell.bias_ih is not None:
        rows = both(cell) if reset_after else (merged(cell),)
        stacked = np.stack([reorder_gates(bias, "rzn", "zrn") for bias in rows])
        arrays["bias"] = stacked if reset_after else stacked[0]
    return arrays


KERAS = Framework(
    "Keras",
    (
        Layout({**_WEIGHTS, "bias": "2 3H"}, True, True),
        Layout({**_WEIGHTS, "bias": "3H"}, True, False),
        Layout(_WEIGHTS, False, None),
    ),
    read,
    write,
)
