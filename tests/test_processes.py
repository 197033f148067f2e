"""No test leaves a process behind."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

import processes

FAMILY = """
import subprocess, sys, time
own = {"start_new_session": True}  # as torchrun starts its workers
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], **own)
print(child.pid, flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("fails", [True, False])
def test_a_child_and_its_descendants_end_with_the_block(fails):
    with pytest.raises(AssertionError, match="the test"):  # noqa: SIM117, PT012
        with processes.started([sys.executable, "-c", FAMILY], stdout=subprocess.PIPE, text=True) as child:
            family = [psutil.Process(child.pid), psutil.Process(int(child.stdout.readline()))]
            if not fails:
                child.kill()  # which leaves the other one to nobody
                child.wait()
            raise AssertionError("the test failed")
    _, alive = psutil.wait_procs(family, timeout=10)
    assert [each for each in alive if each.status() != psutil.STATUS_ZOMBIE] == []


def test_a_child_that_takes_too_long_is_ended():
    with pytest.raises(subprocess.TimeoutExpired):
        processes.run([sys.executable, "-c", "import time; time.sleep(600)"], timeout=0.5)
    assert [each for each in psutil.Process().children() if "time.sleep(600)" in each.cmdline()] == []


def test_a_child_has_the_default_handler_where_ctrl_c_is_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        done = processes.run([sys.executable, "-c", "import signal; print(signal.getsignal(signal.SIGINT))"])
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
    assert "default_int_handler" in done.stdout


def test_all_tests_start_their_children_here():
    starting = re.compile(r"subprocess\.(run|Popen|call|check_call|check_output)\(|os\.(system|popen|posix_spawn)\(")
    found = {path.name for path in Path(__file__).parent.glob("*.py") if starting.search(path.read_text())}
    assert found - {"processes.py", "test_processes.py", "test_interruption.py"} == set()
