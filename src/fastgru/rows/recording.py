"""Row-wise operations as ranges in torch's profiler."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from fastgru.backends.base import not_compiled
from fastgru.recording import profiler


@not_compiled
def recorded(name: str, call: Callable[..., Any], *arguments: Any) -> Any:
    """What `call` returns, inside a range of this name where a profiler runs."""
    if not profiler._is_profiler_enabled:
        return call(*arguments)
    with torch._C._profiler._RecordFunctionFast(name, [t for t in arguments if isinstance(t, Tensor)]):
        return call(*arguments)
