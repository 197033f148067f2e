"""Our own kernels on the CPU, and their gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from fastgru import errors
from fastgru.backends import saving
from fastgru.backends.base import not_compiled, sum_dtype
from fastgru.backends.cpu import core_calls, ops
from fastgru.call import layer_by_layer, memory
from fastgru.call.context import Follower, needs_grad
from fastgru.call.request import WHOLE, Call, Request, Sequences, unwatched_request
from fastgru.spec import GRUSpec

# Functions that every training step asks, by names of our own.
_has_storage = torch._C._has_storage
_modes_active = torch._C._len_torch_dispatch_stack
_is_compiling = torch.compiler.is_compiling
_are_transforms_active = torch._C._are_functorch_transforms_active
_new_tuple: Any = tuple.__new__  # of a NamedTuple in a third of the time
# Those that our operators have rules for.
_FOLLOWERS = (
    Follower.COMPILER,
    Follower.TRANSFORM,
    Follower.FORWARD_MODE,
    Follower.FORWARD_TRANSFORM,
    Follower.DISPATCH_MODE,
    Follower.FAKE,
)


class CpuBackend:
    """The native core: floating-point numbers on the CPU, any number of layers and directions, ragged or not."""

    name = "cpu"

    def refuse(self, request: Request) -> str | None:
        """Why the core cannot take this request, or None."""
        if request.device != "cpu":
            return f"the core runs on the CPU, the input is on {request.device}"
        if request.dtype not in core_calls.DTYPES:
            return f"the core takes float32, float64, bfloat16 and float16, the input is {request.dtype}"
        if request.follower is not None and request.follower not in _FOLLOWERS:
            return f"the core's kernels are not visible to {request.watcher}"
        if request.follower is not None and request.is_packed:
            return f"our operators take sequences padded, with lengths, and not packed in {request.watcher}"
        if request.batch == 0 or request.spec.hidden_size == 0:
            return "there is nothing to compute"
        if request.spec.num_layers * request.spec.num_directions > core_calls.MOST_CELLS:
            return f"the core stacks at most {core_calls.MOST_CELLS} layers and directions"
        return None

    def run(self, request: Request, call: Call) -> tuple[Tensor, Tensor]:
        """Output and h_n; as `fastgru.backends.base.Backend.run`."""
        is_widened = request.dtype is not sum_dtype(request.dtype)
        if is_widened and (request.dropout > 0 or request.follower is not None):
            return self._run_widened(request, call)
        if request.dropout > 0:
            (output,), h_n = layer_by_layer.run(call, lambda _, own: self.run(request.of_layer(own), own))
            return output, h_n
        if request.follower is not None:
            return ops.run(request, call)
        if request.needs_grad:
            x, h_0 = _kept_by_torch(call.x, call.h_0, call.weights, call.batch_first)
            parts = _Parts(request.spec, request.recompute, call.sequences, request.batch_first, request)
            return _Gru.apply(parts, x, h_0, call.sequences.reset_state, *call.weights)  # type: ignore[no-any-return, no-untyped-call]
        output, h_n, _ = core_calls.forward(request, call, saves=False)
        return output, h_n

    def _run_widened(self, request: Request, call: Call) -> tuple[Tensor, Tensor]:
        """Half precision by operators of torch and a call in float32, where others look on: same results."""
        own = call.with_inputs(*[None if t is None else t.float() for t in call.inputs])
        output, h_n = self.run(request._replace(dtype=torch.float32), own)
        return output.to(request.dtype), h_n.to(request.dtype)


@not_compiled
def shortcut(
    spec: GRUSpec,
    x: Tensor,
    h_0: Tensor | None,
    weights: tuple[Tensor, ...],
    sequences: Sequences,
    recompute: bool,
    batch_first: bool,
) -> tuple[Tensor, Tensor] | None:
    """Output and h_n of a call that nobody follows; None where the core cannot look at everything by itself.

    Arguments are the fields of a `Call` without dropout, one by one (see `core_calls`), of a batch that is not packed.
    """
    if not torch.is_grad_enabled() or not needs_grad(x, h_0, weights, sequences.reset_state):
        return core_calls.forward_plain(spec, x, h_0, weights, sequences, recompute, batch_first, False)
    try:
        if x.is_nested or not all(map(_has_storage, weights)):
            return None  # autograd itself dies of a weight whose `.data` was set to a wrapper
    except TypeError:  # no tensors: told apart later
        return None
    try:
        x, h_0 = _kept_by_torch(x, h_0, weights, batch_first)
        parts = _new_tuple(_Parts, (spec, recompute, sequences, batch_first, None))
        return _Gru.apply(parts, x, h_0, sequences.reset_state, *weights)  # type: ignore[no-any-return, no-untyped-call]
    except _NotPlain:
        return None


class _Parts(NamedTuple):
    """What a node keeps of its call beside the tensors that have gradients.

    Without a request, tensors are taken for plain ones: a training step on a short sequence takes less time than
    finding all that out here.
    """

    spec: GRUSpec
    recompute: bool
    sequences: Sequences
    batch_first: bool
    request: Request | None

    def call(self, x: Tensor, h_0: Tensor | None, reset_state: Tensor | None, *weights: Tensor) -> Call:
        """The call of these tensors."""
        sequences = self.sequences
        if sequences is not WHOLE:
            sequences = sequences._replace(reset_state=reset_state)
        return Call(self.spec, x, h_0, weights, sequences, 0.0, self.recompute, self.batch_first)


class _NotPlain(Exception):  # noqa: N818  (not an error: the call goes another way)
    """The core cannot read the tensors by itself."""


def _kept_by_torch(
    x: Tensor, h_0: Tensor | None, weights: tuple[Tensor, ...], batch_first: bool
) -> tuple[Tensor, Tensor | None]:
    """The input and h_0, or copies where `torch.nn.GRU` keeps copies too: programs write to what it reads no more.

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
    """Whether all steps of a batch, one behind the other, stand as one matrix in memory."""
    shape = x.shape
    if shape[0] == 1 or shape[1] == 1 or len(shape) == 2:
        return True
    rows, steps = (0, 1) if batch_first else (1, 0)
    strides = x.stride()
    return strides[steps] == strides[rows] * shape[rows]


