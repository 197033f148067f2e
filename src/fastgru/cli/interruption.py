"""Ctrl-C and SIGTERM: a wish to end is never lost.

Python's own handler raises KeyboardInterrupt wherever the program happens to be. In a finaliser, or in a callback from
C, Python must ignore an exception, and then work goes on as if nobody had asked. So the handler here raises nothing: it
ends the process itself. What a package that adds commands may use is in `__all__`.
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

from fastgru import atomic_files

__all__ = ["SIGNALS", "Handlers", "end", "ends_at_once", "handlers", "install", "is_first_process"]

SIGNALS = (signal.SIGINT, signal.SIGTERM)
Handlers = dict[signal.Signals, Any]


def is_first_process() -> bool:
    """Whether this process is the one that writes and prints; Lightning and torchrun number them."""
    return int(os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0"))) == 0


def end(number: int, frame: FrameType | None = None) -> None:
    """Ends the process as the signal does by default, so that a shell sees it, but leaves no half of a file."""
    atomic_files.remove_unfinished()
    if os.isatty(2):
        os.write(2, b"\x1b[?25h")  # the cursor, which a bar may have hidden
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def handlers() -> Handlers:
    """The handlers that may be replaced: not one that ignores, as in the background of a script, nor one of C's."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    found = {number: signal.getsignal(number) for number in SIGNALS}
    return {number: handler for number, handler in found.items() if handler not in (signal.SIG_IGN, None)}


def install(these: Handlers) -> None:
    """Makes these the handlers."""
    for number, handler in these.items():
        signal.signal(number, handler)


@contextmanager
def ends_at_once() -> Iterator[None]:
    """Inside, Ctrl-C and SIGTERM end the process at once, whatever Python is at."""
    before = handlers()
    install(dict.fromkeys(before, end))
    try:
        yield
    finally:
        install(before)


def end_with_parent() -> None:
    """From now on this process ends when the one that started it has ended, however that came."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="end-with-parent").start()
