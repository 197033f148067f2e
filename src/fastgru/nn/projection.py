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
    before = dict(layer._parameters)
    layer._parameters.clear()  # to be registered again in torch's order, each cell's projection behind its biases
    for index, names in enumerate(layer._all_weights):
        weight_ih, weight_hh, *biases = names
        like = {"device": before[weight_ih].device, "dtype": before[weight_ih].dtype}
        width = layer.input_size if index < directions else directions * projected
        weight_hr = weight_hh.replace("weight_hh", "weight_hr")
        setattr(layer, weight_ih, nn.Parameter(torch.empty(gates, width, **like)))
        setattr(layer, weight_hh, nn.Parameter(torch.empty(gates, projected, **like)))
        for name in biases:
            setattr(layer, name, before[name])
        setattr(layer, weight_hr, nn.Parameter(torch.empty(projected, layer.hidden_size, **like)))
        names.append(weight_hr)
    layer._flat_weights_names = [name for names in layer._all_weights for name in names]
    layer.reset_parameters()
