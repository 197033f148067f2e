"""Layers run one after another: where every layer's outputs are wanted, or states are projected."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from fastgru import functional
from fastgru.backends.base import Bounds
from fastgru.call import memory
from fastgru.spec import GRUSpec


def run_by_layer(
    spec: GRUSpec,
    x: Tensor,
    h_0: Tensor | None,
    cells: Sequence[Sequence[Tensor]],
    bounds: Bounds,
    dropout: float,
    recompute: bool,
    batch_first: bool,
) -> tuple[tuple[Tensor, ...], Tensor]:
    """The outputs of every layer, from the first to the last, and h_n.

    Args:
        spec: of the layer; its sizes are those of the states.
        x: see `functional.run`.
        h_0: see `functional.run`.
        cells: of each layer and direction the parameters in torch's order, and where states are projected the
            projection (P, H) behind them.
        bounds: see `functional.run`.
        dropout: see `functional.run`.
        recompute: see `functional.run`.
        batch_first: see `functional.run`.
    """
    directions, per_cell = spec.num_directions, 4 if spec.bias else 2
    if batch_first:  # torch's dropout masks are drawn for steps before rows, whatever the caller's layout
        turned = bounds._replace(reset=None if bounds.reset is None else bounds.reset.transpose(0, 1))
        outputs, h_n = run_by_layer(spec, x.transpose(0, 1), h_0, cells, turned, dropout, recompute, False)
        return tuple([output.transpose(0, 1).contiguous() for output in outputs]), h_n
    every, last_states = [], []
    for layer in range(spec.num_layers):
        if layer > 0 and dropout > 0:
            x = torch.dropout(x, dropout, True)
        states = slice(layer * directions, (layer + 1) * directions)
        own = cells[states]
        weights = tuple([weight for cell in own for weight in _unprojected(cell, per_cell)])
        projections = [cell[per_cell] for cell in own if len(cell) > per_cell]
        anew = bounds.reset_state
        x, last = functional.run(
            GRUSpec(x.shape[-1], spec.hidden_size, 1, spec.bias, spec.bidirectional),
            x,
            None if h_0 is None else h_0[states],
            weights,
            bounds._replace(reset_state=None if anew is None else anew[states]),
            0.0,
            recompute,
        )
        if projections:
            parts = zip(x.chunk(directions, -1), projections, strict=True)
            x = torch.cat([part @ projection.T for part, projection in parts], -1)
        every.append(x)
        last_states.append(last)
    return tuple(every), torch.cat(last_states)


def _unprojected(cell: Sequence[Tensor], per_cell: int) -> Sequence[Tensor]:
    """A cell without its projection: (W_hh, 3H x P) on projected states is W_hh W_hr, 3H x H, on the states."""
    if len(cell) == per_cell:
        return cell
    if not torch.compiler.is_compiling():
        for name, weight in (("weight_hh", cell[1]), ("weight_hr", cell[per_cell])):
            memory.is_wrapper(name, weight)  # an error if it was made one: torch's operators may die of it
    weight_ih, weight_hh, *biases = cell[:per_cell]
    return weight_ih, weight_hh @ cell[per_cell], *biases
