"""Measures what part of the multipliers' peak the kernels reach on one thread, and the time of single steps.

Run `peak.py --json figures.json`; see README.md.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import time
from pathlib import Path

import torch

import fastgru
from fastgru import GRUSpec, _core
from fastgru.backends.cpu import core_calls

HIDDEN, BATCH, STEPS = (8, 16, 32, 64, 128, 256, 512), (1, 8, 32, 128), 100
TURN_SECONDS = 0.02
ROUNDS = 15


class Problem:
    """Forward and backward of one layer, straight to the core, with memory that stays the same."""

    def __init__(self, hidden: int, batch: int) -> None:
        torch.manual_seed(0)
        spec = GRUSpec(hidden, hidden)
        self._sizes = core_calls.sizes_for(spec, torch.float32)
        x, d_output = torch.randn(2, STEPS, batch, hidden)
        h_0, d_h_n = torch.zeros(2, 1, batch, hidden)
        parameters = tuple(hidden**-0.5 * (2 * torch.rand(shape) - 1) for shape in spec.parameter_shapes)
        self._inputs = x, h_0, parameters, None, None, None, None, False
        saved = torch.empty(self._sizes.saved_values(STEPS * batch, STEPS * batch, False))
        self._results = torch.empty_like(d_output), torch.empty_like(h_0)
        self._saved, self._outer = saved, (d_output, d_h_n)
        self._gradients = tuple(torch.empty_like(tensor) for tensor in (x, h_0, h_0, *parameters))
        self.forward_flops = 2 * 3 * hidden * 2 * hidden * STEPS * batch

    def infer(self) -> None:
        """The forward pass with nothing kept."""
        self._sizes.forward(*self._inputs, None, False, 1, (*self._results, None))

    def train(self) -> None:
        """The forward pass that keeps what the backward pass needs."""
        self._sizes.forward(*self._inputs, None, False, 1, (*self._results, self._saved))

    def backward(self) -> None:
        """The backward pass alone."""
        self._sizes.backward(*self._inputs, self._results[0], self._saved, False, *self._outer, self._gradients, 1)


def seconds(call) -> float:
    """The mean time of a call, over about a turn."""
    count, start = 0, time.perf_counter()
    while (spent := time.perf_counter() - start) < TURN_SECONDS or count == 0:
        call()
        count += 1
    return spent / count


def peak() -> float:
    """Operations per second of multiply-adds in registers, now."""
    rounds = 1 << 15
    start = time.perf_counter()
    done = _core.fma_chains(False, rounds)
    return 2 * done / (time.perf_counter() - start)


def percents(hidden: int, batch: int) -> dict[str, float]:
    """The percents of the peak that the passes of a cell reach, each against the peak measured beside it."""
    problem = Problem(hidden, batch)
    problem.train()
    passes = {
        "inference": (problem.infer, 1),
        "training forward": (problem.train, 1),
        "backward": (problem.backward, 2),
    }
    found: dict[str, list[float]] = {name: [] for name in passes}
    for _ in range(ROUNDS):
        for name, (call, products) in passes.items():
            call()
            most = max(peak(), peak())
            found[name].append(100 * products * problem.forward_flops / seconds(call) / most)
    return {name: round(statistics.median(values), 1) for name, values in found.items()}


def step_microseconds(hidden: int) -> dict[str, float]:
    """Microseconds of one step of one row: the plain module, the frozen one, the stepper, torch's."""
    layer, frozen = fastgru.GRU(hidden, hidden), fastgru.GRU(hidden, hidden).freeze()
    stepper = fastgru.GRU(hidden, hidden).stepper(1)
    stock = torch.nn.GRU(hidden, hidden)
    x, h, row = torch.randn(1, 1, hidden), torch.zeros(1, 1, hidden), torch.randn(1, hidden)
    calls = {
        "plain": lambda: layer(x, h),
        "frozen": lambda: frozen(x, h),
        "stepper": lambda: stepper(row),
        "torch": lambda: stock(x, h),
    }
    found: dict[str, list[float]] = {name: [] for name in calls}
    with torch.no_grad():
        for _ in range(ROUNDS):
            for name, call in calls.items():
                call()
                found[name].append(1e6 * seconds(call))
    return {name: round(statistics.median(values), 2) for name, values in found.items()}


def measure(level: str, hidden: list[int], batch: list[int]) -> dict:
    """All figures at a level."""
    if not _core.set_active_level(level):
        raise SystemExit(f"this processor has no {level}")
    cells = []
    for size, rows in itertools.product(hidden, batch):
        cells.append({"level": level, "hidden": size, "batch": rows, "percent": percents(size, rows)})
        print(f"{level} H={size} B={rows}: {cells[-1]['percent']}", flush=True)
    steps = [{"level": level, "hidden": size, "us": step_microseconds(size)} for size in hidden]
    for step in steps:
        print(f"{level} H={step['hidden']} one step, us: {step['us']}", flush=True)
    return {"cells": cells, "steps": steps}


def main() -> None:
    """Measures every level that this processor has, or the one that was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    levels = [name for name, is_there in _core.levels() if is_there and name != "baseline"]
    parser.add_argument("--level", nargs="*", default=levels, choices=levels)
    parser.add_argument("--hidden", type=int, nargs="*", default=HIDDEN)
    parser.add_argument("--batch", type=int, nargs="*", default=BATCH)
    parser.add_argument("--json", type=Path, help="where to write the figures")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    found: dict[str, list] = {"cells": [], "steps": []}
    for level in chosen.level:
        for name, rows in measure(level, chosen.hidden, chosen.batch).items():
            found[name] += rows
    if chosen.json:
        chosen.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
