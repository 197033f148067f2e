"""One call of the core as autograd sees it: the whole stack is a single node.

A node keeps a call without the tensors that may have gradients, which autograd saves, and the call's request. If there
is no request, tensors are assumed to be plain, and the core checks them itself, because these checks in Python would
take longer than a training step on a short sequence.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from fastgru import errors
from fastgru.backends import reference, saving
from fastgru.backends.cpu import core_calls, ops
from fastgru.call import memory
from fastgru.call.request import Call, Request, unwatched_request
from fastgru.call.sequences import WHOLE, Sequences, sizes_of
from fastgru.spec import GRUSpec

# Functions that every training step asks, by names of our own.
_has_storage = torch._C._has_storage
_modes_active = torch._C._len_torch_dispatch_stack
_is_compiling = torch.compiler.is_compiling
_are_transforms_active = torch._C._are_functorch_transforms_active


class NotPlain(Exception):  # noqa: N818  (not an error: the call goes another way)
    """The core cannot read the tensors by itself."""


# Tensors without memory of their own, one of each type.
_NOTHING = {dtype: torch.empty(0, dtype=dtype, device="cpu") for dtype in core_calls.DTYPES}


def _counter_of(tensor: Tensor) -> Tensor:
    """An alias that shares a new tensor's count of writes, which is 0, but not its memory."""
    counter = tensor.detach()
    counter.data = _NOTHING[tensor.dtype]
    return counter


def apply(
    bare: Call,
    request: Request | None,
    x: Tensor,
    h_0: Tensor | None,
    reset_state: Tensor | None,
    *weights: Tensor,
) -> tuple[Tensor, Tensor]:
    """Output and h_n of a call with gradients.

    Args:
        bare: the call without the tensors that follow.
        request: that was made of it; None where nobody follows and the core shall look at the tensors itself.
        x: as in the call.
        h_0: as in the call.
        reset_state: as in the call's sequences.
        *weights: as in the call.

    Raises:
        NotPlain: there is no request, and the core cannot read the tensors by itself.
    """
    x, h_0 = _kept_by_torch(x, h_0, weights, bare.batch_first)
    return _Gru.apply(bare, request, x, h_0, reset_state, *weights)  # type: ignore[no-any-return, no-untyped-call]


def _kept_by_torch(
    x: Tensor, h_0: Tensor | None, weights: tuple[Tensor, ...], batch_first: bool
) -> tuple[Tensor, Tensor | None]:
    """The input and h_0, or copies where `torch.nn.GRU` keeps copies too, because programs write to these tensors then.

    Torch multiplies x as one matrix of all steps, copied where its memory is not that. Of h_0 it keeps the difference
    to the first new gate, and h_0 itself only for the gradient of weight_hh.
    """
    try:
        if not _is_matrix(x, batch_first) and weights[0].requires_grad:
            x = memory.clone("input", x)
        if h_0 is not None and not weights[1].requires_grad:
            h_0 = memory.clone("hx", h_0)
    except (
        AttributeError,
        RuntimeError,
    ) as error:  # no tensors, or such that answer to few functions: told apart later
        if isinstance(error, errors.FastGRUError):
            raise
    return x, h_0


def _is_matrix(x: Tensor, batch_first: bool) -> bool:
    """Whether all steps of a batch, one after the other, are one matrix in memory."""
    shape = x.shape
    if shape[0] == 1 or shape[1] == 1 or len(shape) == 2:
        return True
    rows, steps = (0, 1) if batch_first else (1, 0)
    strides = x.stride()
    return strides[steps] == strides[rows] * shape[rows]


