"""What a backend is asked, and what it answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from fastgru.spec import GRUSpec


class Request(NamedTuple):
    """One call, as data without tensors.

    Attributes:
        spec: what the layer computes.
        dtype: of the input.
        device: type of the input's device, such as ``"cpu"``.
        steps: T.
        batch: B.
        is_ragged: rows are packed by batch sizes.
        needs_grad: autograd will want gradients.
        dropout: between layers; 0 in evaluation and for a single layer.
        context: why only operators that torch can see may run here; None where anything may.
        recompute: the backward pass computes the gates again instead of keeping them; backends may ignore it.
    """

    spec: GRUSpec
    dtype: torch.dtype
    device: str
    steps: int
    batch: int
    is_ragged: bool
    needs_grad: bool
    dropout: float
    context: str | None
    recompute: bool = False


class Backend(Protocol):
    """A way to compute a GRU, with its own gradients."""

    name: str

    def refuse(self, request: Request) -> str | None:
        """Why it cannot serve the request, as half a sentence; None when it can."""

    def run(
        self,
        request: Request,
        x: Tensor,
        h_0: Tensor | None,
        weights: tuple[Tensor, ...],
        batch_sizes: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        """Output and h_n. Arguments have been validated.

        Args:
            request: not refused.
            x: (T, B, I) with any strides, or packed data (N, I) with `batch_sizes`.
            h_0: (L*D, B, H), or None for zeros.
            weights: in torch's order.
            batch_sizes: (T,), int64 on the CPU, never growing.

        Returns:
            output (T, B, D*H) or (N, D*H), and h_n (L*D, B, H).
        """


RunLayer = Callable[[Request, Tensor, Tensor | None, tuple[Tensor, ...], Tensor | None], tuple[Tensor, Tensor]]


def layerwise(
    run_layer: RunLayer,
    request: Request,
    x: Tensor,
    h_0: Tensor | None,
    weights: tuple[Tensor, ...],
    batch_sizes: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """Runs a stack layer by layer, with torch's dropout between.

    Dropout meets the same tensors in the same order as in `torch.nn.GRU`, so the same seed gives the same masks.
    """
    spec = request.spec
    cells, per_layer = spec.num_directions, len(weights) // spec.num_layers
    h_n = []
    for layer in range(spec.num_layers):
        if layer > 0:
            x = torch.dropout(x, request.dropout, True)
        own = weights[layer * per_layer : (layer + 1) * per_layer]
        start = None if h_0 is None else h_0[layer * cells : (layer + 1) * cells]
        alone = request._replace(spec=spec.single_layer(layer), dropout=0.0)
        x, last = run_layer(alone, x, start, own, batch_sizes)
        h_n.append(last)
    return x, torch.cat(h_n)
