"""Tangents of a whole stack and of its gradients, in operators that any transform can differentiate further.

One layer after the other is pushed upwards, then pulled downwards; `ops.trajectory` does either for one layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from fastgru.backends.cpu.ops import core_tangents, trajectory, whole
from fastgru.backends.cpu.ops.recurrence import outer_sum, product, total
from fastgru.backends.cpu.ops.timing import Timing
from fastgru.backends.cpu.ops.trajectory import Cell, Passed
from fastgru.call.request import Call

_Maybe = Tensor | None
_Parts = Sequence[_Maybe]


class _Layer(NamedTuple):
    """A layer at a point, with its tangents."""

    x: Tensor
    projection: Tensor
    d_x: _Maybe
    d_projection: _Maybe
    passed: Passed


def tangents(call: Call, given: _Parts) -> tuple[Tensor, Tensor]:
    """The tangents of output and h_n.

    Args:
        call: of one model, or of many.
        given: tangents of what is differentiable; None where there is none.
    """

    def one(call: Call, given: _Parts) -> tuple[Tensor, Tensor]:
        timing = Timing(call)
        return _results(timing, _pushed(call, timing, given, goes_back=False))

    return whole.run(one, call, given)  # type: ignore[return-value]


def of_gradients(
    call: Call, given: _Parts, outer: _Parts, d_outer: _Parts, wanted: Sequence[bool]
) -> tuple[Tensor, Tensor, list[_Maybe]]:
    """The tangents of output and h_n, and those of the gradients; None where not wanted.

    The gradient of `<v, gradients>` is the derivative of the gradients towards v: so these are second gradients too.

    Args:
        call: as for `tangents`.
        given: as for `tangents`.
        outer: the gradients of output and h_n, at least one of them.
        d_outer: the tangents of these.
        wanted: for each of what is differentiable.
    """
    is_found = [is_one and t is not None for is_one, t in zip(wanted, call.inputs, strict=True)]

    def one(call: Call, given: _Parts, outer: _Parts, d_outer: _Parts) -> tuple[Tensor, ...]:
        timing = Timing(call)
        layers = _pushed(call, timing, given, goes_back=True)
        found = _pulled(call, timing, layers, outer, d_outer, is_found)
        return *_results(timing, layers), *[t for t in found if t is not None]

    output, h_n, *found = whole.run(one, call, given, outer, d_outer)
    left = iter(found)
    return output, h_n, [next(left) if is_one else None for is_one in is_found]


def second_gradients(
    call: Call, outer: _Parts, wanted: Sequence[bool], given: _Parts, asked: Sequence[bool]
) -> list[_Maybe]:
    """The gradients of what the operator `backward` gives, by d_output, d_h_n and what is differentiable.

    Args:
        call: of one model, or of many.
        outer: d_output and d_h_n.
        wanted: as for `backward`.
        given: gradients of what `backward` gave.
        asked: for each of what is differentiable, whether its gradient is wanted here.
    """
    towards = [t if is_one else None for t, is_one in zip(given, wanted, strict=True)]
    if all(t is None for t in towards):
        return [None] * (2 + len(asked))
    *results, found = of_gradients(call, towards, outer, (None, None), asked)
    return [None if d is None else t for d, t in zip(outer, results, strict=True)] + found


def _results(timing: Timing, layers: Sequence[_Layer]) -> tuple[Tensor, Tensor]:
    last_states = torch.cat([layer.passed.d_states[:, -1, 0] for layer in layers])
    return timing.leaving(timing.together(layers[-1].passed.d_states)), last_states


def _pushed(call: Call, timing: Timing, given: _Parts, goes_back: bool) -> list[_Layer]:
    x, d_x = timing.entering(call.x), None if given[0] is None else timing.entering(given[0])
    layers: list[_Layer] = []
    for index in range(call.spec.num_layers):
        layer = _pushed_layer(call, timing, index, x, d_x, given, goes_back)
        layers.append(layer)
        if index < call.spec.num_layers - 1:
            x, d_x = (timing.both(timing.together(states)) for states in layer.passed[:2])
    return layers


def _pushed_layer(
    call: Call, timing: Timing, index: int, x: Tensor, d_x: _Maybe, tangents: _Parts, goes_back: bool
) -> _Layer:
    projection, weight, *biases = timing.stacked(call.weights, index)
    _, d_h_0, d_reset_state, *d_weights = tangents
    d_projection, d_weight, *d_biases = timing.stacked(d_weights, index)
    assert projection is not None
    assert weight is not None
    bias_ih, bias_hh = biases or [weight.new_zeros(weight.shape[:2])] * 2
    d_bias_ih, d_bias_hh = d_biases or (None, None)
    a = _sum_of_products([(x, projection)], bias_ih)
    zeros = x.new_zeros(len(weight), 1, 1, x.shape[3], weight.shape[-1])
    start, d_start = timing.start(zeros, call.h_0, call.sequences.reset_state, index), None
    if d_h_0 is not None or d_reset_state is not None:
        d_start = timing.start(zeros, d_h_0, d_reset_state, index)
    cell = Cell(a, start, weight, bias_hh, timing.alive, timing.marks)  # type: ignore[arg-type]
    d_a = _sum_of_products([(d_x, projection), (x, d_projection)], d_bias_ih)
    given = d_a, d_start, d_weight, d_bias_hh
    passed = core_tangents.pass_through(cell, given) or trajectory.pass_through(cell, given, goes_back)
    return _Layer(x, projection, d_x, d_projection, passed)


def _sum_of_products(pairs: Sequence[tuple[_Maybe, _Maybe]], bias: _Maybe) -> _Maybe:
    """(D, ..., A) by (D, C, A), as a layer has its weights; None where all are missing."""
    products = [product(u, weight.mT) for u, weight in pairs if u is not None and weight is not None]
    return total([*products, None if bias is None else bias[:, None, None, None]])


def _pulled(
    call: Call, timing: Timing, layers: Sequence[_Layer], outer: _Parts, d_outer: _Parts, wanted: Sequence[bool]
) -> list[_Maybe]:
    """The tangents of the gradients, from the last layer to the first."""
    above: list[_Maybe] = [None if t is None else timing.turned(t) for t in (outer[0], d_outer[0])]
    starts: list[Tensor] = []
    weights: list[_Maybe] = []
    wants = wanted[0], wanted[1] or wanted[2], any(wanted[3:])
    for index in reversed(range(call.spec.num_layers)):
        layer = layers[index]
        gradients = [
            timing.of_states(layer.passed.states, t, d[1], index) for t, d in zip(above, (outer, d_outer), strict=True)
        ]
        below, d_start, found = _pulled_layer(layer, gradients, (index > 0 or wants[0], *wants[1:]))
        above = [None if t is None else timing.summed(t) for t in below]
        if d_start is not None:
            starts.insert(0, d_start)
        kinds = found[: len(call.weights) // (call.spec.num_layers * timing.directions)]
        weights = [None if t is None else t[d] for d in range(timing.directions) for t in kinds] + weights
    d_h_0, d_reset_state = timing.started(starts, call.sequences.reset_state)
    d_x = timing.leaving(above[1]) if wanted[0] and above[1] is not None else None
    return [t if is_one else None for t, is_one in zip([d_x, d_h_0, d_reset_state, *weights], wanted, strict=True)]


def _pulled_layer(
    layer: _Layer, gradients: Sequence[_Maybe], wants: tuple[bool, bool, bool]
) -> tuple[list[_Maybe], _Maybe, list[_Maybe]]:
    """Gradients of x and their tangents; tangents of the gradients of start and of the weights."""
    d_states, dd_states = gradients
    assert d_states is not None
    wants_x, wants_start, wants_weights = wants
    of_a, d_a, d_start, d_weight, d_bias = layer.passed.pull(d_states, dd_states, (wants_start, wants_weights))
    found: list[_Maybe] = [None] * 4
    if wants_weights:
        d_projection = total([outer_sum(d_a, layer.x), None if layer.d_x is None else outer_sum(of_a, layer.d_x)])
        found = [d_projection, d_weight, d_a.sum((1, 2, 3)), d_bias]
    if not wants_x:
        return [None, None], d_start, found
    moved = None if layer.d_projection is None else product(of_a, layer.d_projection)
    d_x = total([product(d_a, layer.projection), moved])
    return [product(of_a, layer.projection), d_x], d_start, found
