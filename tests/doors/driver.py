"""Runs each batch of cases in a forked child, which may crash."""

from __future__ import annotations

import itertools
import json
import os
import random
import re
import select
import signal
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from doors import worker
from doors.draw import Name
from doors.entrances import ENTRANCES
from doors.oracle import PACKAGE
from doors.sides import OURS


@dataclass
class Report:
    """What came of many cases.

    Attributes:
        tells: whether to print the first failure of each kind at once.
        cases: how many ran.
        failures: for each kind of failure, the cases that showed it, with what was told of each.
        deaths_of_others: in how many cases the other side died by itself.
        slowest: seconds and name.
    """

    tells: bool = False
    cases: int = 0
    failures: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    deaths_of_others: int = 0
    slowest: tuple[float, str] = (0.0, "")

    def add(self, told: dict[str, Any]) -> None:
        self.cases += 1
        self.slowest = max(self.slowest, (told.get("seconds", 0.0), told["case"]))
        if told["verdict"] is not None:
            found = self.failures.setdefault(_signature(told), [])
            found.append(told)
            if self.tells and len(found) == 1:
                print(_about(told), flush=True)

    def __str__(self) -> str:
        lines = []
        for found in sorted(self.failures.values(), key=len, reverse=True):
            lines.append(f"{len(found)} like {_about(found[0])}")
        wrong = sum(map(len, self.failures.values()))
        lines.append(f"{self.cases} cases, {wrong} wrong, in {len(self.failures)} kinds")
        lines.append(
            f"torch itself died in {self.deaths_of_others}; the slowest, {self.slowest[1]}: {self.slowest[0]:.1f} s"
        )
        return "\n".join(lines)


def _about(told: dict[str, Any]) -> str:
    return f"{told['case']}  {'; '.join(told.get('notes', []))}\n    {told['verdict']}"


def _signature(told: dict[str, Any]) -> str:
    """Of cases that probably have one cause."""
    strange = sorted(note for note in told.get("notes", []) if "=" in note)
    verdict = re.sub(r"[-\d.]+(e-?\d+)?|\(.*?\)|\[.*?\]", "#", told["verdict"])[:90]
    return f"{Name.parse(told['case']).entrance} {strange[:1]} {verdict}"


