"""The GRU as a function of its input and parameters.

Everything is checked here, in Python, before any kernel runs; `fastgru.nn` comes through the same door.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from fastgru import dispatch, errors, recording
from fastgru.backends import expanded_weights, onnx
from fastgru.backends.base import (
    COMPILER,
    DISPATCH_MODE,
    FORWARD_MODE,
    FORWARD_TRANSFORM,
    JIT_TRACING,
    TRANSFORM,
    UNBOUNDED,
    Bounds,
    Request,
    not_compiled,
)
from fastgru.backends.cpu import core_calls, native
from fastgru.call import checks, memory
from fastgru.recording import profiler
from fastgru.spec import GRUSpec

_CELL_ARGUMENTS = ("input", "hx", "weight_ih", "weight_hh", "bias_ih", "bias_hh")
# Functions that every call asks, by names of our own: finding them in torch each time takes as long as the answer.
_is_compiling = torch.compiler.is_compiling
_forced = dispatch.FORCED.get
_are_transforms_active = torch._C._are_functorch_transforms_active
_tracing_state = torch._C._get_tracing_state
_modes_active = torch._C._len_torch_dispatch_stack
_autocast_enabled = torch._C._is_any_autocast_enabled


def gru(
    input: Tensor,
    h_0: Tensor | None,
    weights: Sequence[Tensor],
    *,
    num_layers: int = 1,
    bias: bool = True,
    bidirectional: bool = False,
    batch_first: bool = False,
    batch_sizes: Tensor | None = None,
    lengths: Tensor | Sequence[int] | None = None,
    reset: Tensor | None = None,
    reset_state: Tensor | None = None,
    dropout: float = 0.0,
    training: bool = False,
    recompute: bool = False,
) -> tuple[Tensor, Tensor]:
    """A stacked, bidirectional GRU; the equations are `fastgru.reference.step`.

    Args:
        input: (T, B, I), or (B, T, I) with `batch_first`, or packed data (N, I) with `batch_sizes`.
        h_0: initial states (L*D, B, H), also with `batch_first`; None for zeros.
        weights: parameters in torch's order: for each layer and direction weight_ih (3H, I or D*H), weight_hh (3H, H)
            and, with `bias`, bias_ih and bias_hh (3H), rows r, z, n.
        num_layers: stacked layers, L.
        bias: whether `weights` holds biases.
        bidirectional: whether there is a second direction, D = 2.
        batch_first: the batch comes first in input and output.
        batch_sizes: (T,) int64 on the CPU: rows alive at each step, as in torch's PackedSequence.
        lengths: (B,) integers: how many steps of each padded sequence count, from 0 to T. What stands past an end is
            never read; outputs there are zeros, h_n is the state at the end (h_0 for an empty sequence), and the second
            direction starts at the end.
        reset: booleans, (T, B) or with `batch_first` (B, T): before a marked step the state becomes `reset_state`, as
            if a new sequence began there; the second direction, which comes from behind, starts anew past such a step.
        reset_state: (L*D, H) or (L*D, B, H); None for zeros.
        dropout: probability of an element being zeroed between layers, in training.
        training: whether dropout acts.
        recompute: keep less between forward and backward pass and compute the gates again, see `fastgru.GRU`.

    Returns:
        output (T, B, D*H), or (B, T, D*H), or (N, D*H); and h_n (L*D, B, H). Type and device are the input's.

    Raises:
        ShapeError, RankError, DTypeError, OperandError, InputTypeError, ArgumentError: what does not fit, in torch's
            exception types.
        BoundsError, BoundsTypeError: lengths or a reset mask that do not fit the batch.

    Example:
        >>> import torch, fastgru
        >>> layer = fastgru.GRU(8, 16, num_layers=2)
        >>> x = torch.randn(5, 3, 8)
        >>> output, h_n = fastgru.functional.gru(x, None, list(layer.parameters()), num_layers=2)
        >>> torch.equal(output, layer(x)[0])
        True
    """
    weights = tuple(weights)
    if not isinstance(num_layers, int) or num_layers < 1:
        raise errors.layer_count(num_layers)
    num_layers = int(num_layers)  # True is one, but not to torch's operator
    if not isinstance(dropout, (int, float)) or not 0 <= dropout <= 1:
        raise errors.dropout_range(dropout)
    expected = num_layers * (2 if bidirectional else 1) * (4 if bias else 2)
    if len(weights) != expected:
        raise errors.parameter_count(len(weights), expected)
    checks.check_tensors(input=input, h_0=h_0, **{f"weights[{i}]": weight for i, weight in enumerate(weights)})
    if batch_sizes is not None:
        batch_sizes = checks.batch_sizes_of(input, batch_sizes)
    elif input.dim() != 3:
        raise errors.input_rank("GRU", input.dim(), (3,), "(T, B, I), or (B, T, I) with batch_first")
    features, hidden = checks.width("weights[0]", weights[0]), checks.width("weights[1]", weights[1])
    spec = GRUSpec(features, hidden, num_layers, bias, bidirectional)
    batch_first = batch_first and batch_sizes is None
    bounds = bounds_of(input, batch_first, batch_sizes, lengths, reset, reset_state)
    rate = float(dropout) if training and num_layers > 1 else 0.0
    return run(spec, input, h_0, weights, bounds, rate, recompute, batch_first)


def bounds_of(
    x: Tensor,
    batch_first: bool,
    batch_sizes: Tensor | None,
    lengths: Any = None,
    reset: Any = None,
    reset_state: Tensor | None = None,
) -> Bounds:
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
        return UNBOUNDED
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
    return Bounds(batch_sizes, lengths, reset, reset_state)


def gru_cell(
    input: Tensor,
    hx: Tensor | None,
    weight_ih: Tensor,
    weight_hh: Tensor,
    bias_ih: Tensor | None = None,
    bias_hh: Tensor | None = None,
) -> Tensor:
    """One step of a GRU.

    Args:
        input: (B, I) or (I).
        hx: the state before, (B, H) or (H); None for zeros.
        weight_ih: (3H, I), rows r, z, n.
        weight_hh: (3H, H).
        bias_ih: (3H), or None for zeros.
        bias_hh: (3H), or None for zeros.

    Returns:
        The state after, (B, H) or (H).

    Raises:
        ShapeError, RankError, OperandError, InputTypeError: what does not fit, in torch's exception types.

    Example:
        >>> import torch, fastgru
        >>> cell = fastgru.GRUCell(8, 16)
        >>> fastgru.functional.gru_cell(torch.randn(3, 8), None, *cell.parameters()).shape
        torch.Size([3, 16])
    """
    given = (input, hx, weight_ih, weight_hh, bias_ih, bias_hh)
    if not checks.PLAIN.issuperset(map(type, given)):
        checks.check_tensors(**dict(zip(_CELL_ARGUMENTS, given, strict=True)))
    weights = (weight_ih, weight_hh, *_biases(bias_ih, bias_hh))
    features, hidden = checks.width("weight_ih", weight_ih), checks.width("weight_hh", weight_hh)
    checks.check_cell(input, hx, features, hidden)
    is_batched = input.dim() == 2
    x = input.unsqueeze(0) if is_batched else input[None, None]
    h_0 = None if hx is None else hx.unsqueeze(0) if is_batched else hx[None, None]
    spec = GRUSpec(features, hidden, 1, len(weights) == 4, False)
    try:
        _, h_n = run(spec, x, h_0, weights)
    except errors.DTypeError:  # torch's cell has another type of error for it than torch's layer
        raise errors.cell_dtype(input.dtype, weight_ih.dtype) from None
    h_n.squeeze_(0)  # in place: torch's cell returns no view
    return h_n if is_batched else h_n.squeeze_(0)


def _biases(bias_ih: Tensor | None, bias_hh: Tensor | None) -> tuple[Tensor, ...]:
    """Both or none: one alone stands beside zeros."""
    if bias_ih is None:
        return () if bias_hh is None else (torch.zeros_like(bias_hh), bias_hh)
    return bias_ih, torch.zeros_like(bias_ih) if bias_hh is None else bias_hh


def run(
    spec: GRUSpec,
    x: Tensor,
    h_0: Tensor | None,
    weights: tuple[Tensor, ...],
    bounds: Bounds = UNBOUNDED,
    dropout: float = 0.0,
    recompute: bool = False,
    batch_first: bool = False,
) -> tuple[Tensor, Tensor]:
    """Checks what the layouts leave to check, chooses a backend and runs it.

    Args:
        spec: what the weights are meant to be.
        x: (T, B, I), (B, T, I) with `batch_first`, or packed data (N, I) with valid batch sizes.
        h_0: three-dimensional, or None.
        weights: in torch's order, as many as the spec says.
        bounds: from `bounds_of`.
        dropout: what acts between layers; 0 outside training.
        recompute: see `gru`.
        batch_first: see `x`.
    """
    if (bounds is UNBOUNDED or bounds.batch_sizes is None) and dropout == 0.0 and is_unwatched():
        if profiler._is_profiler_enabled:
            results = _run_recorded(spec, x, h_0, weights, bounds, batch_first, recompute)
        elif torch.is_grad_enabled() and needs_grad(x, h_0, weights, bounds.reset_state):
            results = native.train_plain(spec, x, h_0, weights, bounds, batch_first, recompute)
        else:
            results = core_calls.forward_plain(spec, x, h_0, weights, bounds, batch_first)
        if results is not None:
            return results
    if not checks.PLAIN.issuperset(map(type, weights)):
        checks.check_weights(spec, weights)
        plain = expanded_weights.originals(weights)
        if plain is not None:
            request = request_for(spec, x, h_0, plain, bounds, dropout, recompute, batch_first)
            return expanded_weights.run(request, x, h_0, weights, bounds)
    if x.is_cpu and torch.is_autocast_enabled("cpu"):
        dtype = torch.get_autocast_dtype("cpu")
        x, h_0, anew, *cast = [_autocast(t, dtype) for t in (x, h_0, bounds.reset_state, *weights)]
        with torch.autocast("cpu", enabled=False):
            bounds = bounds._replace(reset_state=anew)
            return run(spec, x, h_0, tuple(cast), bounds, dropout, recompute, batch_first)
    request = request_for(spec, x, h_0, weights, bounds, dropout, recompute, batch_first)
    if request.steps == 0:
        return _run_nothing(request, x, h_0)
    backend = dispatch.choose(request, warns=True)
    if request.context is None and profiler._is_profiler_enabled:
        with recording.span(x, h_0, *weights):
            return backend.run(request, x, h_0, weights, bounds)
    return backend.run(request, x, h_0, weights, bounds)


@not_compiled
def _run_recorded(
    spec: GRUSpec,
    x: Tensor,
    h_0: Tensor | None,
    weights: tuple[Tensor, ...],
    bounds: Bounds,
    batch_first: bool,
    recompute: bool,
) -> tuple[Tensor, Tensor] | None:
    """The short way of `run` under a profiler, apart from it: a call more would be felt in a single step."""
    with recording.span(x, h_0, *weights):
        if torch.is_grad_enabled() and needs_grad(x, h_0, weights, bounds.reset_state):
            return native.train_plain(spec, x, h_0, weights, bounds, batch_first, recompute)
        return core_calls.forward_plain(spec, x, h_0, weights, bounds, batch_first)


def _autocast(tensor: Tensor | None, dtype: torch.dtype) -> Any:
    """What autocast makes of an operand of `torch.nn.Linear`: it leaves float64 alone."""
    return tensor if tensor is None or tensor.dtype is torch.float64 else tensor.to(dtype)


def request_for(
    spec: GRUSpec,
    x: Tensor,
    h_0: Tensor | None,
    weights: tuple[Tensor, ...],
    bounds: Bounds,
    dropout: float,
    recompute: bool,
    batch_first: bool,
) -> Request:
    """The call as data, after all checks; arguments as for `run`."""
    steps, batch = _sizes(x, batch_first, bounds.batch_sizes)
    is_mixed = checks.check_operands(spec, x, h_0, weights, batch)
    checks.check_reset_state(spec, bounds, x, batch)
    return Request(
        spec,
        x.dtype,
        "cpu" if x.is_cpu else x.device.type,
        steps,
        batch,
        bounds.batch_sizes is not None,
        needs_grad(x, h_0, weights, bounds.reset_state),
        dropout,
        "autocast of mixed types" if is_mixed else _context(x, h_0, weights, bounds.reset_state),
        recompute,
        batch_first,
        bounds.lengths is not None,
        bounds.reset is not None,
    )


def _sizes(x: Tensor, batch_first: bool, batch_sizes: Tensor | None) -> tuple[int, int]:
    """Steps and rows."""
    if x.is_nested:
        raise errors.nested_layout(x.layout, x.dim())
    if batch_sizes is not None:
        return batch_sizes.shape[0], int(batch_sizes[0])
    return (x.shape[1], x.shape[0]) if batch_first else (x.shape[0], x.shape[1])


def _run_nothing(request: Request, x: Tensor, h_0: Tensor | None) -> tuple[Tensor, Tensor]:
    """A sequence of no steps: no outputs, and the states as they were."""
    spec = request.spec
    output = x.new_zeros(*x.shape[:-1], spec.num_directions * spec.hidden_size)
    states = (spec.num_layers * spec.num_directions, request.batch, spec.hidden_size)
    return output, x.new_zeros(states) if h_0 is None else h_0.clone()


def is_unwatched() -> bool:
    """True when no backend was asked for and nothing but autograd follows what operators do, found out quickly."""
    if _is_compiling() or _are_transforms_active():
        return False
    if forward_ad._current_level >= 0 or _tracing_state() is not None:
        return False
    return _modes_active() == 0 and not _autocast_enabled() and _forced() is None


def needs_grad(x: Tensor, h_0: Tensor | None, weights: tuple[Tensor, ...], reset_state: Tensor | None = None) -> bool:
    """Whether autograd will want gradients of the call."""
    if not torch.is_grad_enabled():
        return False
    if x.requires_grad or (h_0 is not None and h_0.requires_grad):
        return True
    if reset_state is not None and reset_state.requires_grad:
        return True
    try:
        return any([weight.requires_grad for weight in weights])  # noqa: C419  (a generator takes twice as long)
    except (AttributeError, RuntimeError):  # no tensor, or one that answers to few functions: told apart later
        return True


def _context(
    x: Tensor, h_0: Tensor | None, weights: tuple[Tensor, ...], reset_state: Tensor | None = None
) -> str | None:
    """Why only operators that torch can see may work on these tensors now; None where anything may."""
    if torch._C._are_functorch_transforms_active():
        # No rule of ours serves a call that is compiled inside a transform.
        if torch.compiler.is_compiling():
            return f"{COMPILER} of {TRANSFORM}"
        return FORWARD_TRANSFORM if forward_ad._current_level >= 0 else TRANSFORM
    if torch.compiler.is_compiling():
        return onnx.EXPORT if onnx.is_exporting() else COMPILER
    named = {"input": x, "hx": h_0, "reset_state": reset_state}
    states = {name: tensor for name, tensor in named.items() if tensor is not None}
    tensors = (*states.values(), *weights)
    if forward_ad._current_level >= 0 and any(
        forward_ad.unpack_dual(t).tangent is not None  # type: ignore[no-untyped-call]
        for t in tensors
    ):
        return FORWARD_MODE
    if torch._C._get_tracing_state() is not None:
        return JIT_TRACING
    if torch._C._len_torch_dispatch_stack() > 0:
        return DISPATCH_MODE
    strange = {type(t) for t in tensors} - checks.PLAIN
    if strange:
        return f"tensors of type {strange.pop().__name__}"
    if any(t.layout is not torch.strided for t in tensors):
        return "tensors of other layouts than torch.strided"
    names = (*states, *("a parameter" for _ in weights))
    wrappers = [memory.is_wrapper(name, t) for name, t in zip(names, tensors, strict=True) if t.is_cpu]
    return "tensors without memory of their own" if any(wrappers) else None
