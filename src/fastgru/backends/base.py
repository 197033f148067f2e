"""The interface of a backend."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor

from fastgru import errors
from fastgru.call.request import Call, Request


class Backend(Protocol):
    """A way to compute a GRU, with its own gradients."""

    name: str

    def refuse(self, request: Request) -> str | None:
        """The reason why it cannot run the request, as half a sentence; None if it can."""

    def run(self, request: Request, call: Call) -> tuple[Tensor, Tensor]:
        """Computes output and h_n. The call has been checked, and the request was not refused.

        Returns:
            output (T, B, D*H), (B, T, D*H) or (N, D*H), which is zero past the ends, and h_n (L*D, B, H).
        """


_Function = TypeVar("_Function", bound=Callable[..., Any])


def not_compiled(function: _Function) -> _Function:
    """Marks a function that calls the core, so that torch.compile does not compile it on its own.

    Compiled code does not reach it, because that uses our operators. But the compiler may start with a frame whose
    caller was not compiled. The mark costs nothing per call, unlike `torch.compiler.disable`.
    """
    frames: Any = torch._C._dynamo.eval_frame
    if hasattr(frames, "skip_code"):  # until torch 2.7
        frames.skip_code(function.__code__)
    else:
        skip = frames._FrameAction.SKIP
        frames.set_code_exec_strategy(function.__code__, frames._FrameExecStrategy(skip, skip))
    return function


_warned: set[str] = set()


def warn_once(reasons: dict[str, str | None]) -> None:
    """Warns once for the same `reasons`, by backend, that a call runs on the reference."""
    warning = errors.slow_path(reasons)
    if str(warning) not in _warned:
        _warned.add(str(warning))
        warnings.warn(warning, stacklevel=3)


def sum_dtype(dtype: torch.dtype) -> torch.dtype:
    """The dtype of sums, and of states between steps, in a layer of `dtype`: float32 for 16-bit dtypes."""
    return torch.float32 if dtype.itemsize == 2 else dtype
