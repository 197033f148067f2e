"""The GRU as a function of its input and parameters.

Everything is checked here, in Python, before any kernel runs; `fastgru.nn` comes through the same door.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn import Parameter

from fastgru import dispatch, errors
from fastgru.backends import core_calls, cpu
from fastgru.backends.base import Request
from fastgru.frozen_parameter import FrozenParameter
from fastgru.spec import GRUSpec

_PLAIN = frozenset({Tensor, Parameter, torch.nn.Buffer, FrozenParameter})
_CELL_ARGUMENTS = ("input", "hx", "weight_ih", "weight_hh", "bias_ih", "bias_hh")
_MAY_BE_NONE = ("h_0", "hx", "bias_ih", "bias_hh")
# Functions that every call asks, by names of our own: finding them in torch each time takes as long as the answer.
_are_transforms_active = torch._C._are_functorch_transforms_active
_tracing_state = torch._C._get_tracing_state
_modes_active = torch._C._len_torch_dispatch_stack
_SHAPES: dict[GRUSpec, tuple[torch.Size, ...]] = {}


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
        dropout: probability of an element being zeroed between layers, in training.
        training: whether dropout acts.
        recompute: keep less between forward and backward pass and compute the gates again, see `fastgru.GRU`.

    Returns:
        output (T, B, D*H), or (B, T, D*H), or (N, D*H); and h_n (L*D, B, H). Type and device are the input's.

    Raises:
        ShapeError, RankError, DTypeError, OperandError, InputTypeError, ArgumentError: what does not fit, in torch's
            exception types.

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
    if not 0 <= dropout <= 1:
        raise errors.dropout_range(dropout)
    expected = num_layers * (2 if bidirectional else 1) * (4 if bias else 2)
    if len(weights) != expected:
        raise errors.parameter_count(len(weights), expected)
    _check_tensors(input=input, h_0=h_0, **{f"weights[{i}]": weight for i, weight in enumerate(weights)})
    if batch_sizes is not None:
        check_batch_sizes(input, batch_sizes)
    elif input.dim() != 3:
        raise errors.input_rank("GRU", input.dim(), (3,), "(T, B, I), or (B, T, I) with batch_first")
    spec = GRUSpec(_width("weights[0]", weights[0]), _width("weights[1]", weights[1]), num_layers, bias, bidirectional)
    flips = batch_first and batch_sizes is None
    x = input.transpose(0, 1) if flips else input
    rate = float(dropout) if training and num_layers > 1 else 0.0
    output, h_n = run(spec, x, h_0, weights, batch_sizes, rate, recompute)
    return (cpu.batch_first(output) if flips else output), h_n


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
    if not _PLAIN.issuperset(map(type, given)):
        _check_tensors(**dict(zip(_CELL_ARGUMENTS, given, strict=True)))
    weights = (weight_ih, weight_hh, *_biases(bias_ih, bias_hh))
    features, hidden = _width("weight_ih", weight_ih), _width("weight_hh", weight_hh)
    _check_cell(input, hx, features, hidden)
    is_batched = input.dim() == 2
    x = input.unsqueeze(0) if is_batched else input[None, None]
    h_0 = None if hx is None else hx.unsqueeze(0) if is_batched else hx[None, None]
    spec = GRUSpec(features, hidden, 1, len(weights) == 4, False)
    _, h_n = run(spec, x, h_0, weights, None, 0.0)
    return h_n.squeeze_(0) if is_batched else h_n[0, 0]  # in place: torch's cell returns no view of a batch


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
    batch_sizes: Tensor | None,
    dropout: float,
    recompute: bool = False,
) -> tuple[Tensor, Tensor]:
    """Checks what the layouts leave to check, chooses a backend and runs it.

    Args:
        spec: what the weights are meant to be.
        x: (T, B, I), or packed data (N, I) with valid `batch_sizes`.
        h_0: three-dimensional, or None.
        weights: in torch's order, as many as the spec says.
        batch_sizes: see `gru`.
        dropout: what acts between layers; 0 outside training.
        recompute: see `gru`.
    """
    if batch_sizes is None and dropout == 0.0 and is_unwatched():
        if needs_grad(x, h_0, weights):
            results = cpu.train_plain(spec, x, h_0, weights, recompute)
        else:
            results = core_calls.forward_plain(spec, x, h_0, weights)
        if results is not None:
            return results
    is_mixed = _check(spec, x, h_0, weights, batch_sizes)
    context = "autocast of mixed types" if is_mixed else _context(x, h_0, weights)
    steps, batch = (x.shape[0], x.shape[1]) if batch_sizes is None else _packed_sizes(batch_sizes)
    request = Request(
        spec,
        x.dtype,
        "cpu" if x.is_cpu else x.device.type,
        steps,
        batch,
        batch_sizes is not None,
        needs_grad(x, h_0, weights),
        dropout,
        context,
        recompute,
    )
    return dispatch.choose(request).run(request, x, h_0, weights, batch_sizes)


# A call on a short sequence takes a few microseconds, and so do twenty attributes of tensors. What follows reads each
# of them once, compares cheaply, and makes words only when something is wrong.


def _packed_sizes(batch_sizes: Tensor) -> tuple[int, int]:
    return batch_sizes.shape[0], int(batch_sizes[0])


def is_unwatched() -> bool:
    """True when no backend was asked for and nothing but autograd follows what operators do, found out quickly."""
    if torch.compiler.is_compiling() or _are_transforms_active():
        return False
    if forward_ad._current_level >= 0 or _tracing_state() is not None:
        return False
    return _modes_active() == 0 and dispatch.FROM_ENVIRONMENT is None and dispatch.FORCED.get() is None


def needs_grad(x: Tensor, h_0: Tensor | None, weights: tuple[Tensor, ...]) -> bool:
    """Whether autograd will want gradients of the call."""
    if not torch.is_grad_enabled():
        return False
    if x.requires_grad or (h_0 is not None and h_0.requires_grad):
        return True
    return any([weight.requires_grad for weight in weights])  # noqa: C419  (a generator takes twice as long)


def _context(x: Tensor, h_0: Tensor | None, weights: tuple[Tensor, ...]) -> str | None:
    """Why only operators that torch can see may work on these tensors now; None where anything may."""
    if torch.compiler.is_compiling():
        return "torch.compile"
    if torch._C._are_functorch_transforms_active():
        return "a torch.func transform"
    tensors = (x, *weights) if h_0 is None else (x, h_0, *weights)
    if forward_ad._current_level >= 0 and any(
        forward_ad.unpack_dual(t).tangent is not None  # type: ignore[no-untyped-call]
        for t in tensors
    ):
        return "forward-mode AD"
    if torch._C._get_tracing_state() is not None:
        return "torch.jit tracing"
    if torch._C._len_torch_dispatch_stack() > 0:
        return "a TorchDispatchMode"
    strange = {type(t) for t in tensors} - _PLAIN
    return f"tensors of type {strange.pop().__name__}" if strange else None


def _shapes(spec: GRUSpec) -> tuple[torch.Size, ...]:
    found = _SHAPES.get(spec)
    if found is None:
        found = _SHAPES[spec] = tuple([torch.Size(shape) for shape in spec.parameter_shapes])
    return found


def _check(
    spec: GRUSpec,
    x: Tensor,
    h_0: Tensor | None,
    weights: tuple[Tensor, ...],
    batch_sizes: Tensor | None,
) -> bool:
    """Raises when types, devices or sizes do not fit together; True when autocast lets types differ."""
    shape, dtype, is_cpu = x.shape, x.dtype, x.is_cpu
    is_mixed = dtype is not weights[0].dtype
    if is_mixed and not torch._C._is_any_autocast_enabled():
        raise errors.input_dtype(dtype, weights[0].dtype)
    if shape[-1] != spec.input_size:
        raise errors.feature_size(shape[-1], spec.input_size)
    if h_0 is not None:
        cells = spec.num_layers * spec.num_directions
        batch = shape[1] if batch_sizes is None else int(batch_sizes[0])
        if h_0.shape != (cells, batch, spec.hidden_size):
            raise errors.hidden_shape(h_0.shape, (cells, batch, spec.hidden_size))
        is_mixed |= _check_operand("hidden", "hx", h_0, x)
    if shape[0] == 0:
        raise errors.empty_sequence()
    if len(weights) != len(_shapes(spec)):
        raise errors.parameter_count(len(weights), len(_shapes(spec)))
    for i, (weight, expected) in enumerate(zip(weights, _shapes(spec), strict=True)):
        if weight.shape != expected:
            name = spec.parameter_names[i]
            rows = shape[:-1].numel() if "_ih" in name else shape[-2]  # torch projects the states step by step
            raise errors.parameter_shape(name, weight.shape, expected, rows)
        if weight.dtype is not dtype or not (is_cpu and weight.is_cpu):
            is_mixed |= _check_operand("parameter", spec.parameter_names[i], weight, x)
    return is_mixed


def _check_operand(kind: str, name: str, operand: Tensor, x: Tensor) -> bool:
    """Raises when `operand` cannot meet `x`; True when only autocast lets it."""
    if operand.device != x.device:
        raise errors.device(kind, x.device, operand.device)
    if operand.dtype is x.dtype:
        return False
    if not torch._C._is_any_autocast_enabled():
        raise errors.operand_dtype(name, operand.dtype, x.dtype)
    return True


def _check_tensors(**arguments: object) -> None:
    """Raises when one of the named arguments is neither a tensor nor left out."""
    for name, value in arguments.items():
        if not isinstance(value, Tensor) and (value is not None or name not in _MAY_BE_NONE):
            raise errors.not_a_tensor(name, value)


def _width(name: str, weight: Tensor) -> int:
    """How many values the weight matrix takes in."""
    if weight.dim() != 2:
        raise errors.parameter_rank(name, weight.shape)
    return weight.shape[1]


def check_batch_sizes(data: Tensor, batch_sizes: Tensor) -> None:
    """Raises when packed data (N, I) and its batch sizes do not fit; a PackedSequence can be put together by hand.

    The core takes steps and rows from the sizes, so nothing may pass here that points outside the data.
    """
    if data.dim() != 2:
        raise errors.packed_rank(data.dim())
    if not isinstance(batch_sizes, Tensor) or batch_sizes.dtype != torch.int64:
        raise errors.batch_sizes_type(getattr(batch_sizes, "dtype", type(batch_sizes).__name__))
    if not batch_sizes.is_cpu or batch_sizes.dim() != 1:
        raise errors.batch_sizes(f"has {batch_sizes.dim()} dimensions and lies on {batch_sizes.device}")
    if torch.compiler.is_compiling() or torch._C._get_tracing_state() is not None or type(data) not in _PLAIN:
        return  # The sizes are not numbers yet, and torch's operator, which checks them itself, serves the call.
    sizes = batch_sizes.tolist()
    if not sizes or sizes[-1] < 1:
        raise errors.batch_sizes(f"ends with {sizes[-1]}" if sizes else "is empty")
    if any(later > size for size, later in itertools.pairwise(sizes)):
        raise errors.batch_sizes("grows")
    if sum(sizes) != data.shape[0]:
        raise errors.batch_sizes_sum(sizes, data.shape[0])


def _check_cell(input: Tensor, hx: Tensor | None, features: int, hidden: int) -> None:
    """A cell's own layouts; the rest is checked as for a layer."""
    if input.dim() not in (1, 2):
        raise errors.input_rank("GRUCell", input.dim(), (1, 2), "(batch, input_size) or (input_size)")
    if input.shape[-1] != features:
        raise errors.cell_feature_size(input.shape[-1], features)
    if hx is None:
        return
    if hx.dim() not in (1, 2):
        raise errors.cell_hidden_rank(hx.dim())
    batch = input.shape[0] if input.dim() == 2 else 1
    # Torch reads an unbatched input as a batch of one, and a state without a batch as a column of states.
    rows = hx.shape[0] if input.dim() == 2 else 1
    width = hx.shape[-1] if input.dim() == hx.dim() else (1 if input.dim() == 2 else hx.shape[0])
    if rows != batch:
        raise errors.cell_batch(batch, rows)
    if width != hidden or input.dim() != hx.dim():
        raise errors.cell_hidden_size(width, hidden)
