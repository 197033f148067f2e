"""Tensors to addresses: the only place that calls the native core.

Arguments have been validated. What the core asks for is arranged here: vectors with their values side by side,
contiguous parameters, buffers for the results. Every tensor whose address is taken is kept in a local name until the
call is over.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor

from fastgru import _core, levels  # noqa: F401  (levels applies FASTGRU_ISA before the first call)
from fastgru.backends.base import Request
from fastgru.frozen_parameter import FrozenParameter
from fastgru.spec import GRUSpec

MOST_CELLS: int = _core.MOST_CELLS

# False with a torch that has no table of C functions for its tensors; then `forward` serves every call.
READS_TENSORS = _core.load_tensors((torch.Tensor, torch.nn.Parameter, FrozenParameter))

# Blocks from this size on come from the core's pool: the allocator would give their pages back to the system
# after every step, and touching fresh ones costs more than the kernels that fill them.
_POOLED_BYTES = 1 << 20

# For float32 and for float64.
_CORES: tuple[dict[GRUSpec, _core.Core], dict[GRUSpec, _core.Core]] = ({}, {})


def core_for(spec: GRUSpec, dtype: torch.dtype) -> _core.Core:
    """The core's own description of a layer; the same object for equal layers."""
    cores = _CORES[dtype is torch.float64]
    core = cores.get(spec)
    if core is None:
        core = cores[spec] = _core.Core(
            spec.input_size,
            spec.hidden_size,
            spec.num_layers,
            spec.num_directions,
            spec.bias,
            dtype is torch.float64,
        )
    return core


def buffer_to_save(
    core: _core.Core, dtype: torch.dtype, steps: int, batch: int, sizes_at: int, recompute: bool
) -> Tensor:
    """Memory for what the forward pass leaves to the backward pass."""
    values = core.saved_values(steps, batch, sizes_at, recompute)
    size = values * dtype.itemsize
    if size < _POOLED_BYTES:
        return torch.empty(values, dtype=dtype, device="cpu")
    return torch.frombuffer(_core.Block(size), dtype=dtype, count=values)


def _dense(tensor: Tensor) -> Tensor:
    """The same values, row-major without gaps."""
    if tensor.is_contiguous() and not tensor.is_neg():
        return tensor
    return tensor.resolve_neg().contiguous()


def _vectors(tensor: Tensor) -> Tensor:
    """The same values, with those of the last dimension side by side; other strides as they are."""
    if (tensor.stride(-1) == 1 or tensor.shape[-1] <= 1) and not tensor.is_neg():
        return tensor
    return tensor.resolve_neg().contiguous()


def _address(tensor: Tensor | None) -> int:
    return 0 if tensor is None else tensor.data_ptr()


def _strides(tensor: Tensor | None) -> tuple[int, int]:
    """Step and row stride of (T, B, features), or 0 and the row stride of packed (N, features)."""
    if tensor is None:
        return 0, 0
    strides = tensor.stride()
    return (0, strides[0]) if len(strides) == 2 else strides[:2]  # type: ignore[return-value]


def core_for_plain(spec: GRUSpec, x: Tensor) -> _core.Core | None:
    """The core where it may read the tensors of a call by itself; None where that is out of the question."""
    dtype = x.dtype
    core = _CORES[dtype is torch.float64].get(spec)
    if core is not None and (dtype is torch.float32 or dtype is torch.float64):
        return core if READS_TENSORS else None
    return _first_core_for_plain(spec, dtype)


def _first_core_for_plain(spec: GRUSpec, dtype: torch.dtype) -> _core.Core | None:
    if not READS_TENSORS or dtype not in (torch.float32, torch.float64):
        return None
    if spec.hidden_size == 0 or spec.num_layers * spec.num_directions > MOST_CELLS:
        return None
    return core_for(spec, dtype)


def forward_plain(
    spec: GRUSpec,
    x: Tensor,
    h_0: Tensor | None,
    weights: tuple[Tensor, ...],
    saved: Tensor | None = None,
    recompute: bool = False,
) -> tuple[Tensor, Tensor] | None:
    """Output and h_n of a batch without batch sizes, everything looked at by the core itself.

    None when a tensor is not a plain, dense one of the right size, type and device on the CPU; `forward` takes all that
    can be computed, after checks that find the words for what cannot.
    """
    core = core_for_plain(spec, x)
    if core is None:
        return None
    saved_at = 0 if saved is None else saved.data_ptr()
    results = core.forward_tensors(x, h_0, weights, saved_at, recompute, torch.get_num_threads())
    return cast("tuple[Tensor, Tensor] | None", results)