class Child:
    """One batch of cases in a process of its own."""

    def __init__(self, names: list[Name], sides: str, patience: float) -> None:
        self._patience = patience
        reading, writing = os.pipe()
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115  (closed by `end`)
        self._pid = os.fork()
        if self._pid == 0:
            os.close(reading)
            worker.serve(names, writing, self.errors.fileno(), sides, patience)
        os.close(writing)
        self._reading = reading

    def lines(self) -> Iterator[dict[str, Any]]:
        """What the child tells, until it ends, or is silent for too long."""
        waiting = b""
        while select.select([self._reading], [], [], self._patience)[0]:
            got = os.read(self._reading, 1 << 16)
            if not got:
                return
            *whole, waiting = (waiting + got).split(b"\n")
            yield from map(json.loads, whole)

    def end(self) -> str:
        """Ends the child, if it lives, and everything it started; in words how it ended."""
        done, status = os.waitpid(self._pid, os.WNOHANG)
        for _ in range(20):  # it may be just about to end
            if done:
                break
            time.sleep(0.05)
            done, status = os.waitpid(self._pid, os.WNOHANG)
        if not done:
            os.killpg(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
        os.close(self._reading)
        self.errors.seek(0)
        self.story = self.errors.read().decode(errors="replace")
        self.errors.close()
        if not done:
            return f"hangs, for {self._patience:g} seconds"
        if os.WIFSIGNALED(status):
            return f"crashes: {signal.Signals(os.WTERMSIG(status)).name}"
        return "" if os.WEXITSTATUS(status) == 0 else f"ends its process with {os.WEXITSTATUS(status)}"


def run(names: list[Name], patience: float, report: Report, sides: str = "both") -> list[Name]:
    """Runs a batch; after a death, what is left of it."""
    child = Child(names, sides, patience)
    last: dict[str, Any] | None = None
    finished = 0
    try:
        for told in child.lines():
            last = told
            if "verdict" in told:
                finished += 1
                report.add(told)
    finally:
        how = child.end()
    if not how:
        return names[finished:]  # where a case has left something behind
    if last is None or "verdict" in last:  # what a case did to memory may show later
        last = {
            "case": str(names[min(finished, len(names) - 1)]),
            "verdict": f"after the case before it, the process {how}",
        }
        report.add({**last, "verdict": last["verdict"] + _place(child.story)})
        return names[finished + 1 :]
    name = Name.parse(last["case"])
    if last["begins"] == OURS and not is_ours(child.story) and _is_torchs(name, last, patience):
        report.deaths_of_others += 1  # an operator of torch, by itself
        report.cases += 1
    elif last["begins"] == OURS:
        is_alone = len(names) == 1 or bool(_death(name, "ours", patience))
        verdict = f"ours {how}{'' if is_alone else ' after the cases before it'}{_place(child.story)}"
        report.add({**last, "verdict": verdict})
    elif not _dies_alone(name, last, patience):
        report.add({**last, "verdict": f"theirs {how} after ours{_place(child.story)}"})
    else:
        report.deaths_of_others += 1
        run([name], patience, report, "ours")
    return names[finished + 1 :]


def _own_thread(story: str) -> str:
    """What a story of several threads tells of the one that died."""
    return story.split("Current thread")[-1]


def is_ours(story: str) -> bool:
    """Whether the process died inside a function of the package that does more than call torch's operators."""
    frames = re.findall(r'File "(.*?)", line', _own_thread(story))
    return bool(frames) and frames[0].startswith(PACKAGE) and not frames[0].endswith(("/reference.py", "/aten.py"))


RACES = 40  # runs that tell who loses a race against a thread that takes memory away


def _is_unsteady(last: dict[str, Any]) -> bool:
    """Whether torch dies of such a case, or not, as the memory happens to be."""
    return any(word in note for note in last.get("notes", ()) for word in ("during=", "leaked_", "wrapper"))


def _is_torchs(name: Name, last: dict[str, Any], patience: float) -> bool:
    """Whether the other side of a case dies too, or there is none, so that torch is all that could have died."""
    runs = RACES if _is_unsteady(last) else 1
    return ENTRANCES[name.entrance].other is None or any(_death(name, "theirs", patience) for _ in range(runs))


def _dies_alone(name: Name, last: dict[str, Any], patience: float) -> bool:
    """Whether the other side dies without ours before it; in a race, whether ours lives in all of many runs."""
    if _is_unsteady(last):
        return not any(_death(name, "ours", patience) for _ in range(RACES))
    return bool(_death(name, "theirs", patience))


def _death(name: Name, sides: str, patience: float) -> str:
    """How a child ends that runs one side of a case alone; empty where it lives."""
    child = Child([name], sides, patience)
    try:
        for _ in child.lines():
            pass
    finally:
        how = child.end()
    return how


def _frames(story: str) -> list[tuple[str, str, str]]:
    """File, line and function of one thread, the innermost first."""
    return re.findall(r'File ".*?([^/]+/[^/]+\.py)", line (\d+) in (\w+)', story)


def _place(story: str) -> str:
    """Where a child died, by its last words; of one that hung, where each thread was."""
    is_of_all = "Current thread" not in story
    threads = story.split("Timeout (")[-1].split("Thread 0x") if is_of_all else [_own_thread(story)]
    found = [one for thread in threads for one in _frames(thread)[:1]]
    sanitizer = re.findall(r"ERROR: AddressSanitizer: (\S+)|runtime error: (.*)", story)
    words = [" ".join(filter(None, one)) for one in sanitizer[:1]]
    frames = [f"{path}:{line} {function}" for path, line, function in found]
    return "".join(f" ({one})" for one in [*words, *frames])


def random_names(seed: int, entrances: list[str]) -> Iterator[Name]:
    """Cases without end."""
    chooser = random.Random(seed)
    weights = [ENTRANCES[name].share or 1 for name in entrances]
    while True:
        yield Name(chooser.choices(entrances, weights)[0], chooser.getrandbits(40))


def fuzz(names: Iterator[Name], patience: float, batch: int, seconds: float | None = None) -> Report:
    """Runs cases until there are none left, or the time is over."""
    report, end = Report(tells=True), None if seconds is None else time.monotonic() + seconds
    left: list[Name] = []
    while end is None or time.monotonic() < end:
        left += itertools.islice(names, batch - len(left))
        if not left:
            break
        left = run(left, patience, report)
    return report


def sweep(entrances: list[str], each: int) -> list[Name]:
    """Every kind of every argument of these entrances, `each` times."""
    names = []
    for entrance in entrances:
        for argument, kinds in _told_by_a_child(entrance).items():
            for kind, seeds in kinds.items():
                names += [Name(entrance, seed, argument, kind) for seed in seeds[:each]]
    return names


def _told_by_a_child(entrance: str) -> dict[str, dict[str, list[int]]]:
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        with os.fdopen(writing, "w") as out:
            json.dump(worker.arguments_of(entrance, range(24)), out)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as told:
        found: dict[str, dict[str, list[int]]] = json.load(told)
    os.waitpid(pid, 0)
    return found
