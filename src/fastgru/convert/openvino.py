"""The inputs W, R and B of OpenVINO's GRUSequence, for both values of `linear_before_reset`.

Source: the operation GRUSequence-5 of OpenVINO. Gates in the order z, r, h (n), z keeps the old state. The first
dimension of each array counts directions. GRUCell-3 has the same arrays without it.
"""

from __future__ import annotations

import numpy as np

from fastgru.convert.biases import apart, merged, merged_apart, single
from fastgru.convert.gate_order import reorder_gates
from fastgru.convert.layout import Arrays, Cell, Framework, Layout

_WEIGHTS = {"W": "3H I", "R": "3H H"}


def read(arrays: Arrays, reset_after: bool) -> Cell:
    """The cell of W (3H, I), R (3H, H) and B of one direction: (4H,), or (3H,) if the reset gate is before."""
    weights = [reorder_gates(arrays[name], "zrn", "rzn") for name in _WEIGHTS]
    gates = weights[0].shape[0]
    bias = reorder_gates(arrays["B"][:gates], "zrn", "rzn")
    biases = apart(bias, arrays["B"][gates:]) if reset_after else single(bias)
    return Cell(weights[0], weights[1], *biases)


def write(cell: Cell, reset_after: bool) -> Arrays:
    """The arrays of one direction; zeros for biases that it does not have."""
    bias, *rest = merged_apart(cell) if reset_after else (merged(cell),)
    return {
        "W": reorder_gates(cell.weight_ih, "rzn", "zrn"),
        "R": reorder_gates(cell.weight_hh, "rzn", "zrn"),
        "B": np.concatenate([reorder_gates(bias, "rzn", "zrn"), *rest]),
    }


OPENVINO = Framework(
    "OpenVINO",
    (Layout({**_WEIGHTS, "B": "4H"}, True, True), Layout({**_WEIGHTS, "B": "3H"}, True, False)),
    read,
    write,
    ("directions",),
    "linear_before_reset=true",
)
