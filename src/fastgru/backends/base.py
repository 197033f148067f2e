"""What a backend is asked, and what it answers."""

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
        """Why it cannot serve the request, as half a sentence; None when it can."""

    def run(self, request: Request, call: Call) -> tuple[Tensor, Tensor]:
        """Output and h_n. Everything has been checked, and the request not refused.

        Returns:
            output (T, B, D*H), (B, T, D*H) or (N, D*H), zeros past the ends, and h_n (L*D, B, H).
        """


_Function = TypeVar("_Function", bound=Callable[..., Any])


def not_compiled(function: _Function) -> _Function:
    """Marks a function that calls the core as one that torch.compile leaves alone when it meets it by itself.

    Compiled code never comes here: it goes by our operators. But a frame whose caller was not compiled is one that
    the compiler may begin with. The mark costs nothing at a call, unlike `torch.compiler.disable`.
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
    """Warns of a call that the reference serves, for `reasons` by backend, once for the same reasons."""
    warning = errors.slow_path(reasons)
    if str(warning) not in _warned:
        _warned.add(str(warning))
        warnings.warn(warning, stacklevel=3)


def sum_dtype(dtype: torch.dtype) -> torch.dtype:
    """The type of sums, and of states between steps, in a layer of `dtype`: float32 where that has 16 bits."""
    return torch.float32 if dtype.itemsize == 2 else dtype
