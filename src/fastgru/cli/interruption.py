"""Handlers of Ctrl-C and SIGTERM that never lose a signal.

Python's own handler raises KeyboardInterrupt wherever the program is. In a finalizer, or in a callback from C, Python
must ignore the exception, and the program continues. So the handler here does not raise, but ends the process itself.
The names in `__all__` are public for packages that add commands.
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
    """Whether this is the process that writes and prints, by the rank that Lightning and torchrun set."""
    return int(os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0"))) == 0


def end(number: int, frame: FrameType | None = None) -> None:
    """Ends the process like the default action of the signal, so that a shell sees it, but removes unfinished files."""
    atomic_files.remove_unfinished()
    if os.isatty(2):
        os.write(2, b"\x1b[?25h")  # shows the cursor, which a progress bar may have hidden
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def handlers() -> Handlers:
    """The handlers that may be replaced: not SIG_IGN, as in the background of a script, nor handlers set in C."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    found = {number: signal.getsignal(number) for number in SIGNALS}
    return {number: handler for number, handler in found.items() if handler not in (signal.SIG_IGN, None)}


def install(these: Handlers) -> None:
    """Sets these handlers."""
    for number, handler in these.items():
        signal.signal(number, handler)


@contextmanager
def ends_at_once() -> Iterator[None]:
    """Inside the block, Ctrl-C and SIGTERM end the process at once, wherever Python is."""
    before = handlers()
    install(dict.fromkeys(before, end))
    try:
        yield
    finally:
        install(before)


def end_with_parent() -> None:
    """Makes this process end when its parent process has ended for any reason."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="end-with-parent").start()
