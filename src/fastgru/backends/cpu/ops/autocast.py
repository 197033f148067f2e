"""What `torch.autocast` makes of the operator: its inputs become float32.

`torch.library.register_autocast` does the same from PyTorch 2.7 on.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

_LIBRARY = torch.library.Library("fastgru", "FRAGMENT")  # type: ignore[no-untyped-call]


def _as_float32(value: Any) -> Any:
    """An argument, or a list of some. As everywhere in autocast, float64 stays as it is."""
    if isinstance(value, list | tuple):
        return type(value)(map(_as_float32, value))
    is_cast = isinstance(value, Tensor) and value.is_floating_point() and value.dtype != torch.float64
    return value.float() if is_cast else value


def _forward(*arguments: Any) -> Any:
    """Sums are float32's, whatever the layer makes of its inputs."""
    with torch.autocast("cpu", enabled=False):
        return torch.ops.fastgru.forward(*map(_as_float32, arguments))


def register() -> None:
    """Has the operator computed in float32 wherever autocast for the CPU is on."""
    _LIBRARY.impl("forward", _forward, "AutocastCPU")  # type: ignore[no-untyped-call]
