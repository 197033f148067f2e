"""The operators as torch.func can follow them.

In torch 2.13 the gradients of an operator do not work under torch.func, but those of an `autograd.Function` do.
Here the forward pass saves nothing, and the backward pass begins with the inputs, so each can be batched in the way
that is best for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch._C._functorch import TransformType
from torch._functorch.utils import unwrap_dead_wrappers
from torch.nn.utils import rnn

from fastgru.backends import saving
from fastgru.backends.base import sum_dtype
from fastgru.backends.cpu.ops import calls, derivatives, legacy_batches, recorded, short
from fastgru.backends.cpu.ops.batching import batched_backward, batched_forward, batched_second
from fastgru.backends.cpu.ops.computing import compute, compute_gradients
from fastgru.backends.cpu.ops.operator_checks import checked
from fastgru.backends.cpu.ops.recurrence import keep, rule, total
from fastgru.call import build, memory
from fastgru.call.request import Call, Request
from fastgru.call.sequences import Sequences


def _flat(call: Call) -> tuple[Any, ...]:
    """A Function follows tensors that are arguments of their own."""
    return calls.without_tensors(call), *calls.row_of(call)


def forward(call: Call) -> tuple[Tensor, Tensor]:
    """Output and h_n, as functions that torch.func can transform."""
    if _asks_for_more() and short.serves(call):
        _check_memory(call)
        return short.run(call)
    return _ForwardFunction.apply(*_flat(call))  # type: ignore[no-any-return, no-untyped-call]


def _check_memory(call: Call) -> None:
    """Raises if torch's operators would read memory that does not exist, under any number of transforms."""
    for name, tensor in calls.named_tensors(calls.row_of(call)):
        while torch._C._functorch.is_functorch_wrapped_tensor(tensor):
            tensor = torch._C._functorch.get_unwrapped(tensor)
        memory.check_memory(name, tensor)


def _is_watched(x: Tensor) -> bool:
    """Whether anything other than transforms and autograd follows, for which a call of the core must be an operator."""
    return type(x) not in memory.PLAIN or torch._C._len_torch_dispatch_stack() > 0 or torch.compiler.is_compiling()


def _asks_for_more() -> bool:
    """Whether the transforms around need more than first gradients, for which the core is always faster."""
    stack = torch._C._functorch.get_interpreter_stack() or ()
    kinds = [level.key() for level in stack]
    return kinds.count(TransformType.Grad) > 1 or TransformType.Jvp in kinds


class _Asked(NamedTuple):
    """The gradients that a backward pass has to compute, and the values that it has.

    Attributes:
        wanted: as of `fastgru.ops.backward`.
        kept: the output, and what the forward pass left; None: it runs again.
    """

    wanted: tuple[bool, ...]
    kept: tuple[Tensor, Tensor] | None = None


def backward(d_output: Tensor | None, d_h_n: Tensor | None, call: Call, asked: _Asked) -> tuple[Tensor, ...]:
    """The gradients that `fastgru.ops.backward` gives, likewise."""
    apply, arguments = _BackwardFunction.apply, (asked, d_output, d_h_n, *_flat(call))
    if not torch._C._are_functorch_transforms_active():
        # What torch itself does next, after looking up the signature of this function again.
        apply = super(torch.autograd.Function, _BackwardFunction).apply
        arguments = unwrap_dead_wrappers(arguments)
    return apply(*arguments)  # type: ignore[no-any-return, no-untyped-call]


def gradients(
    request: Request,
    call: Call,
    outer: tuple[Tensor | None, Tensor | None],
    wanted: tuple[bool, ...],
    kept: tuple[Tensor, Tensor] | None,
) -> tuple[Tensor | None, ...]:
    """The gradients of a call as functions that autograd can follow further; None where not wanted.

    Args:
        request: of the call.
        call: of a layer.
        outer: the gradients of output and h_n, at least one of them.
        wanted: for each of the call's inputs.
        kept: what the forward pass left, the output and what it saved; None where that is not to be had.
    """
    build.any_wrapper(request.spec, call.inputs)
    for name, tensor in zip(Sequences._fields, call.sequences, strict=True):
        if tensor is not None:
            memory.check_memory(name, tensor)
    dtype = sum_dtype(request.dtype)
    x, h_0, reset_state, *weights = [None if t is None else t.to(dtype) for t in call.inputs]
    d_output, d_h_n = [None if t is None else t.to(dtype) for t in outer]
    assert x is not None
    batch_sizes, lengths, reset, _ = call.sequences
    if batch_sizes is not None:
        x, lengths = rnn.pad_packed_sequence(rnn.PackedSequence(x, batch_sizes))
        d_output = None if d_output is None else rnn.pad_packed_sequence(rnn.PackedSequence(d_output, batch_sizes))[0]
    own = calls.with_row(call, (x, h_0, reset_state, lengths, reset, *weights))
    is_kept = batch_sizes is None and dtype is request.dtype
    found = _first_gradients(own, (d_output, d_h_n), _Asked(wanted, kept if is_kept else None))
    if batch_sizes is not None and wanted[0]:
        assert lengths is not None
        found[0] = rnn.pack_padded_sequence(found[0], lengths).data  # type: ignore[arg-type]
    return tuple(
        [
            t.to(request.dtype) if is_wanted and t is not None else None
            for t, is_wanted in zip(found, wanted, strict=True)
        ]
    )


