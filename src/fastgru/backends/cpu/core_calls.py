"""Tensors to addresses: the only place that calls the native core.

Arguments have been validated. What the core asks for is arranged here: vectors with their values side by side,
contiguous parameters, buffers for the results. Every tensor whose address is taken is the call's own alias
(`fastgru.call.memory`), kept in a local name until the call is over.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor

from fastgru import _core, levels  # noqa: F401  (levels applies FASTGRU_ISA before the first call)
from fastgru.backends.base import not_compiled, sum_dtype
from fastgru.call import memory
from fastgru.call.memory import READS_TENSORS, dense, taken, vectors
from fastgru.call.request import Call, Request
from fastgru.call.sequences import WHOLE, Sequences
from fastgru.spec import GRUSpec

MOST_CELLS: int = _core.MOST_CELLS

_Place = tuple[int, int, int]  # address, step stride, row stride
_Lengths = tuple[int, int, int, int, int]  # steps, rows, vectors of packed data, addresses of sizes and lengths

_ONE_MODEL = _core.Models(1, {}, [], [])

# The core's own descriptions of layers, by the element types that it takes.
_SIZES: dict[torch.dtype, dict[GRUSpec, _core.LayerSizes]] = {
    dtype: {} for dtype in (torch.float32, torch.float64, torch.bfloat16, torch.float16)
}
DTYPES = _SIZES.keys()


def sizes_for(spec: GRUSpec, dtype: torch.dtype) -> _core.LayerSizes:
    """The core's own description of a layer; the same object for equal layers."""
    known = _SIZES[dtype]
    sizes = known.get(spec)
    if sizes is None:
        sizes = known[spec] = _core.LayerSizes(
            spec.input_size,
            spec.hidden_size,
            spec.num_layers,
            spec.num_directions,
            spec.bias,
            str(dtype).removeprefix("torch."),
        )
    return sizes


def buffer_to_save(sizes: _core.LayerSizes, dtype: torch.dtype, slots: int, total: int, recompute: bool) -> Tensor:
    """Memory for what the forward pass of layers of `dtype` leaves to the backward pass, in the type of the sums.

    Args:
        sizes: of the layer.
        dtype: of the input.
        slots: vectors of the input.
        total: how many of them are computed: fewer with lengths.
        recompute: see `fastgru.GRU`.
    """
    dtype = sum_dtype(dtype)
    values = sizes.saved_values(slots, total, recompute)
    if values * dtype.itemsize < _core.POOLED_BYTES:
        return torch.empty(values, dtype=dtype, device="cpu")
    return _from_pool(values, dtype.itemsize)


def _from_pool(values: int, value_bytes: int) -> Tensor:
    """A block that its next user finds warm, of single or double precision."""
    dtype = torch.float64 if value_bytes == torch.float64.itemsize else torch.float32
    return torch.frombuffer(_core.Block(values * value_bytes), dtype=dtype, count=values)


def _address(tensor: Tensor | None) -> int:
    return 0 if tensor is None else tensor.data_ptr()


def _place(tensor: Tensor | None, batch_first: bool) -> _Place:
    """Of (T, B, ...) or (B, T, ...); packed (N, features) has no step stride."""
    if tensor is None:
        return 0, 0, 0
    strides = tensor.stride()
    if tensor.dim() == 2 and tensor.dtype is not torch.bool:
        return tensor.data_ptr(), 0, strides[0]
    step, row = (1, 0) if batch_first else (0, 1)
    return tensor.data_ptr(), strides[step], strides[row]


def _saved(tensor: Tensor | None) -> tuple[int, int]:
    return (0, 0) if tensor is None else (tensor.data_ptr(), tensor.numel())


