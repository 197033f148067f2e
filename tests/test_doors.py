"""Strange arguments to every entry point: no crash, but torch's result or a clear error."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

import processes

ROOT = Path(__file__).parent.parent
CASES = 2000  # that are the same each time: a quarter of a minute
SECONDS = 60  # of those that are not
LIMIT = 600  # on a machine that does other things too
PATIENCE = 6  # with a case that hangs on purpose; others take hundredths of a second


def fuzz(*arguments):
    """Status and output of the fuzzer, which is ended in any case."""
    command = [sys.executable, "-B", "-W", "ignore", str(ROOT / "scripts/fuzz-doors"), *map(str, arguments)]
    done = processes.run(command, timeout=LIMIT, stderr=subprocess.STDOUT)
    return done.returncode, done.stdout


def test_strange_arguments_never_crash_and_end_as_with_torch():
    status, told = fuzz("--cases", CASES, "--seed", 1)
    assert status == 0, f"scripts/fuzz-doors --seed 1\n{told}"


@pytest.mark.slow
def test_nor_do_others_each_time():
    seed = random.SystemRandom().getrandbits(32)
    status, told = fuzz("--seconds", SECONDS, "--seed", seed)
    assert status == 0, f"scripts/fuzz-doors --seed {seed}\n{told}"


BROKEN = {
    "crashing": "crashes: SIGSEGV (ctypes",
    "hanging": f"hangs, for {PATIENCE} seconds",
    "leaving": "ends its process with 3",
    "lying": "output: apart by",
    "refusing": "ours raised RuntimeError: no; theirs returned",
    "accepting": "ours returned; theirs raised RuntimeError",
    "of_another_type": "ours raised ValueError: of ours; theirs raised RuntimeError: of theirs",
}


def test_the_fuzzer_notices_what_may_not_be_and_nothing_else():
    names = ",".join(f"{entrance}.1" for entrance in [*BROKEN, "dying_with_torch"])
    status, told = fuzz("--named", names, "--patience", PATIENCE)
    assert status == 1
    for entrance, word in BROKEN.items():
        assert any(line.startswith(f"{entrance}.") for line in told.splitlines()), entrance
        assert word in told
    assert "8 cases, 7 wrong, in 7 kinds\ntorch itself died in 1" in told


def test_a_name_makes_the_same_case_again():
    first, second = (fuzz("--case", "training.7.x.with_nan")[1] for _ in range(2))
    assert "x=with_nan" in first
    assert first.split("seconds")[0] == second.split("seconds")[0]
