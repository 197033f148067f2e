"""Layers whose outputs are projections of their states, and layers of which every output is wanted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from fastgru import dispatch, errors
from fastgru.call import layer_by_layer, memory
from fastgru.call.request import Call
from fastgru.spec import GRUSpec, directions_of


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


def run_by_layer(call: Call, is_projected: bool, keeps_all: bool) -> tuple[tuple[Tensor, ...], Tensor]:
    """The outputs of the last layer, or of all with `keeps_all`, and h_n.

    Args:
        call: of the layer; its sizes are those of the states.
        is_projected: behind the weights of each layer and direction stands a projection (P, H).
        keeps_all: see above.
    """
    spec = call.spec
    directions, per_cell = directions_of(spec), 4 if spec.bias else 2
    count = per_cell + is_projected
    cells = [call.weights[first : first + count] for first in range(0, len(call.weights), count)]
    weights = tuple([weight for cell in cells for weight in _unprojected(cell, per_cell)])
    projections = [cell[per_cell] for cell in cells if len(cell) > per_cell]

    def run_layer(layer: int, own: Call) -> tuple[Tensor, Tensor]:
        alone = GRUSpec(own.x.shape[-1], spec.hidden_size, 1, spec.bias, spec.bidirectional)
        x, last = dispatch.run_call(own.of(alone, own.weights))
        if projections:
            parts = zip(x.chunk(directions, -1), projections[layer * directions :], strict=False)
            x = torch.cat([part @ projection.T for part, projection in parts], -1)
        return x, last

    return layer_by_layer.run(call.of(spec, weights), run_layer, keeps_all)


def _unprojected(cell: Sequence[Tensor], per_cell: int) -> Sequence[Tensor]:
    """A cell without its projection: (W_hh, 3H x P) on projected states is W_hh W_hr, 3H x H, on the states."""
    if len(cell) == per_cell:
        return cell
    if not torch.compiler.is_compiling():
        for name, weight in (("weight_hh", cell[1]), ("weight_hr", cell[per_cell])):
            memory.is_wrapper(name, weight)  # an error if it was made one: torch's operators may die of it
    weight_ih, weight_hh, *biases = cell[:per_cell]
    return weight_ih, weight_hh @ cell[per_cell], *biases
