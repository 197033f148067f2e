"""The entry point of every call: which backend serves it, and why.

A call without a follower (a compiler, transform or mode that records it) takes the short path, on which the core checks
everything itself. A call that the core cannot take in this way, and every call with a follower, becomes a request,
which backends may refuse.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from fastgru import errors, recording
from fastgru.backends import aten, onnx, reference
from fastgru.backends.base import Backend, not_compiled, warn_once
from fastgru.backends.cpu import native
from fastgru.call import build
from fastgru.call.request import Call, Request
from fastgru.call.sequences import WHOLE, Sequences
from fastgru.recording import profiler
from fastgru.spec import GRUSpec, directions_of

# Functions that every call asks, by names of our own: finding them in torch each time takes as long as the answer.
_is_compiling = torch.compiler.is_compiling
_are_transforms_active = torch._C._are_functorch_transforms_active
_tracing_state = torch._C._get_tracing_state
_modes_active = torch._C._len_torch_dispatch_stack
_autocast_enabled = torch._C._is_any_autocast_enabled
_shortcut = native.shortcut

# In order of preference: the first that does not refuse is used. The last refuses nothing, and is slow.
BACKENDS: tuple[Backend, ...] = (onnx.BACKEND, native.BACKEND, aten.BACKEND, reference.BACKEND)


def find(name: str) -> Backend:
    """The backend called `name`.

    Raises:
        ArgumentError: there is none.
    """
    for backend in BACKENDS:
        if backend.name == name:
            return backend
    raise errors.unknown_backend(name, [backend.name for backend in BACKENDS])


def _from_environment() -> Backend | None:
    name = os.environ.get("FASTGRU_BACKEND")
    return None if not name else find(name)


# The backend asked for by name, in a `with` block or for the process; None: the first that does not refuse.
FORCED: ContextVar[Backend | None] = ContextVar("fastgru_backend", default=_from_environment())  # noqa: B039  (backends keep no state)


@contextmanager
def use_backend(name: str) -> Iterator[None]:
    """Serves every call inside a ``with`` block by one backend, in this thread or task.

    Args:
        name: ``"cpu"``, ``"aten"`` or ``"reference"``.

    Raises:
        ArgumentError: there is no such backend.
        BackendError: raised by calls inside that the backend cannot serve.

    Example:
        >>> import fastgru, torch
        >>> layer, x = fastgru.GRU(2, 3), torch.ones(4, 5, 2)
        >>> with fastgru.use_backend("reference"):
        ...     output, h_n = layer(x)
        >>> torch.allclose(output, layer(x)[0], atol=1e-6)
        True
    """
    with serve_by(find(name)):
        yield


@contextmanager
def serve_by(backend: Backend) -> Iterator[None]:
    """Serves every call inside a ``with`` block by `backend`, in this thread or task."""
    token = FORCED.set(backend)
    try:
        yield
    finally:
        FORCED.reset(token)


def choose(request: Request, warns: bool = False) -> Backend:
    """The backend that serves `request`; with `warns`, a warning tells of a slow one.

    Raises:
        BackendError: a backend was asked for by name and refuses.
    """
    # torch.compile cannot read context variables; what it traces goes to torch's operator in any case.
    wanted = None if torch.compiler.is_compiling() else FORCED.get()
    if wanted is not None:
        reason = wanted.refuse(request)
        if reason is not None:
            raise errors.forced_backend(wanted.name, reason)
        return wanted
    for backend in BACKENDS[:-1]:
        if backend.refuse(request) is None:
            return backend
    if warns and not torch.compiler.is_compiling():
        warn_once({backend.name: backend.refuse(request) for backend in BACKENDS[:-1]})
    return BACKENDS[-1]


def is_unwatched() -> bool:
    """Whether no backend was requested and only autograd follows the operations. This is a fast check."""
    if _is_compiling() or _are_transforms_active():
        return False
    if forward_ad._current_level >= 0 or _tracing_state() is not None:
        return False
    return _modes_active() == 0 and not _autocast_enabled() and FORCED.get() is None


def run(
    spec: GRUSpec,
    x: Tensor,
    h_0: Tensor | None,
    weights: tuple[Tensor, ...],
    sequences: Sequences = WHOLE,
    dropout: float = 0.0,
    recompute: bool = False,
    batch_first: bool = False,
) -> tuple[Tensor, Tensor]:
    """Output and h_n, by the first backend that serves the call.

    Arguments are the fields of a `Call`; see there. They come one by one as far as the short way goes, which has no
    time to make an object of them.

    Returns:
        output (T, B, D*H), (B, T, D*H) or (N, D*H), zeros past the ends; and h_n (L*D, B, H).

    Raises:
        FastGRUError: what does not fit.
    """
    if dropout == 0.0 and is_unwatched():
        shortcut = _recorded_shortcut if profiler._is_profiler_enabled else _shortcut
        results = shortcut(spec, x, h_0, weights, sequences, recompute, batch_first)
        if results is not None:
            return results
    return _run_requested(Call(spec, x, h_0, weights, sequences, dropout, recompute, batch_first))


def step(spec: GRUSpec, x: Tensor, h_0: Tensor | None, weights: tuple[Tensor, ...]) -> Tensor | None:
    """The state (B, H) of a cell after one step, from x (B, I) and h_0 (B, H), the short way alone.

    None where it cannot serve the call. `run` can, or finds the words for what is wrong.
    """
    if profiler._is_profiler_enabled or not is_unwatched():
        return None
    return native.step_shortcut(spec, x, h_0, weights)


def run_call(call: Call) -> tuple[Tensor, Tensor]:
    """As `run`, of a call that was made already."""
    options = call.sequences, call.dropout, call.recompute, call.batch_first
    return run(call.spec, call.x, call.h_0, call.weights, *options)


@not_compiled
def _recorded_shortcut(
    spec: GRUSpec, x: Tensor, h_0: Tensor | None, weights: tuple[Tensor, ...], *options: Any
) -> tuple[Tensor, Tensor] | None:
    with recording.span(x, h_0, *weights):
        return native.shortcut(spec, x, h_0, weights, *options)


def _run_requested(call: Call) -> tuple[Tensor, Tensor]:
    """The long way: everything is checked here, before any kernel runs."""
    own = build.cast(call)
    if own is not None:
        with torch.autocast("cpu", enabled=False):
            return run_call(own)
    request = build.request_of(call)
    if request.steps == 0:
        return _run_nothing(request, call)
    backend = choose(request, warns=True)
    if request.follower is None and profiler._is_profiler_enabled:
        with recording.span(*call.inputs):
            return backend.run(request, call)
    return backend.run(request, call)


def _run_nothing(request: Request, call: Call) -> tuple[Tensor, Tensor]:
    """A sequence of no steps: no outputs, and the states as they were."""
    spec, x, h_0 = request.spec, call.x, call.h_0
    output = x.new_zeros(*x.shape[:-1], directions_of(spec) * spec.hidden_size)
    states = (spec.num_layers * directions_of(spec), request.batch, spec.hidden_size)
    return output, x.new_zeros(states) if h_0 is None else h_0.clone()
