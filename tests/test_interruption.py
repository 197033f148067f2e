"""Ctrl-C and SIGTERM: they end the command at once, and handlers are restored."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import processes
from fastgru.cli import interruption


def test_what_is_ignored_stays_so():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interruption.ends_at_once():
            assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


HALF = """
import signal, sys, pathlib
from fastgru import atomic_files
from fastgru.cli import interruption
class Last:
    def __del__(self): signal.raise_signal(signal.{signal})
with interruption.ends_at_once(), atomic_files.atomic_write(pathlib.Path("answers.csv")) as partial:
    partial.write_text("half of")
    Last()
    print("went on")
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_end_at_once_is_the_signals_own_and_leaves_no_half_of_a_file(tmp_path, number):
    done = processes.run([sys.executable, "-c", HALF.format(signal=number.name)], cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (-number, "", "")
    assert list(tmp_path.iterdir()) == []


FOLLOWER = """
import subprocess, sys
child = "import time, fastgru.cli.interruption as i; i.end_with_parent(); print('up', flush=True); time.sleep(300)"
follower = subprocess.Popen([sys.executable, "-c", child], stdout=subprocess.PIPE)
follower.stdout.readline()
print(follower.pid, flush=True)
"""


def test_a_follower_ends_with_its_parent():
    with processes.started([sys.executable, "-c", FOLLOWER], stdout=subprocess.PIPE, text=True) as parent:
        pid = int(parent.stdout.readline())
        parent.wait(timeout=60)
        for _ in range(600):
            if not is_running(pid):
                break
            threading.Event().wait(0.1)
        assert not is_running(pid)


def is_running(pid: int) -> bool:
    state = Path(f"/proc/{pid}/stat")
    try:
        return state.read_text().rpartition(")")[2].split()[0] != "Z"  # a zombie, if nobody collects it
    except OSError:
        return False