class _Arranged:
    """The inputs of a call as the core takes them. Keeps the tensors whose addresses it holds."""

    def __init__(self, request: Request, call: Call) -> None:
        spec, dtype, x, h_0, weights = request.spec, request.dtype, call.x, call.h_0, call.weights
        sizes, lengths, reset, state = call.sequences
        states = (spec.num_layers * spec.num_directions, request.batch, spec.hidden_size)
        lead = (request.batch, request.steps) if request.batch_first else (request.steps, request.batch)
        shape = (x.shape[0] if x.dim() > 0 else 0,) if sizes is not None else lead
        self.x = vectors("input", x, (*shape, spec.input_size), dtype)
        self.h_0 = None if h_0 is None else dense("hx", h_0, states, dtype)
        self.weights = [
            dense(name, weight, shape, dtype)
            for name, weight, shape in zip(spec.parameter_names, weights, spec.parameter_shapes, strict=True)
        ]
        rows = None if sizes is None else dense("batch_sizes", sizes, (request.steps,), torch.int64)
        own = rows, None if lengths is None else dense("lengths", lengths, (request.batch,), torch.int64)
        marks = None if reset is None else taken("reset", reset, reset.shape, torch.bool)
        state = None if state is None else dense("reset_state", state, _shape_of(state, states), dtype)
        self.kept = *own, marks, state
        vectors_of_data = self.x.shape[0] if sizes is not None else 0
        self.sizes: _Lengths = (request.steps, request.batch, vectors_of_data, _address(own[0]), _address(own[1]))
        stride = 0 if state is None or state.dim() == 2 else spec.hidden_size
        self.input = _place(self.x, request.batch_first)
        self.reset = _place(marks, request.batch_first), _address(state), stride
        self.parameters = tuple([weight.data_ptr() for weight in self.weights])


def _shape_of(state: Tensor, states: tuple[int, int, int]) -> tuple[int, ...]:
    """What a state that resets put in has to have: one for all rows, or one for each."""
    return states if state.dim() == 3 else (states[0], states[2])


def _total(request: Request, call: Call) -> tuple[int, int]:
    """Vectors of the input, and how many of them are computed."""
    slots = call.x.shape[0] if call.sequences.batch_sizes is not None else request.steps * request.batch
    return slots, slots if call.sequences.lengths is None else _sum_of(call.sequences.lengths)


def _sum_of(lengths: Tensor) -> int:
    memory.check_memory("lengths", lengths)
    return int(lengths.sum())


def sizes_for_plain(spec: GRUSpec, x: Tensor) -> _core.LayerSizes | None:
    """The core where it may read the tensors of a call by itself; None where that is out of the question."""
    known = _SIZES.get(x.dtype)
    sizes = None if known is None else known.get(spec)
    if sizes is not None:
        return sizes if READS_TENSORS else None
    return _first_sizes_for_plain(spec, x.dtype)


def _first_sizes_for_plain(spec: GRUSpec, dtype: torch.dtype) -> _core.LayerSizes | None:
    if not READS_TENSORS or dtype not in DTYPES:
        return None
    if spec.hidden_size == 0 or spec.num_layers * spec.num_directions > MOST_CELLS:
        return None
    return sizes_for(spec, dtype)


# The door of a call that nobody follows takes what a `Call` holds one by one, here and in `backends.cpu.native`:
# making such an object, and taking it apart, costs a single step 6 % of its time.


@not_compiled
def forward_plain(
    spec: GRUSpec,
    x: Tensor,
    h_0: Tensor | None,
    weights: tuple[Tensor, ...],
    sequences: Sequences,
    recompute: bool,
    batch_first: bool,
    saves: bool,
) -> tuple[Any, ...] | None:
    """Output and h_n of a batch that is not packed, everything looked at by the core itself.

    With `saves` also what the backward pass needs. None when a tensor is not a plain, dense one of the right size,
    type and device on the CPU; `forward` takes all that can be computed, after checks that find the words for what
    cannot.
    """
    sizes = sizes_for_plain(spec, x)
    if sizes is None:
        return None
    from_pool, threads = _from_pool if saves else None, torch.get_num_threads()
    if sequences is WHOLE:  # so common that taking it apart would be felt in a single step
        results = sizes.forward_tensors(x, h_0, weights, None, None, None, batch_first, from_pool, recompute, threads)
    else:
        results = sizes.forward_tensors(x, h_0, weights, *sequences[1:], batch_first, from_pool, recompute, threads)
    return cast("tuple[Any, ...] | None", results)


@not_compiled
def backward_plain(
    spec: GRUSpec,
    inputs: Sequence[Any],
    sequences: Sequences,
    recompute: bool,
    batch_first: bool,
    output: Tensor,
    saved: Tensor,
    outer: tuple[Tensor | None, Tensor | None],
    wanted: tuple[bool, ...],
) -> tuple[Tensor | None, ...] | None:
    """As `backward`, for a batch that is not packed; None as from `forward_plain`.

    `inputs` are x, h_0, the state that resets put in, and the weights.
    """
    x, h_0, reset_state, *weights = inputs
    sizes = sizes_for_plain(spec, x)
    if sizes is None:
        return None
    d_output, d_h_n = outer
    gradients = sizes.backward_tensors(
        x,
        h_0,
        tuple(weights),
        sequences.lengths,
        sequences.reset,
        reset_state,
        batch_first,
        output,
        saved,
        recompute,
        d_output if d_output is None or d_output.stride(-1) == 1 else _whole(d_output),  # a sum's has strides of 0
        d_h_n if d_h_n is None or d_h_n.is_contiguous() else _whole(d_h_n),
        wanted,
        torch.get_num_threads(),
    )
    return None if gradients is None else _of_reset_state(gradients, reset_state)


