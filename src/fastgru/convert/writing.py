"""Torch's parameters -> arrays of a framework, for every framework of the table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fastgru.convert.layout import Arrays, Cell, Framework
from fastgru.convert.state import to_cells
from fastgru.errors import ArgumentError


def write(framework: Framework, state: Mapping[str, Any], reset_after: bool = True, bias: bool | None = None) -> Any:
    """The arrays of each layer of a state dict; see `fastgru.convert.write`."""
    _check_reset(framework, reset_after)
    cells = [[_with_bias(framework, cell, bias) for cell in directions] for directions in to_cells(state)]
    layers = [_layer(framework, [framework.write(cell, reset_after) for cell in directions]) for directions in cells]
    return layers[0] if len(layers) == 1 else layers


def _check_reset(framework: Framework, reset_after: bool) -> None:
    if not any(layout.reset_after in (None, reset_after) for layout in framework.layouts):
        raise ArgumentError(
            f"{framework.title} has no GRU with reset_after={reset_after}, and no weights of its GRU compute the same. "
            'Write to a framework that has one: "keras", "onnx", "openvino" or "onednn".'
        )


def _with_bias(framework: Framework, cell: Cell, bias: bool | None) -> Cell:
    """The cell with biases added or left out, as the target needs it."""
    if bias is False and not any(not layout.has_bias for layout in framework.layouts):
        raise ArgumentError(f"a GRU of {framework.title} always has biases. Leave out bias=False; they may be zero.")
    if bias is False:
        for name, values in (("bias_ih", cell.bias_ih), ("bias_hh", cell.bias_hh)):
            if values is not None and np.any(values != 0):
                raise ArgumentError(
                    f"{name}{cell.suffix} is not zero, so a layer without biases cannot compute the same. "
                    "Build the target with biases and leave out bias=False."
                )
        return cell._replace(bias_ih=None, bias_hh=None)
    if cell.bias_ih is None and (bias or all(layout.has_bias for layout in framework.layouts)):
        zeros = np.zeros(len(cell.weight_ih), cell.weight_ih.dtype)
        return cell._replace(bias_ih=zeros, bias_hh=zeros)
    return cell


def _layer(framework: Framework, directions: Sequence[Arrays]) -> dict[str, Any]:
    """The arrays of one layer: both directions in one, where the framework has a dimension for them."""
    if not framework.leading:
        return directions[0] if len(directions) == 1 else dict(zip(("forward", "backward"), directions, strict=True))
    stacked = {name: np.stack([arrays[name] for arrays in directions]) for name in directions[0]}
    return stacked if len(framework.leading) == 1 else {name: array[None] for name, array in stacked.items()}
