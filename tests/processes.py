"""Child processes of tests: each is ended with all that it has started, also when its test fails."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

SECONDS = 300  # longer than any child needs on a busy machine


@contextmanager
def started(command: Sequence[str], **options: Any) -> Iterator[subprocess.Popen[Any]]:
    """A child in a process group of its own, which is killed when the block ends.

    It has the default handler of Ctrl-C, also where the tests run in the background of a script, which ignores it.
    """
    with _default_handler():
        child = subprocess.Popen([*map(str, command)], start_new_session=True, **options)
    try:
        yield child
    finally:
        end(child)


def end(child: subprocess.Popen[Any]) -> None:
    """Ends a child of `started` and all of its group."""
    with suppress(ProcessLookupError):  # all of them have ended
        os.killpg(child.pid, signal.SIGKILL)
    for stream in (child.stdin, child.stdout, child.stderr):
        if stream is not None:
            stream.close()
    child.wait()


@contextmanager
def _default_handler() -> Iterator[None]:
    """A handler of Python's own becomes the system's default in a child; that Ctrl-C is ignored is inherited."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def run(
    command: Sequence[str], *, check: bool = False, timeout: float = SECONDS, **options: Any
) -> subprocess.CompletedProcess[Any]:
    """What a child printed, as text, and its exit status; `subprocess.run`, but for what a child leaves behind."""
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with started(command, **{**streams, **options}) as child:
        printed, said = child.communicate(timeout=timeout)
    if check:
        assert child.returncode == 0, (printed, said)
    return subprocess.CompletedProcess(child.args, child.returncode, printed, said)


def wait_for(condition: Any, child: subprocess.Popen[Any], seconds: float = 120) -> None:
    """Waits until `condition()` is true while the child runs."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert child.poll() is None, f"the child has ended with status {child.returncode}"
        assert time.monotonic() < deadline, f"not yet after {seconds} s"
        time.sleep(0.02)