def _whole(gradient: Tensor) -> Tensor:
    """The same values without gaps."""
    memory.check_memory("gradient", gradient)
    return gradient.contiguous()


def _of_reset_state(gradients: Any, reset_state: Tensor | None) -> tuple[Tensor | None, ...]:
    """The core gives every row's gradient of the state that resets put in; rows may share that state."""
    d_x, d_h_0, d_reset_state, *d_weights = gradients
    if d_reset_state is not None and reset_state is not None and reset_state.dim() == 2:
        d_reset_state = d_reset_state.sum(1)
    return d_x, d_h_0, d_reset_state, *d_weights


@not_compiled
def forward(request: Request, call: Call, saves: bool) -> tuple[Tensor, Tensor, Tensor | None]:
    """Output, h_n (L*D, B, H), and what `backward` needs where `saves` is set."""
    saved = None
    if saves:
        sizes = sizes_for(request.spec, request.dtype)
        saved = buffer_to_save(sizes, request.dtype, *_total(request, call), request.recompute)
    return *forward_into(request, call, saved), saved


@not_compiled
def forward_into(request: Request, call: Call, saved: Tensor | None) -> tuple[Tensor, Tensor]:
    """As `forward`, with memory at hand for what is saved."""
    spec, batch_first = request.spec, request.batch_first
    x, arranged = call.x, _Arranged(request, call)
    directions, hidden = spec.num_directions, spec.hidden_size
    # new_empty with plain integers is the quickest way to a tensor, and knows no default device.
    output = x.new_empty(*arranged.x.shape[:-1], directions * hidden)
    h_n = x.new_empty(spec.num_layers * directions, request.batch, hidden)
    sizes_for(spec, request.dtype).forward(
        arranged.sizes,
        arranged.input,
        _address(arranged.h_0),
        arranged.reset,
        arranged.parameters,
        _place(output, batch_first),
        h_n.data_ptr(),
        _saved(saved),
        request.recompute,
        torch.get_num_threads(),
        _ONE_MODEL,
    )
    return output, h_n


@not_compiled
def backward(
    request: Request,
    call: Call,
    output: Tensor,
    saved: Tensor,
    outer: tuple[Tensor | None, Tensor | None],
    wanted: Sequence[bool],
) -> tuple[Tensor | None, ...]:
    """The gradients of x, h_0, the state that resets put in and the weights, in that order; None where not wanted."""
    batch_first, spec, x, reset_state = request.batch_first, request.spec, call.x, call.sequences.reset_state
    inputs = x, call.h_0, reset_state, *call.weights
    states = (spec.num_layers * spec.num_directions, request.batch, spec.hidden_size)
    arranged = _Arranged(request, call)
    shapes = [arranged.x.shape, states, states, *spec.parameter_shapes]
    gradients = [
        torch.empty(shape, dtype=x.dtype, device="cpu") if is_wanted and tensor is not None else None
        for tensor, shape, is_wanted in zip(inputs, shapes, wanted, strict=True)
    ]
    d_x, d_h_0, d_reset_state, *d_weights = gradients
    results = (*arranged.x.shape[:-1], spec.num_directions * spec.hidden_size)
    output = vectors("output", output, results, x.dtype)
    saved = dense("saved", saved, (saved.numel(),), sum_dtype(x.dtype))
    d_output = None if outer[0] is None else vectors("gradient of output", outer[0], results, x.dtype)
    d_h_n = None if outer[1] is None else dense("gradient of h_n", outer[1], states, x.dtype)
    sizes_for(spec, request.dtype).backward(
        arranged.sizes,
        arranged.input,
        _address(arranged.h_0),
        arranged.reset,
        arranged.parameters,
        _place(output, batch_first),
        _saved(saved),
        request.recompute,
        _place(d_output, batch_first),
        _address(d_h_n),
        _place(d_x, batch_first),
        _address(d_h_0),
        _address(d_reset_state),
        tuple([_address(d_weight) for d_weight in d_weights]),
        torch.get_num_threads(),
        _ONE_MODEL,
    )
    return _of_reset_state(gradients, reset_state)
