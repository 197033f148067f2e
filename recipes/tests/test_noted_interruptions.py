"""Ctrl-C and SIGTERM in a training: none is lost, the second one ends it at once, handlers are restored."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from pathlib import Path

import pytest

import processes
from fastgru_recipes import interruption


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


def test_what_is_ignored_stays_so():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interruption.noted():
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


@pytest.mark.slow
@pytest.mark.parametrize(("count", "devices"), [(30, 0), (100, 1), (60, 2)])
def test_no_interruption_is_lost(count, devices):
    script = Path(__file__).with_name("interrupted_training.py")
    done = processes.run([sys.executable, script, str(count), str(devices), "0"], check=True, timeout=1800)
    found = json.loads(done.stdout)
    print(found)
    in_order = ("with its sentence", "at once, before training", "while Python started")
    assert sum(found.get(name, 0) for name in in_order) == count, found
