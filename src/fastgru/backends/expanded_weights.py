"""Per-sample gradients by torch's ExpandedWeights (`torch.nn.utils._per_sample_grad`).

Such weights answer to few functions. Torch's GRU operator is among them; it becomes small operators, step by step,
which leave each sample's gradient on the weight.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from fastgru import errors
from fastgru.backends import aten
from fastgru.call.request import Call, Request

_HOME = "torch.nn.utils._expanded_weights.expanded_weights_impl"  # loaded by whoever makes such weights


def originals(weights: Sequence[Tensor]) -> tuple[Tensor, ...] | None:
    """The weights that these stand for; None where they stand for themselves."""
    kind = getattr(sys.modules.get(_HOME), "ExpandedWeight", None)
    if kind is None or not any(isinstance(weight, kind) for weight in weights):
        return None
    given: Any = weights
    return tuple([weight.orig_weight if isinstance(weight, kind) else weight for weight in given])


def run(request: Request, call: Call) -> tuple[Tensor, Tensor]:
    """Output and h_n, as `fastgru.backends.base.Backend.run`; the request is that of the originals.

    Raises:
        ArgumentError: the call has lengths or resets.
    """
    if request.has_lengths or request.resets:
        hint = "Pack the sequences, or take gradients of single samples by torch.func.vmap"
        raise errors.no_samples("a call with lengths or resets, by torch's ExpandedWeights", hint)
    return aten.BACKEND.run(request, call)
