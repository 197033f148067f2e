"""Checks of what a call was given, before any kernel runs."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from fastgru import errors
from fastgru.call import context, memory
from fastgru.call.memory import PLAIN as PLAIN
from fastgru.call.request import Sequences
from fastgru.spec import GRUSpec

_MAY_BE_NONE = ("h_0", "hx", "bias_ih", "bias_hh")
_SHAPES: dict[GRUSpec, tuple[torch.Size, ...]] = {}


def _shapes(spec: GRUSpec) -> tuple[torch.Size, ...]:
    if torch.compiler.is_compiling():  # what is kept from one call to the next would be compiled anew when it changes
        return tuple([torch.Size(shape) for shape in spec.parameter_shapes])
    found = _SHAPES.get(spec)
    if found is None:
        found = _SHAPES[spec] = tuple([torch.Size(shape) for shape in spec.parameter_shapes])
    return found


def check_operands(
    spec: GRUSpec,
    x: Tensor,
    h_0: Tensor | None,
    weights: tuple[Tensor, ...],
    batch: int,
) -> bool:
    """Raises when types, devices or sizes do not fit together; True when autocast lets types differ.

    A call on a short sequence takes a few microseconds, and so do twenty attributes of tensors. So each is read once,
    compared cheaply, and words are made only when something is wrong.
    """
    shape, dtype, is_cpu = x.shape, x.dtype, x.is_cpu
    is_mixed = dtype is not weights[0].dtype
    if is_mixed and not torch._C._is_any_autocast_enabled():
        raise errors.input_dtype(dtype, weights[0].dtype)
    if shape[-1] != spec.input_size:
        raise errors.feature_size(shape[-1], spec.input_size)
    if h_0 is not None:
        cells = spec.num_layers * spec.num_directions
        if h_0.shape != (cells, batch, spec.hidden_size):
            raise errors.hidden_shape(h_0.shape, (cells, batch, spec.hidden_size))
        is_mixed |= _check_operand("hidden", "hx", h_0, x)
    if len(weights) != len(_shapes(spec)):
        raise errors.parameter_count(len(weights), len(_shapes(spec)))
    for i, (weight, expected) in enumerate(zip(weights, _shapes(spec), strict=True)):
        if weight.is_nested:
            raise errors.nested_operand(spec.parameter_names[i])
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


def check_tensors(**arguments: object) -> None:
    """Raises when one of the named arguments is neither a tensor nor left out."""
    for name, value in arguments.items():
        if not isinstance(value, Tensor) and (value is not None or name not in _MAY_BE_NONE):
            raise errors.not_a_tensor(name, value)


def check_weights(spec: GRUSpec, weights: Sequence[object]) -> None:
    """Raises when one of the weights of a layer is no tensor."""
    for i, weight in enumerate(weights):
        if not isinstance(weight, Tensor):
            raise errors.no_parameter(spec.parameter_names[i], i, weight)


def any_wrapper(spec: GRUSpec, inputs: Sequence[Tensor | None]) -> bool:
    """Whether one of the inputs is a strided tensor on the CPU without values of its own (`memory.is_wrapper`).

    To be asked before torch's operators read them, which do not always look. False while a compiler or a trace follows.

    Args:
        spec: of the layer.
        inputs: x, h_0, reset_state and the weights.

    Raises:
        OperandError: memory was given back, or the `.data` of a parameter was set to a wrapper.
    """
    if torch.compiler.is_compiling() or torch._C._get_tracing_state() is not None:
        return False
    names = ("input", "hx", "reset_state", *spec.parameter_names)
    found = [
        memory.is_wrapper(name, tensor)
        for name, tensor in zip(names, inputs, strict=False)  # how many weights there are is looked at elsewhere
        if tensor is not None and type(tensor) in PLAIN and tensor.is_cpu and tensor.layout is torch.strided
    ]
    return any(found)


def width(name: str, weight: Tensor) -> int:
    """How many values the weight matrix takes in."""
    if weight.is_nested:
        raise errors.nested_operand(name)
    if weight.dim() != 2:
        raise errors.parameter_rank(name, weight.shape)
    return weight.shape[1]


def batch_sizes_of(data: Tensor, batch_sizes: Tensor) -> Tensor:
    """A copy of the batch sizes of packed data (N, I), checked; a PackedSequence can be put together by hand.

    Raises:
        ShapeError: data and sizes do not fit. The core takes steps and rows from the sizes, so nothing may pass here
            that points outside the data.
    """
    if context.is_exporting():  # what packing gives there has no sizes that could be right or wrong
        raise errors.no_packing_in_onnx()
    check_tensors(input=data)
    if data.dim() != 2:
        raise errors.packed_rank(data.dim())
    if not isinstance(batch_sizes, Tensor):
        raise errors.not_a_tensor("batch_sizes", batch_sizes)
    if batch_sizes.dtype != torch.int64:
        raise errors.batch_sizes_type(batch_sizes.dtype)
    if batch_sizes.is_nested:
        raise errors.nested_operand("batch_sizes")
    if not batch_sizes.is_cpu or batch_sizes.dim() != 1:
        raise errors.batch_sizes_layout(batch_sizes.dim(), batch_sizes.device)
    if torch.compiler.is_compiling() or torch._C._get_tracing_state() is not None or type(data) not in PLAIN:
        return batch_sizes  # The sizes are not numbers yet; whoever computes with them checks them.
    memory.check_memory("batch_sizes", batch_sizes)
    own = batch_sizes.clone(memory_format=torch.contiguous_format)
    sizes = own.tolist()
    if not sizes or sizes[-1] < 1:
        raise errors.batch_sizes(f"ends with {sizes[-1]}" if sizes else "is empty")
    if any(later > size for size, later in itertools.pairwise(sizes)):
        raise errors.batch_sizes("grows")
    if sum(sizes) != data.shape[0]:
        raise errors.batch_sizes_sum(sizes, data.shape[0])
    return own


def check_cell(input: Tensor, hx: Tensor | None, features: int, hidden: int) -> None:
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


def lengths_of(lengths: Tensor | Sequence[int] | Any, steps: int, batch: int) -> Tensor:
    """Lengths as a call wants them, (B,) int64 on the CPU, from a list, an array or a tensor.

    They are a copy, and the copy is checked: the caller may use the memory of an array for the next batch while this
    one waits for its backward pass.

    Raises:
        SequenceError: not one for each sequence, or one is negative or more than `steps`.
        SequenceTypeError: they are no integers.
    """
    tensor = lengths if isinstance(lengths, Tensor) else as_tensor("lengths", lengths)
    if tensor.is_floating_point() or tensor.is_complex() or tensor.dtype is torch.bool:
        raise errors.lengths_type(tensor.dtype)
    if tensor.dim() != 1 or tensor.shape[0] != batch:
        raise errors.lengths_count(tensor.shape, batch)
    memory.check_memory("lengths", tensor)
    if type(tensor) not in PLAIN and _are_modes_off():
        tensor = torch.tensor(tensor.tolist(), dtype=torch.int64)  # of a class that may keep its values elsewhere
    own = tensor.to("cpu", torch.int64, copy=True, memory_format=torch.contiguous_format)
    if are_numbers(own):
        check_lengths(own, steps)
    return own


def _are_modes_off() -> bool:
    """Whether no compiler and no mode stands between a tensor and its values."""
    return not torch.compiler.is_compiling() and torch._C._len_torch_dispatch_stack() == 0


def are_numbers(tensor: Tensor) -> bool:
    """Whether the values can be looked at now: not while a compiler or a transform follows."""
    if torch.compiler.is_compiling() or torch._C._get_tracing_state() is not None:
        return False
    return type(tensor) in PLAIN and not torch._C._are_functorch_transforms_active() and tensor.device.type != "meta"


def check_lengths(lengths: Tensor, steps: int) -> None:
    """Raises when one of the lengths is negative or more than `steps`."""
    for i, length in enumerate(lengths.reshape(-1).tolist()):
        if not 0 <= length <= steps:
            raise errors.length_range(i, length, steps)


def reset_of(reset: Tensor | Any, shape: tuple[int, ...], device: torch.device, layout: str) -> Tensor:
    """A reset mask as a call wants it, booleans on the device of the input; a copy, as of lengths.

    Args:
        reset: a tensor, an array or nested lists.
        shape: expected.
        device: of the input.
        layout: what the shape means, for the words of an error.

    Raises:
        SequenceError: of another shape.
        SequenceTypeError: not booleans.
    """
    tensor = reset if isinstance(reset, Tensor) else as_tensor("reset", reset)
    if type(tensor) not in PLAIN and _are_modes_off():
        tensor = torch.tensor(tensor.tolist())  # as lengths
    check_reset(tensor, shape, layout)
    memory.check_memory("reset", tensor)
    return tensor.to(device, copy=True)


def check_reset(mask: Tensor, shape: tuple[int, ...], layout: str) -> None:
    """Raises when a mask is not of this shape, or holds no booleans; arguments as of `reset_of`."""
    if mask.dtype is not torch.bool:
        raise errors.reset_type(mask.dtype)
    if tuple(mask.shape) != shape:
        raise errors.reset_shape(mask.shape, shape, layout)


def as_tensor(name: str, values: Any) -> Tensor:
    """Lengths or a mask as a tensor.

    Raises:
        SequenceTypeError: they make none.
    """
    try:
        return torch.as_tensor(values)
    except (TypeError, ValueError, RuntimeError) as error:
        raise errors.no_sequence_values(name, values) from error


def check_reset_state(spec: GRUSpec, sequences: Sequences, x: Tensor, batch: int) -> None:
    """Raises when the state that resets put in is of the wrong size, type or device."""
    state = sequences.reset_state
    if state is None:
        return
    cells = spec.num_layers * spec.num_directions
    if state.shape not in ((cells, spec.hidden_size), (cells, batch, spec.hidden_size)):
        raise errors.reset_state_shape(state.shape, (cells, batch, spec.hidden_size))
    _check_operand("hidden", "reset_state", state, x)
