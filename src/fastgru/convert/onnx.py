"""The inputs W, R and B of an ONNX GRU node, for both values of `linear_before_reset`.

Source: the operator GRU of ONNX, opset 7 to 22. Gates in the order z, r, h (n), z keeps the old state. The first
dimension of each array counts directions.
"""

from __future__ import annotations

import numpy as np

from fastgru.convert.biases import both
from fastgru.convert.gate_order import reorder_gates
from fastgru.convert.layout import Arrays, Cell, Framework, Layout

_WEIGHTS = {"W": "3H I", "R": "3H H"}


def read(arrays: Arrays, reset_after: bool) -> Cell:
    """The cell of W (3H, I), R (3H, H) and B (6H,) of one direction."""
    weights = [reorder_gates(arrays[name], "zrn", "rzn") for name in _WEIGHTS]
    if "B" not in arrays:
        return Cell(weights[0], weights[1], None, None)
    return Cell(weights[0], weights[1], *(reorder_gates(half, "zrn", "rzn") for half in np.split(arrays["B"], 2)))


def write(cell: Cell, reset_after: bool) -> Arrays:
    """The arrays of one direction."""
    arrays = {"W": reorder_gates(cell.weight_ih, "rzn", "zrn"), "R": reorder_gates(cell.weight_hh, "rzn", "zrn")}
    if cell.bias_ih is not None:
        arrays["B"] = np.concatenate([reorder_gates(bias, "rzn", "zrn") for bias in both(cell)])
    return arrays


ONNX = Framework(
    "ONNX",
    (Layout({**_WEIGHTS, "B": "6H"}, True, None), Layout(_WEIGHTS, False, None)),
    read,
    write,
    ("directions",),
    "linear_before_reset=1 (the attribute is 0 if the node does not have it)",
)
