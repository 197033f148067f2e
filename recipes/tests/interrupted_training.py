"""A program that interrupts trainings at random times, and prints how each of them ended as one JSON object.

    python recipes/tests/interrupted_training.py COUNT PROCESSES SEED

Trainings are forks of one process that has everything imported, so that hundreds of them take minutes. With 0 PROCESSES
each is a program of its own instead, and is interrupted while it starts.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import torch
from lightning.pytorch.strategies.launchers import subprocess_script

import fastgru.cli
from fastgru import atomic_files
from fastgru.cli.interruption import SIGNALS
from fastgru_recipes import interruption

PATIENCE = 90  # seconds after a signal, on a machine that is busy


class Fork:
    """A child that runs a function; what Lightning's launcher asks of a `Popen`."""

    def __init__(self, function, *arguments):
        sys.stdout.flush()
        self.returncode, self.pid = None, os.fork()
        if self.pid == 0:
            status = 1
            try:
                status = function(*arguments)
            finally:
                os._exit(status)

    def poll(self):
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.returncode = os.waitstatus_to_exitcode(status) if pid else None
        return self.returncode

    def wait(self, seconds=PATIENCE):
        deadline = time.monotonic() + seconds
        while self.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        return self.returncode

    def send_signal(self, number):
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self):
        self.send_signal(signal.SIGKILL)


def own_place(said):
    """A process group, handlers and a file for what is printed, as a shell gives them."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    if said is not None:
        os.setpgid(0, 0)
        for number in (1, 2):
            os.dup2(os.open(said, os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)


def train(environment, said):
    """What a new process of the command would do."""
    own_place(said)
    interruption._noting = None
    atomic_files._unfinished.clear()
    os.environ.clear()
    os.environ.update(environment)
    try:
        fastgru.cli.main()
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 0 if ended.code is None else 1
    return 0


def start(environment, said):
    """A new process of the command."""
    own_place(said)
    os.execve(sys.executable, [sys.executable, "-m", *sys.argv], environment)


class Launched:
    """In place of the module `subprocess`: the second process of a training is a fork, too."""

    @staticmethod
    def Popen(command, env, cwd):  # noqa: N802
        return Fork(train, dict(env), None)


def interrupted(place, out, processes, number):
    """How a training ended that got a signal after a random time."""
    options = ["--epochs", "100000", "--hidden", "4", "--embedding", "4", "--batch", "8", "--validation", "0.25"]
    command = ["fastgru", "train", "classify", "--data", f"{place}/data.csv", "--out", str(out), *options]
    sys.argv = [*command, "--devices", str(processes or 1)]
    said = Path(f"{out}.txt")
    training = Fork(train if processes else start, dict(os.environ), said)
    with contextlib.suppress(OSError):
        os.setpgid(training.pid, training.pid)  # as a shell does: in the child it may come after the signal
    time.sleep(random.uniform(0.05, 1.5 * processes or 6))
    (os.killpg if random.random() < 0.5 and processes > 1 else os.kill)(training.pid, number)
    training.wait()
    try:
        if training.returncode is None:
            return "lost"
        return judged(training.returncode, said.read_text(errors="replace") if said.exists() else "", out)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(training.pid, signal.SIGKILL)
        training.wait()


def judged(status, said, out):
    """Whether what a training said and left behind is in order."""
    if status in (1, -signal.SIGINT, -signal.SIGTERM) and not out.exists() and "KeyboardInterrupt" in said[-20:]:
        return "while Python started"
    if "Traceback" in said or "Exception ignored" in said:
        return f"traceback: {said[-3000:]}"
    left = [path.name for path in out.rglob(".partial*")]
    if left:
        return f"half a file: {left}"
    for path in out.rglob("*.ckpt"):
        torch.load(path, weights_only=True)
    if status in (128 + signal.SIGINT, 128 + signal.SIGTERM) and said.count("--resume to continue") == 1:
        return "with its sentence"
    if status in (-signal.SIGINT, -signal.SIGTERM) and not [*out.rglob("*.ckpt")]:
        return "at once, before training"
    return f"status {status}: {said[-2000:]}"


def main(count, processes, seed):
    random.seed(seed)
    torch.set_num_threads(1)
    subprocess_script.subprocess = Launched
    found, since = Counter(), time.monotonic()
    with tempfile.TemporaryDirectory() as place:
        Path(place, "data.csv").write_text("text,label\n" + "so good,a\nso bad,b\n" * 30)
        for attempt in range(count):
            number = random.choice([signal.SIGINT, signal.SIGINT, signal.SIGTERM])
            found[interrupted(place, Path(place, str(attempt)), processes, number)] += 1
    print(json.dumps({**found, "seconds": round(time.monotonic() - since)}))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
