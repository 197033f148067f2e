"""Ctrl-C and SIGTERM: a wish to end is never lost.

Python's own handler raises KeyboardInterrupt wherever the program happens to be. In a finaliser, or in a callback from
C, Python must ignore an exception, and then work goes on as if nobody had asked. So the handlers here raise nothing:
one ends the process itself, the other notes the wish, and loops ask for it at each batch.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from fastgru import files

SIGNALS = (signal.SIGINT, signal.SIGTERM)
Handlers = dict[signal.Signals, Any]


def is_first_process() -> bool:
    """Whether this process is the one that writes and prints; Lightning and torchrun number them."""
    return int(os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0"))) == 0


def end(number: int, frame: FrameType | None = None) -> None:
    """Ends the process as the signal does by default, so that a shell sees it, but leaves no half of a file."""
    files.remove_unfinished()
    if os.isatty(2):
        os.write(2, b"\x1b[?25h")  # the cursor, which a bar may have hidden
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def _handled() -> Handlers:
    """The handlers that may be replaced: not one that ignores, as in the background of a script, nor one of C's."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    found = {number: signal.getsignal(number) for number in SIGNALS}
    return {number: handler for number, handler in found.items() if handler not in (signal.SIG_IGN, None)}


def _install(handlers: Handlers) -> None:
    for number, handler in handlers.items():
        signal.signal(number, handler)


@contextmanager
def ends_at_once() -> Iterator[None]:
    """Inside, Ctrl-C and SIGTERM end the process at once, whatever Python is at."""
    before = _handled()
    _install(dict.fromkeys(before, end))
    try:
        yield
    finally:
        _install(before)


class _Noting:
    """Notes the first signal; the next one does what it would do without this."""

    def __init__(self) -> None:
        self.is_asked = False
        self.before = _handled()

    def __call__(self, number: int, frame: FrameType | None = None) -> None:
        self.is_asked = True
        self.install()
        if self.before[signal.Signals(number)] is end and is_first_process():
            os.write(2, b"\nEnding after this batch. Once more ends at once.\n")  # print may not be called in here

    def install(self) -> None:
        _install(self.before if self.is_asked else dict.fromkeys(self.before, self))


_noting: _Noting | None = None


@contextmanager
def noted() -> Iterator[None]:
    """Inside, the first Ctrl-C or SIGTERM is noted, for `is_asked` and `check`; a second one does what it did before.

    Outside the main thread, where Python has no signals, nothing is noted.

    Example:
        >>> import os, signal
        >>> from fastgru import interruption
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
        _install(_noting.before)
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


def end_with_parent() -> None:
    """From now on this process ends when the one that started it has ended, however that came."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="end-with-parent").start()
