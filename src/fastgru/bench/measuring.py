"""Measurements of our layer against `torch.nn.GRU` on this machine.

A figure is a ratio of medians of interleaved rounds in one process, with the same number of threads. Results are
compared first; if they differ, there is no figure.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.rnn import GRU as STOCK_GRU

from fastgru.bench.cases import Case
from fastgru.bench.limits import Limits, share_of_peak
from fastgru.errors import FastGRUError
from fastgru.nn.gru import GRU

# The layers differ in the last bits, and more over long sequences. A wrong result differs much more.
_RELATIVE_DIFFERENCE = {torch.float32: 1e-4, torch.float64: 1e-11}
# Spread divided by ratio: at most 0.07 on a quiet machine; 0.4 to 2.9 with two threads while another program ran. This
# slows torch more than us, because its threads spin while they wait, and makes the ratio up to four times too high.
MOST_SPREAD = 0.25
# Two virtual processors may share one core for seconds or minutes. Then two threads of either library are as fast as
# one. Such a cell is measured again after a pause.
LEAST_SHARE = 0.8
_ATTEMPTS = 5
_PAUSE_SECONDS = 2.0
# Minimum rounds of each cell for any budget; fewer if one round takes more than a second.
_LEAST_ROUNDS, _LEAST_SLOW_ROUNDS = 5, 3
_SLOW_SECONDS = 1.0
# Each turn begins with one call that is not measured. The graph of a training step of torch leaves thousands of freed
# blocks, and the next large allocation merges them: 0.2 to 0.4 ms that belong to torch. This does not matter if a call
# takes much longer.
_SECONDS_WORTH_WARMING = 0.05


@dataclass(frozen=True)
class Figure:
    """The result of one cell.

    Attributes:
        case: the cell.
        torch_ms: median time of torch.nn.GRU in milliseconds.
        fastgru_ms: median time of our layer in milliseconds.
        ratio: torch_ms / fastgru_ms.
        spread: half the distance between the quartiles of the ratios of single rounds.
        rounds: the number of measured rounds.
        share: fraction of their peak that the threads reached before and after the cell; 1 if not measured.
    """

    case: Case
    torch_ms: float
    fastgru_ms: float
    ratio: float
    spread: float
    rounds: int
    share: float = 1.0

    @property
    def is_disturbed(self) -> bool:
        """Whether other programs probably disturbed the cell: by the spread of rounds, or the share of the peak."""
        return self.spread > MOST_SPREAD * self.ratio or self.share < LEAST_SHARE


class DifferentResults(FastGRUError, RuntimeError):  # noqa: N818  (it is what happened)
    """The results of our layer and torch's differ, so a ratio would be meaningless."""


def measure(case: Case, budget: float = 1.0) -> Figure:
    """Measures one cell.

    Args:
        case: the cell.
        budget: seconds of measured time. At least five rounds are measured, or three of slow cells.

    Raises:
        DifferentResults: if the results of the layers differ.

    Example:
        >>> from fastgru.bench import Case, measure
        >>> measure(Case(batch=1, steps=5, hidden=8), budget=0.01).rounds >= 5
        True
    """
    with _threads(case.threads):
        stock, ours, x = _layers(case)
        d_output = torch.randn(*x.shape[:2], case.hidden * (2 if case.bidirectional else 1), dtype=x.dtype)
        _compare(case, _results(case, stock, x, d_output), _results(case, ours, x, d_output))
        calls = [_call(case, layer, x, d_output) for layer in (stock, ours)]
        rounds = list(_rounds(calls, [[x, *layer.parameters()] for layer in (stock, ours)], budget))
    torch_s, fastgru_s = (statistics.median(times) for times in zip(*rounds, strict=True))
    quartiles = statistics.quantiles([a / b for a, b in rounds], n=4)
    return Figure(
        case,
        torch_ms=torch_s * 1e3,
        fastgru_ms=fastgru_s * 1e3,
        ratio=torch_s / fastgru_s,
        spread=(quartiles[2] - quartiles[0]) / 2,
        rounds=len(rounds),
    )


