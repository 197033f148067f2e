"""The computation of the operators for tensors that have memory: calls of the core."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from fastgru.backends.cpu import core_calls, many_models
from fastgru.backends.cpu.ops import calls
from fastgru.call.request import Call


def compute(call: Call, saved: Tensor | None) -> tuple[Tensor, Tensor]:
    """Output and h_n; into `saved` goes what the backward pass needs."""
    if calls.is_empty(call):
        return calls.nothing(call)
    run = many_models.forward if calls.is_of_many_models(call) else core_calls.forward_into
    return run(calls.request_of(call), call, saved)


def compute_gradients(
    outer: tuple[Tensor | None, Tensor | None],
    output: Tensor | None,
    saved: Tensor | None,
    call: Call,
    wanted: Sequence[bool],
) -> list[Tensor]:
    """The gradients of the call's inputs; an empty tensor where not wanted.

    Without `output` and `saved`, the forward pass runs first.
    """
    if calls.is_empty(call):
        return calls.gradients_of_nothing(call, outer[1], wanted)
    if output is None or saved is None:
        saved = calls.room_to_save(call)
        output, _ = compute(call, saved)
    found, is_of_many = None, calls.is_of_many_models(call)
    if not is_of_many:
        options = call.sequences, call.recompute, call.batch_first
        found = core_calls.backward_plain(call.spec, call.inputs, *options, output, saved, outer, tuple(wanted))
    run = many_models.backward if is_of_many else core_calls.backward
    found = found or tuple(run(calls.request_of(call), call, output, saved, outer, wanted))
    return [call.x.new_empty(0) if gradient is None else gradient for gradient in found]
