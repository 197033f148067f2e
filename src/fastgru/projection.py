"""Parameters of a layer whose outputs are projections of its states."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from fastgru import errors


def check_size(proj_size: object, hidden_size: int) -> None:
    """Raises unless 0 < proj_size < hidden_size."""
    if not isinstance(proj_size, int) or proj_size < 0:
        raise errors.projection_size("should be a positive integer or zero to disable projections", proj_size)
    if proj_size >= hidden_size:
        raise errors.projection_size("has to be smaller than hidden_size", proj_size, hidden_size)


def add_to(layer: Any) -> None:
    """Gives a new layer the projections weight_hr (P, H), and its other weights the sizes that follow from them."""
    check_size(layer.proj_size, layer.hidden_size)
    gates, projected = 3 * layer.hidden_size, layer.proj_size
    directions = 2 if layer.bidirectional else 1
    for index, names in enumerate(layer._all_weights):
        like = {"device": getattr(layer, names[0]).device, "dtype": getattr(layer, names[0]).dtype}
        if index >= directions:
            setattr(layer, names[0], nn.Parameter(torch.empty(gates, directions * projected, **like)))
        setattr(layer, names[1], nn.Parameter(torch.empty(gates, projected, **like)))
        names.append(names[1].replace("weight_hh", "weight_hr"))
        setattr(layer, names[-1], nn.Parameter(torch.empty(projected, layer.hidden_size, **like)))
    layer._flat_weights_names = [name for names in layer._all_weights for name in names]
    layer.reset_parameters()
