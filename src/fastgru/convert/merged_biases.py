"""Frameworks with torch's matrices and one bias per gate, and another one for n inside the product with r.

Sources: equinox.nn.GRUCell of Equinox 0.13; mlx.nn.GRU of MLX 0.32. Gates in the order r, z, n, z keeps the old state.
"""

from __future__ import annotations

from fastgru.convert.biases import apart, merged_apart
from fastgru.convert.layout import Arrays, Cell, Framework, Layout


def _framework(title: str, input_weight: str, state_weight: str, bias: str, hidden_n: str) -> Framework:
    """A framework with these names of its weights (3H, I) and (3H, H), bias (3H,) and bias inside the product (H,)."""
    weights = {input_weight: "3H I", state_weight: "3H H"}

    def read(arrays: Arrays, reset_after: bool) -> Cell:
        biases = apart(arrays[bias], arrays[hidden_n]) if bias in arrays else (None, None)
        return Cell(arrays[input_weight].copy(), arrays[state_weight].copy(), *biases)

    def write(cell: Cell, reset_after: bool) -> Arrays:
        arrays = {input_weight: cell.weight_ih.copy(), state_weight: cell.weight_hh.copy()}
        if cell.bias_ih is not None:
            arrays[bias], arrays[hidden_n] = merged_apart(cell)
        return arrays

    layouts = (Layout({**weights, bias: "3H", hidden_n: "H"}, True), Layout(weights, False))
    return Framework(title, layouts, read, write)


EQUINOX = _framework("Equinox", "weight_ih", "weight_hh", "bias", "bias_n")
MLX = _framework("MLX", "Wx", "Wh", "b", "bhn")
