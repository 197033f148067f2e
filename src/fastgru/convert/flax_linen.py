"""Flax's `flax.linen.GRUCell`, alone, in `RNN` and in `Bidirectional`.

Source: flax.linen.recurrent of Flax 0.12. A dense layer for each gate and operand: ir, iz, in of the input, hr, hz,
hn of the state; z keeps the old state. Kernels are transposed. hr and hz have no bias.
"""

from __future__ import annotations

import numpy as np

from fastgru.convert.biases import apart, merged_apart
from fastgru.convert.layout import Array, Arrays, Cell, Framework, Layout

_GATES = "rzn"
_SHAPES = {f"h{gate}/kernel": "H H" for gate in _GATES}
_SHAPES |= {f"i{gate}/kernel": "I H" for gate in _GATES} | {f"i{gate}/bias": "H" for gate in _GATES}
_SHAPES["hn/bias"] = "H"


def read(arrays: Arrays, reset_after: bool) -> Cell:
    """The cell of the ten arrays, with names such as ``ir/kernel``."""

    def joined(operand: str, kind: str) -> Array:
        return np.concatenate([arrays[f"{operand}{gate}/{kind}"].T for gate in _GATES])

    return Cell(joined("i", "kernel"), joined("h", "kernel"), *apart(joined("i", "bias"), arrays["hn/bias"]))


def write(cell: Cell, reset_after: bool) -> Arrays:
    """The ten arrays of a cell; zeros for biases that it does not have."""
    bias, hidden_n = merged_apart(cell)
    arrays: Arrays = {}
    for operand, weight in (("i", cell.weight_ih), ("h", cell.weight_hh)):
        blocks = zip(_GATES, np.split(weight, 3), strict=True)
        arrays |= {f"{operand}{gate}/kernel": block.T.copy() for gate, block in blocks}
    arrays |= {f"i{gate}/bias": block.copy() for gate, block in zip(_GATES, np.split(bias, 3), strict=True)}
    return {**arrays, "hn/bias": hidden_n}


FLAX_LINEN = Framework("Flax linen", (Layout(_SHAPES, True),), read, write)