class _Gru(torch.autograd.Function):
    """Saves the inputs, the weights and the values of the forward pass.

    The output is needed too, but users may change it in place (`output += residual`), as stock torch lets them; so it
    is saved under an alias whose writes torch does not count, and when it was written to, the forward pass runs again.
    """

    @staticmethod
    def forward(
        ctx: Any,
        bare: Call,
        request: Request | None,
        x: Tensor,
        h_0: Tensor | None,
        reset_state: Tensor | None,
        *weights: Tensor,
    ) -> tuple[Tensor, Tensor]:
        if request is None:
            output, h_n, saved = _plain_forward(bare, x, h_0, weights)
        else:
            output, h_n, saved = _forward(bare.with_inputs(x, h_0, reset_state, *weights), request)
        if bare.sequences is not WHOLE:
            saving.keep(ctx, saved, output.data, x, h_0, reset_state, *weights, *bare.sequences[:3])
            bare = bare._replace(sequences=_SAVED)
        elif h_0 is None:  # so common that it is not looked up again
            saving.keep_all(ctx, _NO_STATES, saved, output.data, x, *weights)
        else:
            saving.keep_all(ctx, _NO_RESET_STATE, saved, output.data, x, h_0, *weights)
        ctx.set_materialize_grads(False)
        ctx.bare, ctx.request, ctx.counter = bare, request, _counter_of(output)
        return output, h_n

    @staticmethod
    def backward(ctx: Any, d_output: Tensor | None, d_h_n: Tensor | None) -> tuple[Any, ...]:
        wanted, outer = ctx.needs_input_grad[2:], (d_output, d_h_n)
        is_followed = torch.is_grad_enabled()
        if not is_followed and (_is_compiling() or _modes_active() > 0):
            return None, None, *_watched_backward(ctx, outer, wanted)
        is_followed = is_followed or not _are_plain(outer)
        is_written = ctx.counter._version > 0
        kept = _unpacked(ctx, wanted, needs_all=is_followed or is_written or ctx.bare.recompute)
        if d_output is None and d_h_n is None:
            return (None,) * (len(wanted) + 2)
        if ctx.request is None and not (is_followed or is_written):
            found = _plain_backward(ctx.bare, kept, outer, wanted)
            if found is not None:
                return None, None, *found
        call, output, saved = _restored(ctx.bare, kept)
        if is_followed:
            _check_input(call, output)
            wanted = tuple(ops.recorded.still_wanted(ctx, weights=5)[2:])
            request = _request(ctx, call, output)
            if not call.spec.reset_after:  # whose further derivatives have no rules of ours
                return None, None, *reference.gradients(request, call, outer, wanted)
            again = None if is_written else (output, saved)
            return None, None, *ops.functions.gradients(request, call, outer, wanted, again)
        request = _request(ctx, call, output)
        if is_written:
            output, _, saved = _forward(call, request)
        return None, None, *core_calls.backward(request, call, output, saved, outer, wanted)


# What stands in a node for lengths and resets: they are saved with the tensors, so that torch tells of writes to them.
_SAVED = Sequences()


def _restored(bare: Call, kept: list[Any]) -> tuple[Call, Tensor, Tensor]:
    """The call, its output, and the values of the forward pass, from those that the node saved."""
    saved, output, x, h_0, reset_state, *weights = kept
    if bare.sequences is WHOLE:
        return bare.with_inputs(x, h_0, None, *weights), output, saved
    *weights, batch_sizes, lengths, reset = weights
    sequences = Sequences(batch_sizes, lengths, reset, reset_state)
    return bare._replace(x=x, h_0=h_0, weights=tuple(weights), sequences=sequences), output, saved


def _check_input(call: Call, output: Tensor) -> None:
    """Raises when the input has another size than in the forward pass: `.data` can be set behind torch's back."""
    expected = (*output.shape[:-1], call.spec.input_size)
    if call.x.shape != expected:
        raise errors.changed_meanwhile("input", tuple(call.x.shape), expected)


def _watched_backward(
    ctx: Any, outer: tuple[Tensor | None, Tensor | None], wanted: tuple[bool, ...]
) -> Sequence[Tensor | None]:
    """The gradients by an operator that the compiler or dispatch mode can see."""
    call, output, saved = _restored(ctx.bare, saving.kept(ctx))
    if outer[0] is None and outer[1] is None:
        return (None,) * len(wanted)
    return ops.gradients.run(call, (output, ctx.counter, saved), outer, wanted)