def measure_at_peak(case: Case, limits: Limits, budget: float = 1.0) -> Figure:
    """Like `measure`, repeated at most five times until threads reach their peak before and after it.

    Example:
        >>> from fastgru.bench import Case, machine_limits, measure_at_peak
        >>> measure_at_peak(Case(batch=1, steps=5, hidden=8), machine_limits([1]), budget=0.01).share > 0
        True
    """
    for attempt in range(_ATTEMPTS):
        if attempt > 0:
            time.sleep(_PAUSE_SECONDS)
        before = share_of_peak(limits, case.threads)
        figure = measure(case, budget)
        figure = replace(figure, share=min(before, share_of_peak(limits, case.threads)))
        if figure.share >= LEAST_SHARE:
            break
    return figure


def _layers(case: Case) -> tuple[STOCK_GRU, GRU, Tensor]:
    torch.manual_seed(0)
    dtype = getattr(torch, case.dtype)
    stock = STOCK_GRU(case.hidden, case.hidden, case.layers, bidirectional=case.bidirectional, dtype=dtype)
    x = torch.randn(case.steps, case.batch, case.hidden, dtype=dtype, requires_grad=case.train)
    ours = GRU.from_torch(stock)
    if case.frozen:
        _freeze(ours)
    return stock, ours, x


def _freeze(layer: Any) -> None:
    layer.freeze()


def _results(case: Case, layer: nn.Module, x: Tensor, d_output: Tensor) -> list[Tensor]:
    """Output and h_n, and in training all gradients."""
    with torch.set_grad_enabled(case.train):
        output, h_n = layer(x)
    if not case.train:
        return [output, h_n]
    gradients = torch.autograd.grad([output, h_n], [x, *layer.parameters()], [d_output, torch.ones_like(h_n)])
    return [output.detach(), h_n.detach(), *gradients]


def _compare(case: Case, expected: Sequence[Tensor], got: Sequence[Tensor]) -> None:
    for want, have in zip(expected, got, strict=True):
        if want.shape != have.shape:
            raise DifferentResults(
                f"results of {case} have shape {tuple(have.shape)} instead of {tuple(want.shape)}. Please report this."
            )
        difference = ((want - have).abs().max() / want.abs().max().clamp_min(1e-30)).item()
        if not difference <= _RELATIVE_DIFFERENCE[want.dtype]:
            raise DifferentResults(
                f"results of {case} differ by {difference:.2g} of their size, more than "
                f"{_RELATIVE_DIFFERENCE[want.dtype]:g}, so no speed is given. Please report this."
            )


def _call(case: Case, layer: nn.Module, x: Tensor, d_output: Tensor) -> Callable[[], None]:
    def infer() -> None:
        with torch.no_grad():
            layer(x)

    def train() -> None:
        layer(x)[0].backward(d_output)

    return train if case.train else infer


def _rounds(
    calls: Sequence[Callable[[], None]], leaves: Sequence[Sequence[Tensor]], budget: float
) -> Iterator[tuple[float, float]]:
    """Seconds of both calls in turns. Short calls are repeated within a round, because of the clock's resolution."""
    with _no_garbage_collection():
        times = [_time(call, own, 1) for call, own in zip(calls, leaves, strict=True)]  # also warms up
        least = _LEAST_SLOW_ROUNDS if sum(times) > _SLOW_SECONDS else _LEAST_ROUNDS
        if least == _LEAST_ROUNDS:
            times = [_time(call, own, 2) for call, own in zip(calls, leaves, strict=True)]
        repeats = [max(1, min(500, int(2e-3 / seconds))) for seconds in times]
        spent, count = 0.0, 0
        warms_up = max(times) < _SECONDS_WORTH_WARMING
        while count < least or spent < budget:
            start = time.perf_counter()
            turn = []
            for call, own, repeat in zip(calls, leaves, repeats, strict=True):
                if warms_up:
                    _time(call, own, 1)
                turn.append(_time(call, own, repeat))
            spent += time.perf_counter() - start
            count += 1
            yield turn[0], turn[1]


def _time(call: Callable[[], None], leaves: Sequence[Tensor], repeats: int) -> float:
    """Mean seconds of `repeats` calls. Gradients are cleared outside the measured time."""
    total = 0.0
    for _ in range(repeats):
        for leaf in leaves:
            leaf.grad = None
        start = time.perf_counter()
        call()
        total += time.perf_counter() - start
    return total / repeats


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    was_enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
