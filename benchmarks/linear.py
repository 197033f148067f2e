"""`fastgru.Linear` beside `torch.nn.Linear`, in turns in one process: every cell, and the largest ratio.

    python benchmarks/linear.py --threads 1 --rows 32 512 --sizes 64 256 1024 --seconds 60 [--train]

A cell is a number of rows, of inputs and of outputs; times are medians in microseconds. A training step computes the
output and the gradients of input, weight and bias. To measure under another level, set FASTGRU_ISA.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time
from collections.abc import Callable

import torch
from torch import nn

import fastgru

Call = Callable[[], object]


def call_of(layer: nn.Linear, x: torch.Tensor, trains: bool) -> Call:
    """One call, or one training step."""
    if not trains:
        return torch.no_grad()(lambda: layer(x))
    own, seed = x.clone().requires_grad_(), torch.randn(x.shape[0], layer.out_features)
    wanted = [own, *layer.parameters()]
    return lambda: torch.autograd.grad(layer(own), wanted, seed)


def seconds_of(call: Call, repeats: int) -> float:
    """Of one call, over so many."""
    begin = time.perf_counter()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - begin) / repeats


def medians(calls: list[Call], seconds: float) -> list[float]:
    """Of each, in turns for so long."""
    for call in calls:
        seconds_of(call, 10)
    repeats = max(1, int(2e-4 / seconds_of(calls[0], 3)))
    rounds: list[list[float]] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(rounds) < 3:
        rounds.append([seconds_of(call, repeats) for call in calls])
    return [statistics.median(times) for times in zip(*rounds, strict=True)]


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rows", type=int, nargs="+", default=[32, 128, 512])
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 128, 256, 512, 1024])
    parser.add_argument("--seconds", type=float, default=60, help="for all cells together")
    parser.add_argument("--train", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    cells = list(itertools.product(options.rows, options.sizes, options.sizes))
    print(f"level {[level.name for level in fastgru.cpu_info() if level.active]}, {options.threads} threads")
    print("rows inputs outputs     torch      ours  ratio")
    worst = 0.0
    for rows, inputs, outputs in cells:
        stock, ours = nn.Linear(inputs, outputs), fastgru.Linear(inputs, outputs)
        ours.load_state_dict(stock.state_dict())
        x = torch.randn(rows, inputs)
        calls = [call_of(layer, x, options.train) for layer in (stock, ours)]
        theirs, mine = medians(calls, options.seconds / len(cells))
        worst = max(worst, mine / theirs)
        print(
            f"{rows:4d} {inputs:6d} {outputs:7d} {theirs * 1e6:9.1f} {mine * 1e6:9.1f} {mine / theirs:6.2f}", flush=True
        )
    print(f"largest ratio {worst:.2f}")


if __name__ == "__main__":
    main()
