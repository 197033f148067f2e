"""Threads: when they start, whose they are, and that a process can fork, be interrupted and end at any time."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

import fastgru
import processes
from threaded_calls import LIBRARIES

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="counts threads in /proc")
every_library = pytest.mark.parametrize("library", LIBRARIES)
SECONDS = 120
BEGIN = """
import atexit, os, signal, sys, threading, time
from threaded_calls import LARGE, LIBRARIES, in_a_child, threads
"""


def run(program: str, **options):
    """A program in a process of its own: what it printed, and how it ended."""
    paths = Path(fastgru.__file__).parents[1], Path(__file__).parent
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, paths))} | options
    command = [sys.executable, "-W", "ignore", "-c", BEGIN + program]
    return processes.run(command, env=environment, timeout=SECONDS)


def lines(program: str, **options) -> list[str]:
    done = run(program, **options)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_the_import_starts_no_thread():
    program = """
before = threads()
LIBRARIES["numpy"]()
print("fastgru._core" in sys.modules, "torch" in sys.modules, len(threads() - before))
"""
    assert lines(program) == ["True False 0"]


@every_library
def test_no_thread_starts_before_the_first_large_call(library):
    program = f"""
call, before = LIBRARIES["{library}"](), threads()
call(1, 1, 2)
print(len(threads() - before))
call(*LARGE, 1)
print(len(threads() - before))
call(*LARGE, 2)
print(len(threads() - before))
call(*LARGE, 2)
print(len(threads() - before))
"""
    assert lines(program) == ["0", "0", "1", "1"]


def test_the_first_large_call_starts_as_many_threads_as_it_may_have():
    program = """
call, before = LIBRARIES["numpy"](), threads()
wanted = call(*LARGE, 1)
print(call(*LARGE, 4) == wanted, len(threads() - before))
"""
    assert lines(program) == ["True 3"]


def test_torchs_threads_are_ours_and_none_of_them_ends():
    # GNU's OpenMP ends the threads that a smaller team leaves over.
    program = """
call, x = LIBRARIES["torch"](64), __import__("torch").ones(1 << 20)
call.torch.set_num_threads(4)
x + x
before = threads()
for _ in range(50):
    call(1000, 1, 4)  # takes two threads
    x + x
print(len(before - threads()), len(threads() - before))
"""
    assert lines(program) == ["0 0"]


def test_a_process_with_torch_has_one_openmp():
    program = """
import re
LIBRARIES["torch"]()(*LARGE, 2)
mapped = {line.split()[-1] for line in open("/proc/self/maps") if re.search(r"lib(gomp|iomp5|omp)[-.\\w]*\\.so", line)}
print(len(mapped), any(path.split("/")[-2] == "fastgru.libs" for path in mapped))
"""
    assert lines(program) == ["1 False"]


def test_openmp_that_comes_later_is_found():
    program = """
call = LIBRARIES["numpy"]()
wanted = call(*LARGE, 2)
import torch
before = threads()
print(all(call(*LARGE, 2) == wanted for _ in range(300)), len(threads() - before))
"""
    assert lines(program) == ["True 1"]


@every_library
def test_a_forked_child_starts_its_own_threads(library):
    program = f"""
call = LIBRARIES["{library}"]()
wanted = call(*LARGE, 2)
def child():
    call(1, 1, 2)
    before, right = threads(), True
    for _ in range(20):  # where the machine is busy, calls stay on one thread for a tenth of a second
        right = right and call(*LARGE, 2) == wanted
        if threads() - before: break
        time.sleep(0.2)
    return right and len(threads() - before) == 1
def parent_of_another():
    return child() and in_a_child(child)
print(in_a_child(child), in_a_child(parent_of_another), call(*LARGE, 2) == wanted)
"""
    assert lines(program) == ["True True True"]


@every_library
def test_forks_while_other_threads_call(library):
    program = f"""
call = LIBRARIES["{library}"](32)
wanted, ends = call(*LARGE, 2), []
def work():
    while not ends: call(*LARGE, 2)
workers = [threading.Thread(target=work) for _ in range(2)]
for worker in workers: worker.start()
print(all(in_a_child(lambda: call(*LARGE, 2) == wanted) for _ in range(30)))
ends.append(True)
for worker in workers: worker.join()
"""
    assert lines(program) == ["True"]


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity") or os.cpu_count() < 2, reason="needs two cores of many")
def test_callers_at_once_get_the_same_bits_and_no_more_threads_than_cores():
    program = """
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])
call, wrong = LIBRARIES["numpy"](64), []
wanted, before = call(*LARGE, 1), threads()
def work():
    for _ in range(50):
        if call(*LARGE, 2) != wanted: wrong.append("other bits")
callers = [threading.Thread(target=work) for _ in range(8)]
for caller in callers: caller.start()
for caller in callers: caller.join()
time.sleep(0.2)  # until the system has ended them
print(wrong, len(threads() - before) <= 1)
"""
    assert lines(program) == ["[] True"]


@pytest.mark.parametrize("end", ["pass", "sys.exit(3)", "os._exit(3)", "atexit.register(call, *LARGE, 2)"])
def test_a_process_ends_while_threads_call(end):
    """Without torch, whose tensors abort it when their memory is freed in a daemon thread at the end."""
    program = f"""
call = LIBRARIES["numpy"]()
call(*LARGE, 2)
def work():
    while True: call(*LARGE, 2)
for _ in range(2): threading.Thread(target=work, daemon=True).start()
time.sleep(0.2)
{end}
"""
    done = run(program)
    assert (done.returncode, done.stderr) == (3 if "3" in end else 0, "")


def test_the_library_stays_when_a_program_closes_it():
    program = """
import _ctypes
call = LIBRARIES["numpy"]()
wanted, file = call(*LARGE, 2), sys.modules["fastgru._core"].__file__
handle = _ctypes.dlopen(file, os.RTLD_NOW)
_ctypes.dlclose(handle)
_ctypes.dlclose(handle)  # the one that Python has
time.sleep(0.1)
print(call(*LARGE, 2) == wanted)
"""
    assert lines(program) == ["True"]


def test_signals_come_to_the_programs_own_threads():
    program = """
call, before = LIBRARIES["numpy"](), threads()
call(*LARGE, 2)
(own,) = threads() - before
status = open(f"/proc/self/task/{own}/status").read()
blocked = int(status.split("SigBlk:")[1].split()[0], 16)
print([bool(blocked >> number - 1 & 1) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGSEGV)])
print(signal.pthread_sigmask(signal.SIG_BLOCK, []))
"""
    assert lines(program) == ["[True, True, False]", "set()"]


@every_library
def test_ctrl_c_between_calls(library):
    program = f"""
call = LIBRARIES["{library}"]()
threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
try:
    while True: call(*LARGE, 2)
except KeyboardInterrupt:
    print("interrupted")
"""
    assert lines(program) == ["interrupted"]


def test_a_call_goes_on_where_the_system_gives_no_threads():
    program = """
import resource
call, before = LIBRARIES["numpy"](32), threads()
wanted = call(50, 16, 1)
size = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + 1_900_000, resource.RLIM_INFINITY))  # less than a stack
print(call(50, 16, 2) == wanted, len(threads() - before))
"""
    assert lines(program) == ["True 0"]
