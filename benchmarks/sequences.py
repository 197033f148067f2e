"""The cost of lengths and resets against the plain call: `python benchmarks/sequences.py [THREADS]`.

Use a quiet machine. Calls take turns, each after one that is not counted; figures are ratios of medians. A useful row
is a step before a sequence's end: its time is compared with that of a row of a full batch.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

import torch

import fastgru

CELLS = ((64, 32, 100), (64, 128, 100), (128, 32, 100), (256, 32, 100), (256, 8, 200), (512, 32, 50))  # H, B, T
ROUNDS = 41


def medians(calls: list[Callable[[], object]]) -> list[float]:
    """Seconds of each call."""
    times: list[list[float]] = [[] for _ in calls]
    for _ in range(ROUNDS):
        for call, own in zip(calls, times, strict=True):
            call()
            begin = time.perf_counter()
            call()
            own.append(time.perf_counter() - begin)
    return [statistics.median(own) for own in times]


def ratios(hidden: int, rows: int, steps: int, trains: bool) -> list[float]:
    """Over the plain call: equal lengths, a useful row of lengths drawn evenly, resets at every fiftieth step."""
    layer, x = fastgru.GRU(hidden, hidden), torch.randn(steps, rows, hidden)
    lengths = torch.randint(1, steps + 1, (rows,))
    bounds = [
        {},
        {"lengths": torch.full((rows,), steps)},
        {"lengths": lengths},
        {"reset": torch.rand(steps, rows) < 0.02},
    ]

    def call(own: dict[str, torch.Tensor]) -> None:
        layer.zero_grad()
        with torch.set_grad_enabled(trains):
            output, _ = layer(x, **own)
        if trains:
            output.sum().backward()

    plain, equal, ragged, reset = medians([lambda own=own: call(own) for own in bounds])
    return [equal / plain, ragged / plain * steps * rows / int(lengths.sum()), reset / plain]


def main() -> None:
    """Prints a table."""
    torch.set_num_threads(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
    torch.manual_seed(0)
    print("| H, B, T | equal lengths | useful row | resets | in training: the same |\n|---|---|---|---|---|")
    for cell in CELLS:
        found = [[f"{ratio:.2f}" for ratio in ratios(*cell, trains)] for trains in (False, True)]
        print("|", ", ".join(map(str, cell)), "|", " | ".join([*found[0], ", ".join(found[1])]), "|", flush=True)


if __name__ == "__main__":
    main()