def backward_plain(
    spec: GRUSpec,
    inputs: tuple[Tensor | None, ...],
    output: Tensor,
    saved: Tensor,
    recompute: bool,
    outer: tuple[Tensor | None, Tensor | None],
    wanted: tuple[bool, ...],
) -> tuple[Tensor | None, ...] | None:
    """As `backward`, for a batch without batch sizes; None as from `forward_plain`."""
    x, h_0, *weights = inputs
    assert x is not None
    core = core_for_plain(spec, x)
    if core is None:
        return None
    gradients = core.backward_tensors(
        x, h_0, tuple(weights), output, saved.data_ptr(), recompute, *outer, wanted, torch.get_num_threads()
    )
    return cast("tuple[Tensor | None, ...] | None", gradients)


def forward(
    request: Request,
    x: Tensor,
    h_0: Tensor | None,
    weights: Sequence[Tensor],
    batch_sizes: Tensor | None,
    saves: bool,
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Output (T, B, D*H) or (N, D*H), h_n (L*D, B, H), and what `backward` needs where `saves` is set."""
    spec = request.spec
    core = core_for(spec, request.dtype)
    x = _vectors(x)
    h_0 = None if h_0 is None else _dense(h_0)
    weights = [w if w.is_contiguous() and not w.is_neg() else _dense(w) for w in weights]
    batch_sizes = None if batch_sizes is None else _dense(batch_sizes)
    directions, hidden = spec.num_directions, spec.hidden_size
    # new_empty with plain integers is the quickest way to a tensor, and knows no default device.
    output = x.new_empty(*x.shape[:-1], directions * hidden)
    h_n = x.new_empty(spec.num_layers * directions, request.batch, hidden)
    sizes_at = _address(batch_sizes)
    saved = None
    if saves:
        saved = buffer_to_save(core, request.dtype, request.steps, request.batch, sizes_at, request.recompute)
    core.forward(
        request.steps,
        request.batch,
        sizes_at,
        x.data_ptr(),
        *_strides(x),
        _address(h_0),
        tuple([weight.data_ptr() for weight in weights]),
        output.data_ptr(),
        h_n.data_ptr(),
        _address(saved),
        request.recompute,
        torch.get_num_threads(),
    )
    return output, h_n, saved


def backward(
    request: Request,
    inputs: tuple[Tensor | None, ...],
    batch_sizes: Tensor | None,
    output: Tensor,
    saved: Tensor,
    d_output: Tensor | None,
    d_h_n: Tensor | None,
    wanted: Sequence[bool],
) -> list[Tensor | None]:
    """The gradients of x, h_0 and the weights, in that order; None where not wanted."""
    gradients = [
        torch.empty(tensor.shape, dtype=tensor.dtype, device="cpu") if is_wanted and tensor is not None else None
        for tensor, is_wanted in zip(inputs, wanted, strict=True)
    ]
    d_x, d_h_0, *d_weights = gradients
    x, h_0, *weights = inputs
    assert x is not None
    x = _vectors(x)
    h_0 = None if h_0 is None else _dense(h_0)
    weights = [_dense(weight) for weight in weights if weight is not None]
    batch_sizes = None if batch_sizes is None else _dense(batch_sizes)
    d_output = None if d_output is None else _vectors(d_output)
    d_h_n = None if d_h_n is None else _dense(d_h_n)
    core_for(request.spec, request.dtype).backward(
        request.steps,
        request.batch,
        _address(batch_sizes),
        x.data_ptr(),
        *_strides(x),
        _address(h_0),
        tuple([_address(weight) for weight in weights]),
        output.data_ptr(),
        saved.data_ptr(),
        request.recompute,
        _address(d_output),
        *_strides(d_output),
        _address(d_h_n),
        _address(d_x),
        _address(d_h_0),
        tuple([_address(d_weight) for d_weight in d_weights]),
        torch.get_num_threads(),
    )
    return gradients
