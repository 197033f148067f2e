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
from fastgru.spec import GRUSpec

MOST_CELLS: int = _core.MOST_CELLS

# False with a torch that has no table of C functions for its tensors; then `forward` serves every call.
_READS_TENSORS = _core.load_tensors(torch.Tensor, torch.nn.Parameter)

# Blocks from this size on come from the core's pool: the allocator would give their pages back to the system
# after every step, and touching fresh ones costs more than the kernels that fill them.
_POOLED_BYTES = 1 << 20


_CORES: dict[tuple[GRUSpec, torch.dtype], _core.Core] = {}


def _core_for(spec: GRUSpec, dtype: torch.dtype) -> _core.Core:
    key = (spec, dtype)
    core = _CORES.get(key)
    if core is None:
        core = _CORES[key] = _core.Core(
            spec.input_size,
            spec.hidden_size,
            spec.num_layers,
            spec.num_directions,
            spec.bias,
            dtype is torch.float64,
        )
    return core


def _saved(core: _core.Core, request: Request, sizes_at: int) -> Tensor:
    """A buffer for what the forward pass leaves to the backward pass."""
    values = core.saved_values(request.steps, request.batch, sizes_at)
    size = values * request.dtype.itemsize
    if size < _POOLED_BYTES:
        return torch.empty(values, dtype=request.dtype, device="cpu")
    return torch.frombuffer(_core.Block(size), dtype=request.dtype, count=values)


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


def forward_plain(
    spec: GRUSpec, x: Tensor, h_0: Tensor | None, weights: tuple[Tensor, ...]
) -> tuple[Tensor, Tensor] | None:
    """Output and h_n without gradients, everything looked at by the core itself.

    None when a tensor is not a plain, dense one of the right size, type and device on the CPU; `forward` takes all that
    can be computed, after checks that find the words for what cannot.
    """
    if not _READS_TENSORS or (x.dtype is not torch.float32 and x.dtype is not torch.float64):
        return None
    if spec.hidden_size == 0 or spec.num_layers * spec.num_directions > MOST_CELLS:
        return None
    core = _core_for(spec, x.dtype)
    results = core.forward_tensors(x, h_0, weights, torch.get_num_threads())
    return cast("tuple[Tensor, Tensor] | None", results)


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
    core = _core_for(spec, request.dtype)
    x = _vectors(x)
    h_0 = None if h_0 is None else _dense(h_0)
    weights = [w if w.is_contiguous() and not w.is_neg() else _dense(w) for w in weights]
    batch_sizes = None if batch_sizes is None else _dense(batch_sizes)
    directions, hidden = spec.num_directions, spec.hidden_size
    # new_empty with plain integers is the quickest way to a tensor, and knows no default device.
    output = x.new_empty(*x.shape[:-1], directions * hidden)
    h_n = x.new_empty(spec.num_layers * directions, request.batch, hidden)
    sizes_at = _address(batch_sizes)
    saved = _saved(core, request, sizes_at) if saves else None
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
    _core_for(request.spec, request.dtype).backward(
        request.steps,
        request.batch,
        _address(batch_sizes),
        x.data_ptr(),
        *_strides(x),
        _address(h_0),
        tuple([_address(weight) for weight in weights]),
        output.data_ptr(),
        saved.data_ptr(),
        _address(d_output),
        *_strides(d_output),
        _address(d_h_n),
        _address(d_x),
        _address(d_h_0),
        tuple([_address(d_weight) for d_weight in d_weights]),
        torch.get_num_threads(),
    )
    return gradients
