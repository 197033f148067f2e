"""The reference with torch's operations: slow, and right under every transform."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from fastgru import reference
from fastgru.backends.base import Request, layerwise


class TorchOperations:
    """The operations of `fastgru.reference.Operations` on torch tensors."""

    @staticmethod
    def sigmoid(a: Tensor) -> Tensor:
        """1 / (1 + exp(-a))."""
        return torch.sigmoid(a)

    @staticmethod
    def tanh(a: Tensor) -> Tensor:
        """Hyperbolic tangent."""
        return torch.tanh(a)

    @staticmethod
    def stack(arrays: Sequence[Tensor]) -> Tensor:
        """Tensors along a new first dimension."""
        return torch.stack(list(arrays))

    @staticmethod
    def split(a: Tensor, parts: int) -> Sequence[Tensor]:
        """Equal parts of the last dimension."""
        return a.chunk(parts, -1)

    @staticmethod
    def concat(arrays: Sequence[Tensor], axis: int) -> Tensor:
        """Tensors one behind the other along `axis`."""
        return torch.cat(list(arrays), dim=axis)

    @staticmethod
    def zeros(like: Tensor, shape: tuple[int, ...]) -> Tensor:
        """Zeros of the type and device of `like`."""
        return torch.zeros(shape, dtype=like.dtype, device=like.device)


OPERATIONS = TorchOperations()


class ReferenceBackend:
    """The equations as written in `fastgru.reference`, one small operator after the other."""

    name = "reference"

    def refuse(self, request: Request) -> str | None:
        """None: it takes every request."""
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
        if request.dropout > 0:
            return layerwise(self.run, request, x, h_0, weights, batch_sizes)
        sizes = None if batch_sizes is None else batch_sizes.tolist()
        output, h_n = reference.run(OPERATIONS, request.spec, x, h_0, weights, sizes)
        return output, h_n


BACKEND = ReferenceBackend()
