"""What the operators do with tensors that have memory: calls of the core."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from fastgru.backends.cpu import core_calls, many_models
from fastgru.backends.cpu.ops.inputs import Inputs


def compute(own: Inputs, saved: Tensor | None) -> tuple[Tensor, Tensor]:
    """Output and h_n; into `saved` goes what the backward pass needs."""
    if own.is_empty:
        return own.nothing()
    run = many_models.forward if own.is_side_by_side else core_calls.forward_into
    return run(own.request, own.call, saved)


def compute_gradients(
    outer: tuple[Tensor | None, Tensor | None],
    output: Tensor | None,
    saved: Tensor | None,
    own: Inputs,
    wanted: Sequence[bool],
) -> list[Tensor]:
    """The gradients of what is differentiable; an empty tensor where not wanted.

    Without `output` and `saved`, the forward pass runs first.
    """
    if own.is_empty:
        return own.gradients_of_nothing(outer[1], wanted)
    if output is None or saved is None:
        saved = own.room_to_save()
        output, _ = compute(own, saved)
    call = own.call
    found = None
    if not own.is_side_by_side:
        options = call.sequences, call.recompute, call.batch_first
        found = core_calls.backward_plain(call.spec, call.inputs, *options, output, saved, outer, tuple(wanted))
    run = many_models.backward if own.is_side_by_side else core_calls.backward
    found = found or tuple(run(own.request, call, output, saved, outer, wanted))
    return [own.x.new_empty(0) if gradient is None else gradient for gradient in found]
