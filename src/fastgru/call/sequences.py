"""How the sequences of a batch end, and where they are reset: the arguments of users, checked and copied."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from fastgru import errors
from fastgru.call import context, memory
from fastgru.call.memory import PLAIN


class Sequences(NamedTuple):
    """How the sequences of a batch end, and where they start again. At most one of the first two is given.

    Attributes:
        batch_sizes: rows alive at each step of packed data: (T,), int64 on the CPU, never increasing.
        lengths: steps of each padded sequence, from 0 to T: (B,), int64 on the CPU.
        reset: true where the state is put back before a step: booleans (T, B), or (B, T) where the input is so.
        reset_state: what it is put back to: (L*D, H) or (L*D, B, H); None for zeros.
    """

    batch_sizes: Tensor | None = None
    lengths: Tensor | None = None
    reset: Tensor | None = None
    reset_state: Tensor | None = None

    # Not `_replace`, which torch.compile does not know in torch 2.6.

    def with_reset(self, reset: Tensor | None) -> Sequences:
        """The same ends, and other places where the state is put back."""
        return Sequences(self.batch_sizes, self.lengths, reset, self.reset_state)

    def with_reset_state(self, state: Tensor | None) -> Sequences:
        """The same sequences, whose state is put back to another one."""
        return Sequences(self.batch_sizes, self.lengths, self.reset, state)


# Every sequence has all steps, and none starts again.
WHOLE = Sequences()


def sequences_of(
    x: Tensor,
    batch_first: bool,
    batch_sizes: Tensor | None,
    lengths: Any = None,
    reset: Any = None,
    reset_state: Tensor | None = None,
) -> Sequences:
    """The given lengths and resets, checked, in the form that backends take.

    Args:
        x: (T, B, I), (B, T, I) with `batch_first`, or packed data (N, I).
        batch_first: see `x`.
        batch_sizes: of packed data; None for a padded batch.
        lengths: see `gru`.
        reset: see `gru`; of packed data (T, B), or (B, T) with `batch_first`, its sequences in the order of the data.
        reset_state: see `gru`.
    """
    if batch_sizes is None and lengths is None and reset is None and reset_state is None:
        return WHOLE
    if batch_sizes is not None:
        if lengths is not None:
            raise errors.lengths_of_packed()
        batch_sizes = batch_sizes_of(x, batch_sizes)
    if reset is None and reset_state is not None:
        raise errors.reset_state_alone()
    steps, batch = sizes_of(x, batch_first, batch_sizes)
    if lengths is not None:
        lengths = lengths_of(lengths, steps, batch)
    if reset is not None:
        shape, layout = ((batch, steps), "(B, T)") if batch_first else ((steps, batch), "(T, B)")
        reset = reset_of(reset, shape, x.device, layout)
    if reset_state is not None and not isinstance(reset_state, Tensor):
        raise errors.not_a_tensor("reset_state", reset_state)
    return Sequences(batch_sizes, lengths, reset, reset_state)


def sizes_of(x: Tensor, batch_first: bool, batch_sizes: Tensor | None) -> tuple[int, int]:
    """Steps and rows."""
    if x.is_nested:
        raise errors.nested_layout(x.layout, x.dim())
    if batch_sizes is not None:
        return batch_sizes.shape[0], int(batch_sizes[0])
    return (x.shape[1], x.shape[0]) if batch_first else (x.shape[0], x.shape[1])


def batch_sizes_of(data: Tensor, batch_sizes: Tensor) -> Tensor:
    """A copy of the batch sizes of packed data (N, I), checked; a PackedSequence can be put together by hand.

    Raises:
        ShapeError: data and sizes do not fit. The core takes steps and rows from the sizes, so nothing may pass here
            that points outside the data.
    """
    if context.is_exporting():  # what packing gives there has no sizes that could be right or wrong
        raise errors.no_packing_in_onnx()
    if not isinstance(data, Tensor):
        raise errors.not_a_tensor("input", data)
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


def lengths_of(lengths: Tensor | Sequence[int] | Any, steps: int, batch: int) -> Tensor:
    """Lengths as a call needs them, (B,) int64 on the CPU, from a list, an array or a tensor.

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
    if not torch.compiler.is_compiling() and type(tensor) not in PLAIN and _are_modes_off():
        tensor = torch.tensor(tensor.tolist(), dtype=torch.int64)  # of a class that may keep its values elsewhere
    own = tensor.to("cpu", torch.int64, copy=True, memory_format=torch.contiguous_format)
    if are_numbers(own):
        check_lengths(own, steps)
    return own


def _are_modes_off() -> bool:
    """Whether the values of a tensor can be read: no compiler and no mode is active."""
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
    """A reset mask as a call needs it, booleans on the device of the input; a copy, as for lengths.

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
    if not torch.compiler.is_compiling() and type(tensor) not in PLAIN and _are_modes_off():
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