def _unpacked(ctx: Any, wanted: tuple[bool, ...], needs_all: bool) -> list[Any]:
    """What the forward pass saved.

    Torch refuses all when a part was written to since. Unless `needs_all`, a part that the gradients do not depend on
    is then given as it is now, for torch's layer would not have saved it.
    """
    try:
        return saving.kept(ctx)
    except RuntimeError:
        if needs_all:
            raise
        known = saving.kept(ctx, needed={_OUTPUT})
        batch_sizes = None if ctx.bare.sequences is WHOLE else known[-3]
        steps, _ = sizes_of(known[_OUTPUT], ctx.bare.batch_first, batch_sizes)
        return saving.kept(ctx, _needed(ctx.bare.spec, steps, wanted))


_OUTPUT, _X, _FIRST_WEIGHT = 1, 2, 5  # places among what is saved
_NO_STATES, _NO_RESET_STATE = (3, 4), (4,)  # and places that are empty


def _needed(spec: GRUSpec, steps: int, wanted: tuple[bool, ...]) -> set[int]:
    """The places of the tensors on which the gradients depend; the biases are never among them."""
    per_cell, count = 4 if spec.bias else 2, spec.num_layers * spec.num_directions
    needed = {0, 1, 3, 4, *range(_FIRST_WEIGHT + count * per_cell, _FIRST_WEIGHT + count * per_cell + 3)}
    for cell in range(count):
        own = cell * per_cell  # of the cell's first weight
        layer = cell // spec.num_directions
        below = wanted[:1] if layer == 0 else wanted[: 3 + layer * spec.num_directions * per_cell]
        is_on_the_way = any(below) or wanted[1] or wanted[2] or any(wanted[3 + own : 3 + own + per_cell])
        if any(below):
            needed.add(_FIRST_WEIGHT + own)  # weight_ih
        if is_on_the_way and (steps > 1 or wanted[1]):
            needed.add(_FIRST_WEIGHT + own + 1)  # weight_hh
        if layer == 0 and wanted[3 + own]:
            needed.add(_X)
    return needed


# Without a request, the fields of a call go to the core one by one, as on the whole short way.


def _plain_forward(
    bare: Call, x: Tensor, h_0: Tensor | None, weights: tuple[Tensor, ...]
) -> tuple[Tensor, Tensor, Tensor]:
    """Output, h_n, and what the backward pass needs."""
    spec, _, _, _, sequences, _, recompute, batch_first = bare
    results = core_calls.forward_plain(spec, x, h_0, weights, sequences, recompute, batch_first, True)
    if results is None:
        raise NotPlain
    return results


def _plain_backward(
    bare: Call, kept: list[Any], outer: tuple[Tensor | None, Tensor | None], wanted: tuple[bool, ...]
) -> tuple[Tensor | None, ...] | None:
    """Gradients by the core; None if it cannot read the tensors by itself."""
    spec, _, _, _, sequences, _, recompute, batch_first = bare
    saved, output, *inputs = kept
    if sequences is not WHOLE:
        *inputs, batch_sizes, lengths, reset = inputs
        sequences = Sequences(batch_sizes, lengths, reset, inputs[2])
    return core_calls.backward_plain(spec, inputs, sequences, recompute, batch_first, output, saved, outer, wanted)


def _forward(call: Call, request: Request) -> tuple[Tensor, Tensor, Tensor]:
    """Output, h_n, and what the backward pass needs, of a call that was checked."""
    output, h_n, saved = core_calls.forward(request, call, saves=True)
    assert saved is not None
    return output, h_n, saved


def _request(ctx: Any, call: Call, output: Tensor) -> Request:
    """The node's request, or the one that a call without a request would have had."""
    if ctx.request is not None:
        return ctx.request  # type: ignore[no-any-return]
    return unwatched_request(call, output.dtype, sizes_of(output, call.batch_first, call.sequences.batch_sizes))


def _are_plain(outer: tuple[Tensor | None, Tensor | None]) -> bool:
    """Whether outer gradients have memory of their own; those of vmap over a backward pass have none."""
    if _are_transforms_active():
        return False
    return all([d is None or (type(d) is Tensor and _has_storage(d)) for d in outer])  # noqa: C419  (twice as fast)
