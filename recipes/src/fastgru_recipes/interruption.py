"""A wish to end a training: the first Ctrl-C or SIGTERM is noted, and loops ask for it at each batch.

An exception from a handler may come where Python must ignore it, and be lost; a note is not.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from fastgru.cli.interruption import end, handlers, install, is_first_process


class _Noting:
    """Notes the first signal; the next one does what it would do without this."""

    def __init__(self) -> None:
        self.is_asked = False
        self.before = handlers()

    def __call__(self, number: int, frame: FrameType | None = None) -> None:
        self.is_asked = True
        self.install()
        if self.before[signal.Signals(number)] is end and is_first_process():
            os.write(2, b"\nEnding after this batch. Once more ends at once.\n")  # print may not be called in here

    def install(self) -> None:
        install(self.before if self.is_asked else dict.fromkeys(self.before, self))


_noting: _Noting | None = None


@contextmanager
def noted() -> Iterator[None]:
    """Inside, the first Ctrl-C or SIGTERM is noted, for `is_asked` and `check`; a second one does what it did before.

    Outside the main thread, where Python has no signals, nothing is noted.

    Example:
        >>> import os, signal
        >>> from fastgru_recipes import interruption
        >>> with interruption.noted():
        ...     os.kill(os.getpid(), signal.SIGINT)
        ...     print(interruption.is_asked())
        True
    """
    global _noting
    outer, _noting = _noting, _Noting()
    _noting.install()
    try:
        yield
    finally:
        install(_noting.before)
        _noting = outer


def is_asked() -> bool:
    """Whether an end was asked for; never outside the main thread, whose work it is that the user watches."""
    in_main = threading.current_thread() is threading.main_thread()
    return in_main and _noting is not None and _noting.is_asked


def check() -> None:
    """Raises KeyboardInterrupt when an end was asked for: a place where it is safe to stop."""
    if is_asked():
        raise KeyboardInterrupt


def watch_again() -> None:
    """Puts the handlers of `noted` back, where a library has set its own meanwhile."""
    if _noting is not None and threading.current_thread() is threading.main_thread():
        _noting.install()
