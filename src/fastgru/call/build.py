"""What users pass, checked, as a call; and the facts about a call."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch._subclasses import FakeTensor
from torch.autograd import forward_ad

from fastgru import errors
from fastgru.call import checks, context, memory
from fastgru.call.context import Follower
from fastgru.call.request import WHOLE, Call, Request, Sequences


def sequences_of(
    x: Tensor,
    batch_first: bool,
    batch_sizes: Tensor | None,
    lengths: Any = None,
    reset: Any = None,
    reset_state: Tensor | None = None,
) -> Sequences:
    """What was given of lengths and resets, checked, in the form that backends take.

    Args:
        x: (T, B, I), (B, T, I) with `batch_first`, or packed data (N, I).
        batch_first: see `x`.
        batch_sizes: of packed data, checked.
        lengths: see `gru`.
        reset: see `gru`; of packed data (T, B), its sequences in the order of the data.
        reset_state: see `gru`.
    """
    if batch_sizes is None and lengths is None and reset is None and reset_state is None:
        return WHOLE
    if batch_sizes is not None and lengths is not None:
        raise errors.lengths_of_packed()
    if reset is None and reset_state is not None:
        raise errors.reset_state_alone()
    steps, batch = _sizes(x, batch_first, batch_sizes)
    if lengths is not None:
        lengths = checks.lengths_of(lengths, steps, batch)
    if reset is not None:
        shape, layout = ((batch, steps), "(B, T)") if batch_first else ((steps, batch), "(T, B)")
        reset = checks.reset_of(reset, shape, x.device, layout)
    checks.check_tensors(**({} if reset_state is None else {"reset_state": reset_state}))
    return Sequences(batch_sizes, lengths, reset, reset_state)


def _sizes(x: Tensor, batch_first: bool, batch_sizes: Tensor | None) -> tuple[int, int]:
    """Steps and rows."""
    if x.is_nested:
        raise errors.nested_layout(x.layout, x.dim())
    if batch_sizes is not None:
        return batch_sizes.shape[0], int(batch_sizes[0])
    return (x.shape[1], x.shape[0]) if batch_first else (x.shape[0], x.shape[1])


def request_of(call: Call) -> Request:
    """The facts of a call, after all checks.

    Raises:
        FastGRUError: what does not fit.
    """
    spec, x, h_0, weights, sequences, dropout, recompute, batch_first = call
    steps, batch = _sizes(x, batch_first, sequences.batch_sizes)
    is_mixed = checks.check_operands(spec, x, h_0, weights, batch)
    checks.check_reset_state(spec, sequences, x, batch)
    needs_grad = context.needs_grad(x, h_0, weights, sequences.reset_state)
    follower = Follower.AUTOCAST if is_mixed else follower_of(call)
    return Request(
        spec,
        x.dtype,
        "cpu" if x.is_cpu else x.device.type,
        steps,
        batch,
        is_packed=sequences.batch_sizes is not None,
        needs_grad=needs_grad,
        dropout=dropout,
        follower=follower,
        recompute=recompute,
        batch_first=batch_first,
        has_lengths=sequences.lengths is not None,
        resets=sequences.reset is not None,
        subclass=_strange(call).pop().__name__ if follower is Follower.SUBCLASS else "",
    )


def _strange(call: Call) -> set[type]:
    """Classes of tensors that may have ways of their own."""
    return {type(t) for t in call.inputs if t is not None} - memory.PLAIN


def cast(call: Call) -> Call:
    """What autocast makes of the operands of `torch.nn.Linear`: it leaves float64 alone."""
    checks.check_weights(call.spec, call.weights)
    checks.any_wrapper(call.spec, call.inputs)
    dtype = torch.get_autocast_dtype("cpu")

    def one(tensor: Tensor | None) -> Any:
        return tensor if tensor is None or tensor.dtype is torch.float64 else tensor.to(dtype)

    return call.with_inputs(*map(one, call.inputs))


def follower_of(call: Call) -> Follower | None:
    """Who watches what operators do with these tensors now; None where anything may run."""
    if torch._C._are_functorch_transforms_active():
        # No rule of ours serves a call that is compiled inside a transform.
        if torch.compiler.is_compiling():
            return Follower.COMPILED_TRANSFORM
        return Follower.FORWARD_TRANSFORM if forward_ad._current_level >= 0 else Follower.TRANSFORM
    if torch.compiler.is_compiling():
        return Follower.ONNX_EXPORT if context.is_exporting() else Follower.COMPILER
    has_wrappers = checks.any_wrapper(call.spec, call.inputs)
    tensors = [t for t in call.inputs if t is not None]
    if forward_ad._current_level >= 0 and any(
        forward_ad.unpack_dual(t).tangent is not None  # type: ignore[no-untyped-call]
        for t in tensors
    ):
        return Follower.FORWARD_MODE
    if torch._C._get_tracing_state() is not None:
        return Follower.JIT_TRACING
    if torch._C._len_torch_dispatch_stack() > 0:
        return Follower.DISPATCH_MODE
    strange = _strange(call)
    if strange:
        return Follower.FAKE if strange == {FakeTensor} else Follower.SUBCLASS
    if any(t.layout is not torch.strided for t in tensors):
        return Follower.LAYOUT
    return Follower.WRAPPER if has_wrappers else None
