"""Torch's own operator: cuDNN on CUDA, many small operators elsewhere."""

from __future__ import annotations

import torch
from torch import Tensor
from torch._VF import gru as torch_gru

from fastgru.backends.base import Request

_TRANSFORM = "a torch.func transform"


class AtenBackend:
    """What `torch.nn.GRU` runs: every device and type that torch has."""

    name = "aten"

    def refuse(self, request: Request) -> str | None:
        """Why torch's operator cannot take this request, or None."""
        if request.context == _TRANSFORM:
            return f"torch's operator has no rules for {_TRANSFORM}"
        return None

    def run(
        self,
        request: Request,
        x: Tensor,
        h_0: Tensor | None,
        weights: tuple[Tensor, ...],
        batch_sizes: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        """Output and h_n; shapes as in `fastgru.backends.base.Backend`."""
        spec = request.spec
        if h_0 is None:
            # Not `request.batch`, which torch.jit.trace would take for the batch of every later call.
            rows = x.shape[1] if batch_sizes is None else batch_sizes[0]
            shape = (spec.num_layers * spec.num_directions, rows, spec.hidden_size)
            h_0 = torch.zeros(shape, dtype=x.dtype, device=x.device)  # type: ignore[arg-type]
        options = (spec.bias, spec.num_layers, request.dropout, request.dropout > 0)
        if batch_sizes is None:
            output, h_n = torch_gru(x, h_0, weights, *options, spec.bidirectional, False)
        else:
            output, h_n = torch_gru(x, batch_sizes, h_0, weights, *options, spec.bidirectional)
        return output, h_n


BACKEND = AtenBackend()
