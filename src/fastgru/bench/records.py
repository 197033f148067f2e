"""Files of benchmark runs: the machine, its limits and all figures as JSON."""

from __future__ import annotations

import json
import math
import os
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

import fastgru
from fastgru.atomic_files import atomic_write
from fastgru.bench.cases import Case
from fastgru.bench.limits import Limits, ThreadLimits, limit_ms
from fastgru.bench.measuring import Figure
from fastgru.bench.summaries import summarize
from fastgru.errors import FastGRUError


@dataclass(frozen=True)
class Record:
    """The results of one run of the benchmark.

    Attributes:
        machine: the result of `machine`.
        limits: the limits of the machine; None in old files without them.
        figures: the results of all cells.
    """

    machine: dict[str, Any]
    limits: Limits | None
    figures: Sequence[Figure]

    def percent(self, figure: Figure) -> float | None:
        """The percentage of the limit that our layer reaches in this cell; None without limits."""
        return None if self.limits is None else 100 * limit_ms(figure.case, self.limits) / figure.fastgru_ms


class ForeignFile(FastGRUError, ValueError):  # noqa: N818  (it is what was given)
    """A file that is not a complete benchmark file."""


def machine() -> dict[str, Any]:
    """The machine and the versions with which figures are measured."""
    return {
        "processor": processor_name(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "level": next(level.name for level in fastgru.cpu_info() if level.active),
        "torch_level": torch.backends.cpu.get_cpu_capability(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "fastgru": fastgru.__version__,
        "revision": revision(),
    }


def processor_name() -> str:
    """The name of the processor."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass  # not Linux
    return platform.processor() or platform.machine()


def revision() -> str | None:
    """Git's description of the running checkout, with ``-dirty`` if files were changed; None outside of one."""
    package = Path(fastgru.__file__).parent
    try:
        # An installed package may be inside a checkout of another project.
        _git(package, "ls-files", "--error-unmatch", "__init__.py")
        return _git(package, "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*")
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(directory: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", "-C", str(directory), *arguments], capture_output=True, text=True, check=True
    ).stdout.strip()


def write_json(path: Path, record: Record) -> None:
    """Writes the record as JSON, atomically."""
    content = {
        "machine": record.machine,
        "limits": None if record.limits is None else asdict(record.limits),
        "cells": [{**asdict(figure), "percent_of_limit": record.percent(figure)} for figure in record.figures],
        "summary": [asdict(summary) for summary in summarize(record.figures)],
    }
    with atomic_write(path) as partial:
        partial.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def read_json(path: Path) -> Record:
    """Reads a record that `write_json` wrote.

    Raises:
        ForeignFile: if the file has another content.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        limits = content.get("limits")
        figures = [_figure(cell) for cell in content["cells"]]
        if not figures:
            raise ValueError("no cells")
        record = Record(dict(content["machine"]), None if limits is None else _limits(limits), figures)
        for figure in figures:
            record.percent(figure)  # raises if the limits do not fit the cells
        return record
    except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError) as error:
        raise ForeignFile(
            f"{path} is not a complete file from `fastgru bench --json` ({type(error).__name__}: {error}). "
            "Give a file that this command wrote."
        ) from error


def _figure(cell: dict[str, Any]) -> Figure:
    case = Case(**cell["case"])
    if not all(isinstance(n, int) for n in (case.batch, case.steps, case.hidden, case.layers, case.threads)):
        raise ValueError(f"sizes of {case} are not integers")
    torch_ms, fastgru_ms, ratio = (float(cell[name]) for name in ("torch_ms", "fastgru_ms", "ratio"))
    if not all(math.isfinite(value) and value > 0 for value in (torch_ms, fastgru_ms, ratio)):
        raise ValueError(f"times of {case} are not positive")
    share = float(cell.get("share", 1.0))  # missing in old files
    return Figure(case, torch_ms, fastgru_ms, ratio, float(cell["spread"]), int(cell["rounds"]), share)


def _limits(limits: dict[str, Any]) -> Limits:
    by_threads = tuple(ThreadLimits(**row) for row in limits["by_threads"])
    return Limits(limits["level"], limits["dtype"], limits["caches"], by_threads)
