"""How many floating-point operations the operators stand for, as `torch.utils.flop_counter` counts them.

Counted is what torch counts for its own layer in the same call: two operations for each pair of numbers that a matrix
product multiplies, and nothing for gates. That a backward pass of ours computes something again does not change it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from fastgru.backends.cpu.ops import calls
from fastgru.call.request import Call
from fastgru.call.sequences import are_numbers


class _Rows(NamedTuple):
    """Steps of all sequences, and how many of them a direction takes at once where it begins."""

    steps: int
    first: tuple[int, int]


def _rows(call: Call) -> _Rows:
    """Of all models; padding counts where the lengths are no numbers yet."""
    (steps, rows), models, given = calls.sizes(call), call.x.shape[:-3].numel(), call.sequences.lengths
    if given is None or not are_numbers(given):
        full = models * rows
        return _Rows(full * steps, (full, full))
    lengths = given.expand(*call.x.shape[:-3], rows)
    longest = lengths.amax(-1, keepdim=True) if rows > 0 else lengths
    starts = lengths > 0, (lengths == longest) & (lengths > 0)
    return _Rows(int(lengths.sum()), (int(starts[0].sum()), int(starts[1].sum())))


def _products(call: Call) -> Iterator[tuple[int, int, int]]:
    """Of each layer and direction: the direction, and what one row costs by weight_ih and by weight_hh."""
    for cell in range(call.spec.num_layers * call.spec.num_directions):
        weight_ih, weight_hh = call.weights[cell * _per_cell(call) :][:2]
        by_input, by_state = (2 * w.shape[-2] * w.shape[-1] for w in (weight_ih, weight_hh))
        yield cell % call.spec.num_directions, by_input, by_state


def _per_cell(call: Call) -> int:
    return 4 if call.spec.bias else 2


def forward(*arguments: Any, out_val: Any = None) -> int:
    """Of a call of `fastgru.ops.forward`."""
    call = calls.of(calls.opened(arguments)[0])
    steps = _rows(call).steps
    return sum(steps * (by_input + by_state) for _, by_input, by_state in _products(call))


def backward(*arguments: Any, out_val: Any = None) -> int:
    """Of a call of `fastgru.ops.backward`."""
    given, wanted = calls.opened(arguments[4:])
    call = calls.of(given)
    return _backward(call, _rows(call), wanted)


def gradients(*arguments: Any, out_val: Any = None) -> int:
    """Of a call of `ops.gradients`."""
    batch_sizes, *others, wanted = arguments[9:]
    call = calls.of((*arguments[5:9], *others))
    if batch_sizes is None:
        return _backward(call, _rows(call), wanted)
    rows = _Rows(call.x.shape[0], (int(batch_sizes[0]), int(batch_sizes[-1])))
    return _backward(call, rows, wanted)


def _backward(call: Call, rows: _Rows, wanted: Sequence[bool]) -> int:
    wants_input, wants_start, wants_weights = wanted[0], any(wanted[1:3]), wanted[3:]
    directions, per_cell = call.spec.num_directions, _per_cell(call)
    total = 0
    follows: list[bool] = []
    for cell, (direction, by_input, by_state) in enumerate(_products(call)):
        if cell > 0 and cell % directions == 0:  # a layer's input is what the one below gives
            wants_input = any(follows[-directions:])
        own_weights = wants_weights[cell * per_cell :][:per_cell]
        follows.append(wants_input or wants_start or any(own_weights))
        through = _steps_back(rows, direction, wants_start) if follows[-1] else 0
        total += rows.steps * (by_input * (wants_input + own_weights[0]) + by_state * own_weights[1])
        total += through * by_state
    return total


def _steps_back(rows: _Rows, direction: int, wants_start: bool) -> int:
    """Rows whose gradient goes on to a state before them: where a sequence begins, only if that one wants it."""
    return rows.steps if wants_start else rows.steps - rows.first[direction]