# Tensors without memory of their own, one of each type.
_NOTHING = {dtype: torch.empty(0, dtype=dtype, device="cpu") for dtype in core_calls.DTYPES}


def _counter_of(tensor: Tensor) -> Tensor:
    """What shares a new tensor's count of writes, which is 0, and not its memory: an alias that was given other."""
    counter = tensor.detach()
    counter.data = _NOTHING[tensor.dtype]
    return counter


class _Gru(torch.autograd.Function):
    """One call of the core, as autograd sees it: the whole stack is a single node.

    Saves the inputs, the weights and what the forward pass left. The output is needed too, but users may change it in
    place (`output += residual`), as stock torch lets them; so it is saved under an alias whose writes torch does not
    count, and when it was written to, the forward pass runs again.
    """

    @staticmethod
    def forward(
        ctx: Any, parts: _Parts, x: Tensor, h_0: Tensor | None, reset_state: Tensor | None, *weights: Tensor
    ) -> tuple[Tensor, Tensor]:
        output, h_n, saved = _forward(parts, x, h_0, reset_state, *weights)
        ctx.has_sequences = parts.sequences is not WHOLE
        if ctx.has_sequences:
            saving.keep(ctx, saved, output.data, x, h_0, reset_state, *weights, *parts.sequences[:3])
        elif h_0 is None:  # so common that it is not found out anew
            saving.keep_all(ctx, _NO_STATES, saved, output.data, x, *weights)
        else:
            saving.keep_all(ctx, _NO_RESET_STATE, saved, output.data, x, h_0, *weights)
        ctx.set_materialize_grads(False)
        ctx.parts = parts._replace(sequences=WHOLE) if ctx.has_sequences else parts
        ctx.counter = _counter_of(output)
        return output, h_n

    @staticmethod
    def backward(ctx: Any, d_output: Tensor | None, d_h_n: Tensor | None) -> tuple[Any, ...]:
        parts, wanted, outer = ctx.parts, ctx.needs_input_grad[1:], (d_output, d_h_n)
        is_followed = torch.is_grad_enabled()
        if not is_followed and (_is_compiling() or _modes_active() > 0):
            return None, *_watched_backward(ctx, outer, wanted)
        is_followed = is_followed or not _are_plain(outer)
        is_written = ctx.counter._version > 0
        saved, output, *inputs = _unpacked(ctx, wanted, needs_all=is_followed or is_written or parts.recompute)
        if d_output is None and d_h_n is None:
            return (None,) * (len(wanted) + 1)
        if ctx.has_sequences:
            parts, inputs = _with_sequences(parts, inputs)
        if is_followed:
            call = parts.call(*inputs)
            _check_input(call, output)
            request = parts.request or _plain_request(call, output)
            wanted = tuple(ops.recorded.still_wanted(ctx, weights=4)[1:])
            kept = None if is_written else (output, saved)
            return None, *ops.functions.gradients(request, call, outer, wanted, kept)
        if is_written:
            output, _, saved = _forward(parts, *inputs)
        return None, *_backward(parts, inputs, output, saved, outer, wanted)


