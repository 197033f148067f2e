"""Which backend serves a call, and why."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch

from fastgru import errors
from fastgru.backends import aten, onnx, reference
from fastgru.backends.base import Backend, Request, warn_once
from fastgru.backends.cpu import native

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
