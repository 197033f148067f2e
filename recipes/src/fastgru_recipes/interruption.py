"""Interruption of training: the first Ctrl-C or SIGTERM is noted, and training loops check for it at each batch.

An exception raised by a signal handler can be lost, because in some places Python must ignore exceptions. A note is
not lost.
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
    """A signal handler that notes the first signal. The next one has its usual effect."""

    def __init__(self) -> None:
        self.is_asked = False
        self.before = handlers()

    def __call__(self, number: int, frame: FrameType | None = None) -> None:
        global _last
        self.is_asked, _last = True, number
        self.install()
        if self.before[signal.Signals(number)] is end and is_first_process():
            os.write(
                2, b"\nStopping after this batch. Press Ctrl-C again to stop at once.\n"
            )  # a handler must not call print

    def install(self) -> None:
        install(self.before if self.is_asked else dict.fromkeys(self.before, self))


_noting: _Noting | None = None
_last: int = signal.SIGINT


@contextmanager
def noted() -> Iterator[None]:
    """Inside the block, the first Ctrl-C or SIGTERM is noted for `is_asked` and `check`. The next has its usual effect.

    Outside the main thread Python has no signals, and nothing is noted.

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
    """Whether a signal was noted. Always False outside the main thread."""
    in_main = threading.current_thread() is threading.main_thread()
    return in_main and _noting is not None and _noting.is_asked


def last_signal() -> int:
    """The number of the last signal that was noted; SIGINT if there was none."""
    return int(_last)


def check() -> None:
    """Raises KeyboardInterrupt if a signal was noted. Called where it is safe to stop."""
    if is_asked():
        raise KeyboardInterrupt


def watch_again() -> None:
    """Installs the handlers of `noted` again, after a library has set its own."""
    if _noting is not None and threading.current_thread() is threading.main_thread():
        _noting.install()
