"""Ctrl-C and SIGTERM: none is lost, the second one ends at once, and handlers are put back."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import processes
from fastgru import interruption


def test_the_first_is_noted_and_the_second_does_what_it_did_before():
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with interruption.noted():
        interruption.check()
        os.kill(os.getpid(), signal.SIGTERM)
        assert interruption.is_asked()
        with pytest.raises(KeyboardInterrupt):
            interruption.check()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
    interruption.check()


def test_a_wish_from_within_a_finaliser_is_noted():
    class Last:
        def __del__(self):
            signal.raise_signal(signal.SIGINT)  # whose KeyboardInterrupt Python would have to ignore

    with interruption.noted():
        Last()
        assert interruption.is_asked()


def test_handlers_of_others_come_back_in_place():
    with interruption.noted():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        interruption.watch_again()
        signal.raise_signal(signal.SIGINT)
        assert interruption.is_asked()
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        interruption.watch_again()  # the second one still does what it did before
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_what_is_ignored_stays_so(monkeypatch):
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        for way in (interruption.noted, interruption.ends_at_once):
            with way():
                assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
            assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_other_threads_neither_watch_nor_stop():
    found = []

    def elsewhere():
        with interruption.noted():
            found.append(interruption.is_asked())

    with interruption.noted():
        signal.raise_signal(signal.SIGINT)
        thread = threading.Thread(target=lambda: found.append(interruption.is_asked()))
        thread.start()
        thread.join()
    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert found == [False, False]


HALF = """
import signal, sys, pathlib
from fastgru import files, interruption
class Last:
    def __del__(self): signal.raise_signal(signal.{signal})
with interruption.ends_at_once(), files.whole(pathlib.Path("answers.csv")) as partial:
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
child = "import time, fastgru.interruption as i; i.end_with_parent(); print('up', flush=True); time.sleep(300)"
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


@pytest.mark.slow
@pytest.mark.parametrize(("count", "devices"), [(30, 0), (100, 1), (60, 2)])
def test_no_interruption_is_lost(count, devices):
    pytest.importorskip("lightning", reason="needs the extra tasks")
    script = Path(__file__).with_name("interrupted_training.py")
    done = processes.run([sys.executable, script, str(count), str(devices), "0"], check=True, timeout=1800)
    found = json.loads(done.stdout)
    print(found)
    in_order = ("with its sentence", "at once, before training", "while Python started")
    assert sum(found.get(name, 0) for name in in_order) == count, found
