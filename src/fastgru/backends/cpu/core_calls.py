"""Calls of the core for one model: tensors as the core takes them, and its results.

Arguments have been validated. A call without a follower passes its tensors as they are, and the core refuses tensors
that it cannot read. All other calls are arranged here first: vectors with adjacent values, contiguous parameters,
memory for the results. Those tensors are the call's own aliases (`fastgru.call.memory`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from fastgru import _core, errors, levels  # noqa: F401  (levels applies FASTGRU_ISA before the first call)
from fastgru.backends.base import not_compiled, sum_dtype
from fastgru.call import memory
from fastgru.call.memory import dense, taken, vectors
from fastgru.call.request import Call, Request
from fastgru.call.sequences import WHOLE, Sequences
from fastgru.spec import GRUSpec

MOST_CELLS: int = _core.MOST_CELLS

# The core's own descriptions of layers, by the element types that it takes.
_SIZES: dict[torch.dtype, dict[GRUSpec, _core.LayerSizes]] = {
    dtype: {} for dtype in (torch.float32, torch.float64, torch.bfloat16, torch.float16)
}
DTYPES = tuple(_SIZES)
_NAMES = {dtype: str(dtype).removeprefix("torch.") for dtype in (*DTYPES, torch.int64, torch.bool)}


def sizes_for(spec: GRUSpec, dtype: torch.dtype) -> _core.LayerSizes:
    """The core's own description of a layer; the same object for equal layers."""
    known = _SIZES[dtype]
    sizes = known.get(spec)
    if sizes is None:
        own = spec.input_size, spec.hidden_size, spec.num_layers, spec.num_directions, spec.bias
        sizes = _core.LayerSizes(*own, _NAMES[dtype], spec.reset_after)
        known[spec] = sizes
    return sizes


def array_at(tensor: Tensor) -> _core.ArrayAt:
    """The tensor by its address."""
    return _core.ArrayAt(tensor, tensor.data_ptr(), _NAMES[tensor.dtype], tensor.shape, tensor.stride())


def buffer_to_save(sizes: _core.LayerSizes, dtype: torch.dtype, slots: int, total: int, recompute: bool) -> Tensor:
    """Memory for the values that the backward pass of layers of `dtype` needs, in the type of the sums.

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
    """A block of the pool, which is probably still in the caches, of single or double precision."""
    dtype = torch.float64 if value_bytes == torch.float64.itemsize else torch.float32
    return torch.frombuffer(_core.Block(values * value_bytes), dtype=dtype, count=values)


def _arranged(request: Request, call: Call) -> Call:
    """The same call with tensors that the core can read, all of them the call's own aliases."""
    spec, dtype, x, h_0 = request.spec, request.dtype, call.x, call.h_0
    batch_sizes, lengths, reset, state = call.sequences
    states = (spec.num_layers * spec.num_directions, request.batch, spec.hidden_size)
    lead = (request.batch, request.steps) if request.batch_first else (request.steps, request.batch)
    shape = lead if batch_sizes is None else (x.shape[0] if x.dim() > 0 else 0,)
    x = vectors("input", x, (*shape, spec.input_size), dtype)
    h_0 = None if h_0 is None else dense("hx", h_0, states, dtype)
    weights = [
        dense(name, weight, shape, dtype)
        for name, weight, shape in zip(spec.parameter_names, call.weights, spec.parameter_shapes, strict=True)
    ]
    sequences = Sequences(
        None if batch_sizes is None else dense("batch_sizes", batch_sizes, (request.steps,), torch.int64),
        None if lengths is None else dense("lengths", lengths, (request.batch,), torch.int64),
        None if reset is None else taken("reset", reset, lead, torch.bool),
        None if state is None else dense("reset_state", state, _shape_of(state, states), dtype),
    )
    return call._replace(x=x, h_0=h_0, weights=tuple(weights), sequences=sequences)


def _inputs(request: Request, call: Call) -> tuple[Any, ...]:
    """What both the forward and the backward pass of an arranged call read."""
    return call.x, call.h_0, call.weights, *call.sequences, request.batch_first


def _shape_of(state: Tensor, states: tuple[int, int, int]) -> tuple[int, ...]:
    """The shape of the state after resets: one for all rows, or one for each row."""
    return states if state.dim() == 3 else (states[0], states[2])


def _total(request: Request, call: Call) -> tuple[int, int]:
    """Vectors of the input, and how many of them are computed."""
    slots = call.x.shape[0] if call.sequences.batch_sizes is not None else request.steps * request.batch
    return slots, slots if call.sequences.lengths is None else _sum_of(call.sequences.lengths)


def _sum_of(lengths: Tensor) -> int:
    memory.check_memory("lengths", lengths)
    return int(lengths.sum())


