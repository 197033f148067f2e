"""Ranges for our calls in torch's profiler, which otherwise shows only torch's operators.

Callers of the core check torch's flag `profiler._is_profiler_enabled` first, which takes a few nanoseconds, and use
this module while a profiler runs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd import profiler as profiler  # the module, because its flag is read at every call

NAME = "fastgru::gru"


def span(*tensors: Tensor | None) -> Any:
    """A profiler range for a ``with`` block, with the shapes of the tensors if the profiler shows shapes."""
    return torch._C._profiler._RecordFunctionFast(NAME, [t for t in tensors if t is not None])


def recorded(call: Callable[..., Any]) -> Callable[..., Any]:
    """`call` inside a range; its first argument is the input."""

    def run(*arguments: Any) -> Any:
        with span(arguments[0]):
            return call(*arguments)

    return run
