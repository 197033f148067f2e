"""The arrays of oneDNN's lbr_gru and gru primitives, weights in the layout ldigo, bias in ldgo.

Source: "RNN" in the developer guide of oneDNN 3. Gates in the order u (z), r, o (n), u keeps the old state. The first
two dimensions of each array count layers and directions; lbr_gru has a fourth bias, of o inside the product with r.
"""

from __future__ import annotations

import numpy as np

from fastgru.convert.biases import apart, merged, merged_apart, single
from fastgru.convert.gate_order import reorder_gates
from fastgru.convert.layout import Array, Arrays, Cell, Framework, Layout

_WEIGHTS = {"weights_iter": "H 3 H", "weights_layer": "I 3 H"}


def read(arrays: Arrays, reset_after: bool) -> Cell:
    """The cell of weights_layer (I, 3, H), weights_iter (H, 3, H) and bias (4, H), or (3, H) for gru."""
    weights = [reorder_gates(_rows(arrays[name]), "zrn", "rzn") for name in ("weights_layer", "weights_iter")]
    bias = reorder_gates(arrays["bias"][:3].reshape(-1), "zrn", "rzn")
    biases = apart(bias, arrays["bias"][3]) if reset_after else single(bias)
    return Cell(weights[0], weights[1], *biases)


def write(cell: Cell, reset_after: bool) -> Arrays:
    """The arrays of one layer and direction; zeros for biases that it does not have."""
    size = cell.weight_hh.shape[1]
    bias, *rest = merged_apart(cell) if reset_after else (merged(cell),)
    return {
        "weights_layer": _blocks(reorder_gates(cell.weight_ih, "rzn", "zrn"), size),
        "weights_iter": _blocks(reorder_gates(cell.weight_hh, "rzn", "zrn"), size),
        "bias": np.concatenate([reorder_gates(bias, "rzn", "zrn"), *rest]).reshape(-1, size),
    }


def _rows(blocks: Array) -> Array:
    """(K, 3, H) -> (3H, K)."""
    return blocks.reshape(blocks.shape[0], -1).T


def _blocks(rows: Array, size: int) -> Array:
    """(3H, K) -> (K, 3, H)."""
    return rows.T.reshape(rows.shape[1], 3, size).copy()


ONEDNN = Framework(
    "oneDNN",
    (Layout({**_WEIGHTS, "bias": "4 H"}, True, True), Layout({**_WEIGHTS, "bias": "3 H"}, True, False)),
    read,
    write,
    ("layers", "directions"),
    "the primitive lbr_gru",
)
