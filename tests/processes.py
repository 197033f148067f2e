"""Child processes of tests. Each is ended with all its descendants, also if its test fails."""

from __future__ import annotations

import os
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import psutil

SECONDS = 300  # longer than any child needs on a busy machine
MARK = "FASTGRU_TESTS_CHILD"  # in the environment of a child and of all that it starts, wherever they have gone


@contextmanager
def started(
    command: Sequence[Any], env: Mapping[str, str] | None = None, **options: Any
) -> Iterator[subprocess.Popen[Any]]:
    """A child in a process group of its own; it and its descendants are killed when the block ends.

    It has the default handler of Ctrl-C, also where the tests run in the background of a script, which ignores it.
    """
    mark = uuid.uuid4().hex
    environment = {**(os.environ if env is None else env), MARK: mark}
    with _default_handler():
        child = subprocess.Popen([*map(str, command)], start_new_session=True, env=environment, **options)
    try:
        yield child
    finally:
        for each in [process for process in psutil.process_iter() if _has(process, mark)]:
            with suppress(psutil.NoSuchProcess):
                each.kill()
        for stream in (child.stdin, child.stdout, child.stderr):
            if stream is not None:
                stream.close()
        child.wait()


def _has(process: psutil.Process, mark: str) -> bool:
    try:
        return process.environ().get(MARK) == mark
    except (psutil.Error, OSError):  # of another user, or gone
        return False


@contextmanager
def _default_handler() -> Iterator[None]:
    """A handler of Python's own becomes the system's default in a child; that Ctrl-C is ignored is inherited."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def run(
    command: Sequence[Any], *, check: bool = False, timeout: float = SECONDS, **options: Any
) -> subprocess.CompletedProcess[Any]:
    """What a child printed, as text, and its exit status; `subprocess.run`, but for what a child leaves behind."""
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with started(command, **{**streams, **options}) as child:
        printed, said = child.communicate(timeout=timeout)
    assert not check or child.returncode == 0, (printed, said)
    return subprocess.CompletedProcess(child.args, child.returncode, printed, said)


def wait_for(condition: Callable[[], bool], child: subprocess.Popen[Any], seconds: float = 120) -> None:
    """Waits until the condition holds, while the child runs."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert child.poll() is None, f"the child has ended with status {child.returncode}"
        assert time.monotonic() < deadline, f"not yet after {seconds} s"
        time.sleep(0.02)
