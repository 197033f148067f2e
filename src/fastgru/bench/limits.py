"""The limits of this machine: measured speed of multipliers and caches, and the shortest possible time of a cell."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from fastgru import _core
from fastgru.bench.cases import Case

MEMORY = "memory"
# Used if the system does not report sizes: minimum sizes of current processors.
_USUAL_CACHES = {"L1": 32 << 10, "L2": 512 << 10, "L3": 8 << 20}
_SHARED = ("L3", MEMORY)  # shared by the cores; each core has its own L1 and L2
_MOST_MEMORY = 1 << 30
_SLICE = 0.01  # seconds of one measurement, shorter than the time slice of another program
_ATTEMPTS = 8  # the best one counts, because disturbances only make it slower


@dataclass(frozen=True)
class ThreadLimits:
    """The limits of a number of threads together.

    Attributes:
        threads: the number of threads.
        peak_gflops: operations of multiply-adds in registers, two each, in 1e9 per second.
        read_gbs: speed of reading from ``"L1"``, ``"L2"``, ``"L3"`` and ``"memory"``, in 1e9 bytes per second.
    """

    threads: int
    peak_gflops: float
    read_gbs: Mapping[str, float]


@dataclass(frozen=True)
class Limits:
    """The limits of the machine at one instruction-set level.

    Attributes:
        level: the instruction-set level.
        dtype: the dtype for which `peak_gflops` was measured.
        caches: bytes of ``"L1"`` and ``"L2"`` of a core, and of ``"L3"`` of the processor.
        by_threads: the limits for each requested number of threads.
    """

    level: str
    dtype: str
    caches: Mapping[str, int]
    by_threads: tuple[ThreadLimits, ...]

    def of(self, threads: int) -> ThreadLimits:
        """The limits for a number of threads.

        Raises:
            ValueError: if they were not measured.
        """
        for limits in self.by_threads:
            if limits.threads == threads:
                return limits
        measured = ", ".join(str(limits.threads) for limits in self.by_threads)
        raise ValueError(f"no limits were measured for {threads} threads, only for {measured}. Measure them too.")

    def home(self, size: int, threads: int) -> str:
        """The nearest cache that holds `size` bytes, spread evenly over the cores of the threads."""
        for name, capacity in self.caches.items():
            if size <= capacity * (1 if name in _SHARED else threads):
                return name
        return MEMORY


def machine_limits(threads: Iterable[int], dtype: str = "float32") -> Limits:
    """Measures the machine at the active level, in less than a second for each number of threads.

    Example:
        >>> from fastgru.bench import machine_limits
        >>> machine_limits([1]).of(1).peak_gflops > 0
        True
    """
    caches = cache_sizes()
    counts = sorted(set(threads))
    return Limits(_core.active_level(), dtype, caches, tuple(_thread_limits(n, dtype, caches) for n in counts))


def better(first: Limits, second: Limits) -> Limits:
    """The higher of each figure from two measurements of one machine: disturbances only make figures lower.

    Example:
        >>> from fastgru.bench import better, machine_limits
        >>> limits = machine_limits([1])
        >>> better(limits, limits) == limits
        True
    """
    return replace(
        first,
        by_threads=tuple(
            ThreadLimits(
                a.threads,
                max(a.peak_gflops, b.peak_gflops),
                {name: max(a.read_gbs[name], b.read_gbs[name]) for name in a.read_gbs},
            )
            for a, b in zip(first.by_threads, second.by_threads, strict=True)
        ),
    )


def share_of_peak(limits: Limits, threads: int) -> float:
    """The fraction of their peak that the threads reach now. Takes some hundredths of a second."""
    peak = _best_rate(threads, _chains(limits.dtype), attempts=3) / 1e9
    return peak / limits.of(threads).peak_gflops


def limit_ms(case: Case, limits: Limits) -> float:
    """The shortest possible time of `case` in milliseconds: the longer one of arithmetic and reading of weights.

    Arithmetic: each row, step, layer and direction takes 2 * 3H * (I + H) operations, training three times as many
    (the gradients of input and weights are products of the same size), at the peak of all threads. The activations
    are not counted.

    Weights: a step needs all 3H * H recurrence weights for each layer and direction, and the next step needs its
    result. So they are read once per step, and once more in the backward pass, from the nearest cache that holds
    those of one layer and direction. A step can be divided among threads by rows (each reads all weights) or by
    columns (each reads its part). The second way is assumed, which reads less: all threads together read one copy,
    each from its own cache. Input weights are read once per call and are not counted; neither are input and output.
    """
    machine = limits.of(case.threads)
    directions = 2 if case.bidirectional else 1
    widths = [case.hidden] + [case.hidden * directions] * (case.layers - 1)
    recurrences = directions * case.layers * case.steps
    products = sum(2 * 3 * case.hidden * (width + case.hidden) for width in widths)
    flops = products * directions * case.batch * case.steps * (3 if case.train else 1)
    weights = 3 * case.hidden * case.hidden * (8 if case.dtype == "float64" else 4)
    read_gbs = machine.read_gbs[limits.home(weights, case.threads)]
    traffic = weights * recurrences * (2 if case.train else 1)
    return max(flops / machine.peak_gflops, traffic / read_gbs) / 1e6


def cache_sizes() -> dict[str, int]:
    """Sizes in bytes of the data caches of the first core, as reported by the system."""
    sizes = dict(_USUAL_CACHES)
    for cache in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*"):
        try:
            level, kind, size = ((cache / name).read_text().strip() for name in ("level", "type", "size"))
        except OSError:
            continue  # some virtual machines hide it
        if kind != "Instruction" and f"L{level}" in sizes and size.endswith("K"):
            sizes[f"L{level}"] = int(size[:-1]) << 10
    return sizes


def _thread_limits(threads: int, dtype: str, caches: Mapping[str, int]) -> ThreadLimits:
    peak = _best_rate(threads, _chains(dtype))
    reads = {}
    for name, size in _working_sets(threads, caches).items():
        values = [torch.ones(size // 4) for _ in range(threads)]

        def read(thread: int, repeats: int, values: list[torch.Tensor] = values) -> float:
            _core.read_all(values[thread].data_ptr(), values[thread].numel(), repeats)
            return 4 * values[thread].numel() * repeats

        reads[name] = _best_rate(threads, read) / 1e9
    return ThreadLimits(threads, peak / 1e9, reads)


def _chains(dtype: str) -> Callable[[int, int], float]:
    is_double = dtype == "float64"
    return lambda _, rounds: 2 * _core.fma_chains(is_double, rounds)


def _working_sets(threads: int, caches: Mapping[str, int]) -> dict[str, int]:
    """Bytes that each thread reads: half of its own cache, its part of a quarter of a shared one, or much more."""
    sets = {name: size // (4 * threads if name in _SHARED else 2) for name, size in caches.items()}
    sets[MEMORY] = min(4 * caches["L3"], _MOST_MEMORY) // threads
    return sets


def _best_rate(threads: int, work: Callable[[int, int], float], attempts: int = _ATTEMPTS) -> float:
    """The highest rate of work per second of all threads together.

    Args:
        threads: the number of threads.
        work: called with the index of its thread and a number of repeats; returns the amount of work.
        attempts: the number of measurements, of which the best counts.
    """
    rates: list[float] = []
    repeats = 1
    with ThreadPoolExecutor(threads) as pool:
        # Repeats are not fixed in advance, where one disturbance would make every later run too short.
        while len(rates) < attempts:
            done, seconds = _together(pool, threads, work, repeats)
            if seconds < _SLICE:
                repeats *= 2
            else:
                rates.append(done / seconds)
    return max(rates)


def _together(
    pool: ThreadPoolExecutor, threads: int, work: Callable[[int, int], float], repeats: int
) -> tuple[float, float]:
    """The work of all threads, and the seconds from the first start to the last end."""
    start_line = threading.Barrier(threads)

    def run(thread: int) -> tuple[float, float, float]:
        start_line.wait()
        start = time.perf_counter()
        done = work(thread, repeats)
        return done, start, time.perf_counter()

    done, starts, ends = zip(*pool.map(run, range(threads)), strict=True)
    return sum(done), max(ends) - min(starts)
