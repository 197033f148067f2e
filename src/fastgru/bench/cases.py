"""The cells of the benchmark, and grids of cells."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import product

import torch

_FULL_HIDDEN = (32, 64, 128, 256, 512, 1024)
_FULL_BATCH = (1, 8, 32, 128)
_LONG = ((1, 5000, 64), (16, 1000, 32))  # B, T, H
_FULL_TRAINING = 512  # the largest H that is trained; for larger ones torch takes seconds for each round


@dataclass(frozen=True)
class Case:
    """One cell of a benchmark.

    Attributes:
        batch: the batch size, B.
        steps: the number of steps, T.
        hidden: the hidden size, H, which is also the input size.
        layers: the number of layers, L.
        train: forward and backward instead of forward only.
        threads: the number of threads of both layers.
        bidirectional: whether there is a second direction.
        dtype: ``"float32"`` or ``"float64"``.
        frozen: whether our layer is frozen first.
    """

    batch: int
    steps: int
    hidden: int
    layers: int = 1
    train: bool = False
    threads: int = 1
    bidirectional: bool = False
    dtype: str = "float32"
    frozen: bool = False


def all_threads() -> list[int]:
    """One thread, and the number of threads that torch uses."""
    return sorted({1, torch.get_num_threads()})


def default_cases(threads: Iterable[int] = (), dtype: str = "float32") -> list[Case]:
    """The default grid: B in 1, 8, 32; H = I in 32 ... 256; T = 100; both modes; and one cell with a single step."""
    cases = [Case(batch=1, steps=1, hidden=64, dtype=dtype)]
    grid = product(list(threads) or all_threads(), (False, True), (32, 64, 128, 256), (1, 8, 32))
    return cases + [
        Case(batch, 100, hidden, train=train, threads=count, dtype=dtype) for count, train, hidden, batch in grid
    ]


def full_cases(threads: Iterable[int] = (), dtype: str = "float32") -> list[Case]:
    """The full grid: up to H = 1024 and B = 128 (training up to H = 512), single steps, two layers, long sequences.

    Inference with B = 1 is measured plain and frozen.
    """
    modes = (False, True)
    shapes = [Case(1, 1, hidden) for hidden in (64, 256)]
    shapes += [
        Case(batch, 100, hidden, train=train)
        for train, hidden, batch in product(modes, _FULL_HIDDEN, _FULL_BATCH)
        if not train or hidden <= _FULL_TRAINING
    ]
    shapes += [Case(32, 100, hidden, 2, train, bidirectional=True) for train, hidden in product(modes, (128, 256))]
    shapes += [Case(batch, steps, hidden, train=train) for train in modes for batch, steps, hidden in _LONG]
    shapes += [replace(case, frozen=True) for case in shapes if case.batch == 1 and not case.train]
    counts = list(threads) or all_threads()
    return [replace(case, threads=count, dtype=dtype) for count, case in product(counts, shapes)]