def _first_gradients(call: Call, outer: tuple[Tensor | None, Tensor | None], asked: _Asked) -> list[Tensor | None]:
    """First gradients by the core, for any kind of batch of outer gradients; recorded if there are no rules for it."""
    if legacy_batches.serves(outer):
        return legacy_batches.through(lambda pair: backward(pair[0], pair[1], call, _Asked(asked.wanted)), outer)
    if not recorded.are_plain(outer):
        return recorded.gradients(call, outer, asked.wanted)
    return [*backward(outer[0], outer[1], call, asked)]


class _ForwardFunction(torch.autograd.Function):
    @staticmethod
    def forward(bare: Call, *tensors: Any) -> tuple[Tensor, Tensor]:
        call = calls.with_row(bare, tensors)
        if _is_watched(call.x):
            given = calls.closed(calls.arguments_of(call), False)
            return torch.ops.fastgru.forward(*given)[:2]  # type: ignore[no-any-return]
        return compute(checked(calls.arguments_of(call)), None)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        ctx.bare = inputs[0]
        keep(ctx, *inputs[1:])
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx: Any, d_output: Tensor | None, d_h_n: Tensor | None) -> tuple[Any, ...]:
        if d_output is None and d_h_n is None:
            return (None,) * len(ctx.needs_input_grad)
        call = calls.with_row(ctx.bare, saving.kept(ctx))
        wanted = (*ctx.needs_input_grad[1:4], *ctx.needs_input_grad[6:])
        found = backward(d_output, d_h_n, call, _Asked(wanted))
        named = [gradient if is_wanted else None for gradient, is_wanted in zip(found, wanted, strict=True)]
        return None, *named[:3], None, None, *named[3:]

    @staticmethod
    @rule
    def jvp(ctx: Any, saved: list[Any], _: None, *given: Tensor | None) -> tuple[Tensor, Tensor]:
        return derivatives.tangents(calls.with_row(ctx.bare, saved), (*given[:3], *given[5:]))

    @staticmethod
    def vmap(info: Any, in_dims: Sequence[Any], bare: Call, *tensors: Any) -> tuple[Any, Any]:
        def run(tensors: Sequence[Any], _: bool) -> tuple[Tensor, Tensor, Tensor]:
            output, h_n = forward(calls.with_row(bare, tensors))
            return output, h_n, output.new_empty(0)

        results, places = batched_forward(run, info.batch_size, in_dims[1:], tensors, bare.batch_first, False)
        return results[:2], places[:2]


class _BackwardFunction(torch.autograd.Function):
    @staticmethod
    def forward(asked: _Asked, d_output: Any, d_h_n: Any, bare: Call, *tensors: Any) -> tuple[Tensor, ...]:
        call, (wanted, kept) = calls.with_row(bare, tensors), asked
        if _is_watched(call.x):
            given = calls.closed(calls.arguments_of(call), list(wanted))
            return tuple(torch.ops.fastgru.backward(d_output, d_h_n, None, None, *given))
        if kept is not None:
            return tuple(compute_gradients((d_output, d_h_n), *kept, call, wanted))
        return tuple(compute_gradients((d_output, d_h_n), None, None, checked(calls.arguments_of(call)), wanted))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        asked, d_output, d_h_n, ctx.bare, *tensors = inputs
        ctx.wanted = asked.wanted
        keep(ctx, d_output, d_h_n, *tensors)
        ctx.set_materialize_grads(False)
        unwanted = [t for t, is_wanted in zip(output, ctx.wanted, strict=True) if not is_wanted]
        ctx.mark_non_differentiable(*unwanted)

    @staticmethod
    def backward(ctx: Any, *outer: Tensor | None) -> tuple[Any, ...]:
        d_output, d_h_n, *tensors = saving.kept(ctx)
        call = calls.with_row(ctx.bare, tensors)
        needed = recorded.still_wanted(ctx, weights=9)
        asked = [*needed[4:7], *needed[9:]]
        if legacy_batches.serves(outer):
            found = _second_of_batches(call, (d_output, d_h_n), ctx.wanted, outer, asked)
        elif not recorded.are_plain(outer):
            asked = [*needed[1:3], *asked]
            found = recorded.second_gradients(call, (d_output, d_h_n), ctx.wanted, outer, asked)
        else:
            found = _second_gradients(call, (d_output, d_h_n), ctx.wanted, outer, asked)
        return None, *found[:2], None, *found[2:5], None, None, *found[5:]

    @staticmethod
    @rule
    def jvp(ctx: Any, saved: list[Any], _: None, *given: Tensor | None) -> tuple[Tensor | None, ...]:
        d_output, d_h_n, *tensors = saved
        call, moving = calls.with_row(ctx.bare, tensors), (*given[3:6], *given[8:])
        d_outer = given[0], given[1]
        return tuple(derivatives.of_gradients(call, moving, (d_output, d_h_n), d_outer, ctx.wanted)[2])

    @staticmethod
    def vmap(
        info: Any, in_dims: Sequence[Any], asked: Any, d_output: Any, d_h_n: Any, bare: Call, *tensors: Any
    ) -> tuple[Any, Any]:
        def run(outer: Sequence[Any], tensors: Sequence[Any], wanted: Any) -> tuple[Tensor, ...]:
            return backward(outer[0], outer[1], calls.with_row(bare, tensors), _Asked(wanted))

        dims = (*in_dims[1:3], None, None), in_dims[4:]
        outer = d_output, d_h_n, None, None
        found, places = batched_backward(run, info.batch_size, dims, outer, tensors, bare.batch_first, asked.wanted)
        return tuple(found), tuple(places)


