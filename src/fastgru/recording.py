"""Calls of ours in torch's profiler, which sees torch's operators and not our core.

`profiler._is_profiler_enabled` is torch's own flag. Whoever calls the core looks at it first, which takes a few
nanoseconds, and comes here while a profiler runs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd import profiler as profiler  # the module: its flag is read anew at every call

NAME = "fastgru::gru"


def span(*tensors: Tensor | None) -> Any:
    """A range of the profiler as long as a ``with`` block lasts, with the shapes of the tensors where it shows any."""
    return torch._C._profiler._RecordFunctionFast(NAME, [t for t in tensors if t is not None])


def recorded(call: Callable[..., Any]) -> Callable[..., Any]:
    """`call` inside such a range; its first argument is the input."""

    def run(*arguments: Any) -> Any:
        with span(arguments[0]):
            return call(*arguments)

    return run