def sizes_for_plain(spec: GRUSpec, x: Tensor) -> _core.LayerSizes | None:
    """As `sizes_for` if the core may read the tensors of a call by itself; otherwise None."""
    known = _SIZES.get(x.dtype)
    sizes = None if known is None else known.get(spec)
    if sizes is not None:
        return sizes
    return _first_sizes_for_plain(spec, x.dtype)


def _first_sizes_for_plain(spec: GRUSpec, dtype: torch.dtype) -> _core.LayerSizes | None:
    if dtype not in DTYPES:
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
    """Output and h_n; the core checks everything itself.

    With `saves` also what the backward pass needs. None when a tensor is not a plain, dense one of the right size,
    type and device on the CPU; `forward` takes all that can be computed, after checks that find the words for what
    cannot.
    """
    sizes = sizes_for_plain(spec, x)
    if sizes is None:
        return None
    from_pool, threads = _from_pool if saves else None, torch.get_num_threads()
    if sequences is WHOLE:  # so common that taking it apart would be felt in a single step
        return sizes.forward(x, h_0, weights, None, None, None, None, batch_first, from_pool, recompute, threads)
    return sizes.forward(x, h_0, weights, *sequences, batch_first, from_pool, recompute, threads)


@not_compiled
def step_plain(spec: GRUSpec, x: Tensor, h_0: Tensor | None, weights: tuple[Tensor, ...]) -> Tensor | None:
    """The state (B, H) of a cell after one step, from (B, I) and (B, H); None as from `forward_plain`."""
    sizes = sizes_for_plain(spec, x)
    return None if sizes is None else sizes.step(x, h_0, weights, torch.get_num_threads())


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
    """As `backward`; None as from `forward_plain`.

    `inputs` are x, h_0, the state that resets put in, and the weights.
    """
    x, h_0, reset_state, *weights = inputs
    sizes = sizes_for_plain(spec, x)
    if sizes is None:
        return None
    d_output, d_h_n = outer
    batch_sizes, lengths, reset, _ = sequences
    gradients = sizes.backward(
        x,
        h_0,
        tuple(weights),
        batch_sizes,
        lengths,
        reset,
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
    """The gradient of `reset_state`: the core returns one for each row, and rows may share that state."""
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
    """As `forward`, with given memory for the saved values."""
    spec, x, own = request.spec, call.x, _arranged(request, call)
    # new_empty with plain integers is the quickest way to a tensor, and knows no default device.
    output = x.new_empty(*own.x.shape[:-1], spec.num_directions * spec.hidden_size)
    h_n = x.new_empty(spec.num_layers * spec.num_directions, request.batch, spec.hidden_size)
    results = output, h_n, saved
    arguments = *_inputs(request, own), None, request.recompute, torch.get_num_threads(), results
    if sizes_for(spec, request.dtype).forward(*arguments) is None:
        raise errors.changed_during_call()
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
    own = _arranged(request, call)
    gradients = _memory_for_gradients(request, own, wanted)
    left = _arranged_results(request, own, output, saved, outer)
    to = tuple([False if gradient is None else gradient for gradient in gradients])
    arguments = *_inputs(request, own), *left[:2], request.recompute, *left[2:], to, torch.get_num_threads()
    if sizes_for(request.spec, request.dtype).backward(*arguments) is None:
        raise errors.changed_during_call()
    return _of_reset_state(gradients, call.sequences.reset_state)


def _memory_for_gradients(request: Request, call: Call, wanted: Sequence[bool]) -> list[Tensor | None]:
    """Of what has gradients, in the order of `Call.inputs`; None where not wanted."""
    spec = request.spec
    states = (spec.num_layers * spec.num_directions, request.batch, spec.hidden_size)
    shapes = [call.x.shape, states, states, *spec.parameter_shapes]
    return [
        torch.empty(shape, dtype=request.dtype, device="cpu") if is_wanted and tensor is not None else None
        for tensor, shape, is_wanted in zip(call.inputs, shapes, wanted, strict=True)
    ]


def _arranged_results(
    request: Request, call: Call, output: Tensor, saved: Tensor, outer: tuple[Tensor | None, Tensor | None]
) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
    """The output, what was saved, and the outer gradients of an arranged call, so that the core can read them."""
    spec, dtype = request.spec, request.dtype
    states = (spec.num_layers * spec.num_directions, request.batch, spec.hidden_size)
    results = (*call.x.shape[:-1], spec.num_directions * spec.hidden_size)
    d_output, d_h_n = outer
    return (
        vectors("output", output, results, dtype),
        dense("saved", saved, (saved.numel(),), sum_dtype(dtype)),
        None if d_output is None else vectors("gradient of output", d_output, results, dtype),
        None if d_h_n is None else dense("gradient of h_n", d_h_n, states, dtype),
    )