class _Second(NamedTuple):
    """What second gradients are asked for: which gradients were wanted, which second ones are, and of what call."""

    wanted: tuple[bool, ...]
    asked: tuple[bool, ...]
    bare: Call

    def parted(self, tensors: Sequence[Any]) -> tuple[Sequence[Any], Sequence[Any], Call]:
        """Outer gradients, given ones, and the call."""
        end = 2 + len(self.wanted)
        return tensors[:2], tensors[2:end], calls.with_row(self.bare, tensors[end:])

    def run(self, *tensors: Any) -> list[Tensor | None]:
        """As `ops.derivatives.second_gradients`."""
        outer, given, call = self.parted(tensors)
        return derivatives.second_gradients(call, outer, self.wanted, given, self.asked)


def _second_gradients(
    call: Call,
    outer: Sequence[Tensor | None],
    wanted: Sequence[bool],
    given: Sequence[Tensor | None],
    asked: Sequence[bool],
) -> list[Tensor | None]:
    """As `ops.derivatives.second_gradients`; where autograd follows further, as a function by itself."""
    if not torch.is_grad_enabled() or torch._C._are_functorch_transforms_active():
        return derivatives.second_gradients(call, outer, wanted, given, asked)
    bare, *tensors = _flat(call)
    second = _Second(tuple(wanted), tuple(asked), bare)
    return [*_SecondFunction.apply(second, *outer, *given, *tensors)]  # type: ignore[no-untyped-call]


def _second_of_batches(
    call: Call,
    outer: Sequence[Tensor | None],
    wanted: Sequence[bool],
    given: Sequence[Tensor | None],
    asked: Sequence[bool],
) -> list[Tensor | None]:
    """The same of legacy batches of given ones: as one batch of many rows, where neither these are of weights."""

    def run(outer: Sequence[Any], given: Sequence[Any], tensors: Sequence[Any]) -> list[Tensor | None]:
        return derivatives.second_gradients(calls.with_row(call, tensors), outer, wanted, given, asked)

    values, dims = legacy_batches.values(given)
    there = {place for place, t in enumerate(given) if t is not None}
    if any(asked[2:]) or not there <= {0, 1} or any(dims[place] is None for place in there):
        return legacy_batches.through(lambda given: run(outer, given, calls.row_of(call)), given)
    counts = [t.shape[0] for t in values if t is not None]
    return legacy_batches.batches(batched_second(run, counts[0], calls.row_of(call), outer, values, call.batch_first))


class _SecondFunction(torch.autograd.Function):
    """The second gradients S(u) of given ones u, at a point and its outer gradients.

    S(u) are the tangents J u of the results, and H u, where H is the symmetric matrix of second derivatives. So for
    gradients (a, b) of S(u), that of u is the transposed of J times a, a gradient of first order, and H b: the core
    finds both, as long as nobody asks how S moves with the point.
    """

    @staticmethod
    def forward(ctx: Any, second: _Second, *tensors: Any) -> tuple[Tensor | None, ...]:
        ctx.second = second
        saving.keep(ctx, *tensors)
        ctx.set_materialize_grads(False)
        return tuple(second.run(*tensors))

    @staticmethod
    def backward(ctx: Any, *found: Tensor | None) -> tuple[Any, ...]:
        asked, tensors = ctx.second, saving.kept(ctx)
        outer, given, call = asked.parted(tensors)
        end = 2 + len(given)
        needed = recorded.still_wanted(ctx, weights=1 + end + 5, is_exact=True)[1:]
        if any(needed[:2]) or any(needed[end:]) or not recorded.are_plain(found):
            return None, *recorded.through(asked.run, tensors, found, needed)
        sums: list[Tensor | None] = [None] * len(given)
        if found[0] is not None or found[1] is not None:
            first = backward(found[0], found[1], call, _Asked(tuple(needed[2:end])))
            sums = [t if is_one else None for t, is_one in zip(first, needed[2:end], strict=True)]
        if any(t is not None for t in found[2:]):
            second = _second_gradients(call, outer, asked.asked, found[2:], needed[2:end])[2:]
            sums = [total([a, b]) for a, b in zip(sums, second, strict=True)]
        return None, None, None, *sums, *(None,) * len(tensors[end:])