def _with_sequences(parts: _Parts, saved: list[Any]) -> tuple[_Parts, list[Any]]:
    """The parts with ends and resets, and the inputs, from what was saved: it tells when one was written to since."""
    batch_sizes, lengths, reset = saved[-3:]
    inputs = saved[:-3]
    return parts._replace(sequences=Sequences(batch_sizes, lengths, reset, inputs[2])), inputs


def _check_input(call: Call, output: Tensor) -> None:
    """Raises when the input has another size than in the forward pass: `.data` can be set behind torch's back."""
    expected = (*output.shape[:-1], call.spec.input_size)
    if call.x.shape != expected:
        raise errors.changed_meanwhile("input", tuple(call.x.shape), expected)


def _watched_backward(
    ctx: Any, outer: tuple[Tensor | None, Tensor | None], wanted: tuple[bool, ...]
) -> Sequence[Tensor | None]:
    """The gradients by an operator that can be seen by the compiler or the dispatch mode that follows."""
    parts = ctx.parts
    saved, output, *inputs = saving.kept(ctx)
    if outer[0] is None and outer[1] is None:
        return (None,) * len(wanted)
    if ctx.has_sequences:
        parts, inputs = _with_sequences(parts, inputs)
    return ops.gradients.run(parts.call(*inputs), (output, ctx.counter, saved), outer, wanted)


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
        _, output, *_ = saving.kept(ctx, needed={_OUTPUT})
        return saving.kept(ctx, _needed(ctx.parts, output, wanted))


_OUTPUT, _X, _FIRST_WEIGHT = 1, 2, 5  # places among what is saved
_NO_STATES, _NO_RESET_STATE = (3, 4), (4,)  # and places that are empty


def _needed(parts: _Parts, output: Tensor, wanted: tuple[bool, ...]) -> set[int]:
    """The places of what the gradients depend on; the values of the biases never are."""
    spec, _, _, batch_first, request = parts
    per_cell, count = 4 if spec.bias else 2, spec.num_layers * spec.num_directions
    steps = request.steps if request is not None else output.shape[1 if batch_first else 0]
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


def _forward(
    parts: _Parts, x: Tensor, h_0: Tensor | None, reset_state: Tensor | None, *weights: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Output, h_n, and what the backward pass needs."""
    spec, recompute, sequences, batch_first, request = parts
    if request is not None:
        output, h_n, saved = core_calls.forward(request, parts.call(x, h_0, reset_state, *weights), saves=True)
        assert saved is not None
        return output, h_n, saved
    results = core_calls.forward_plain(spec, x, h_0, weights, sequences, recompute, batch_first, True)
    if results is None:
        raise _NotPlain
    return results


def _backward(
    parts: _Parts,
    inputs: Sequence[Any],
    output: Tensor,
    saved: Tensor,
    outer: tuple[Tensor | None, Tensor | None],
    wanted: tuple[bool, ...],
) -> tuple[Tensor | None, ...]:
    """Gradients by the core."""
    spec, recompute, sequences, batch_first, request = parts
    if request is None:
        found = core_calls.backward_plain(spec, inputs, sequences, recompute, batch_first, output, saved, outer, wanted)
        if found is not None:
            return found
    call = parts.call(*inputs)
    return core_calls.backward(request or _plain_request(call, output), call, output, saved, outer, wanted)


def _plain_request(call: Call, output: Tensor) -> Request:
    """What would have been asked for a call that went without a request."""
    steps, rows = (output.shape[1], output.shape[0]) if call.batch_first else output.shape[:2]
    return unwatched_request(call, output.dtype, (steps, rows))


def _are_plain(outer: tuple[Tensor | None, Tensor | None]) -> bool:
    """Whether outer gradients have memory of their own; those of vmap over a backward pass have none."""
    if _are_transforms_active():
        return False
    return all([d is None or (type(d) is Tensor and _has_storage(d)) for d in outer])  # noqa: C419  (twice as quick)


BACKEND = CpuBackend()
