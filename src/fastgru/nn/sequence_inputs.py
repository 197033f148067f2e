"""Calls of a layer on sequences of other layouts than a padded batch."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.nn.utils.rnn import PackedSequence

from fastgru import errors
from fastgru.call import build, checks, memory
from fastgru.call.request import WHOLE, Sequences


class Layer(Protocol):
    """What is needed of `fastgru.GRU`."""

    num_layers: int
    hidden_size: int
    bidirectional: bool
    batch_first: bool
    state_batch_first: bool
    h_0: Parameter

    def _run(self, x: Tensor, hx: Tensor | None, sequences: Sequences) -> tuple[Any, Tensor]: ...


def first_state(layer: Layer, x: Tensor, sequences: Sequences) -> Tensor:
    """The learned state for every row of a batch, (L*D, B, H)."""
    if not torch.compiler.is_compiling():
        memory.is_wrapper("h_0", layer.h_0)  # an error if it was made one: torch's operators may die of it
    batch = (
        int(sequences.batch_sizes[0]) if sequences.batch_sizes is not None else x.shape[0 if layer.batch_first else 1]
    )
    return layer.h_0.unsqueeze(1).expand(-1, batch, -1)


def sequences_of_one(x: Tensor, batch_first: bool, lengths: Any, reset: Any, reset_state: Any) -> Sequences:
    """Sequences of a batch of one, given without the batch: a length, a mask (T), a state (L*D, H)."""
    if lengths is None and reset is None and reset_state is None:
        return WHOLE
    if lengths is not None and (not isinstance(lengths, Tensor) or lengths.dim() == 0):
        lengths = torch.as_tensor(lengths).reshape(-1)
    if reset is not None:
        steps = x.shape[1 if batch_first else 0]
        mask = checks.reset_of(reset, (steps,), x.device, "(T,)")
        reset = mask.unsqueeze(0 if batch_first else 1)
    return build.sequences_of(x, batch_first, None, lengths, reset, reset_state)


def run_packed(
    layer: Layer, input: PackedSequence, hx: Tensor | None, reset: Any, reset_state: Tensor | None
) -> tuple[Any, Tensor]:
    """Sequences that torch packed: output packed alike, states in the order before packing."""
    data, batch_sizes, order, back = input
    own_sizes = checks.batch_sizes_of(data, batch_sizes)
    rows_at = 0 if layer.state_batch_first else 1
    if hx is not None and hx.dim() == 3 and order is not None:
        _check_state(layer, hx, int(own_sizes[0]))  # or picking rows would fail on an index
        memory.check_memory("hx", hx)
        hx = hx.index_select(rows_at, order)
    if reset is not None:
        steps, rows = len(own_sizes), int(own_sizes[0])
        shape, layout = ((rows, steps), "(B, T)") if layer.batch_first else ((steps, rows), "(T, B)")
        mask = checks.reset_of(reset, shape, data.device, layout)
        mask = mask.transpose(0, 1) if layer.batch_first else mask
        reset = mask if order is None else mask.index_select(1, order)
    if isinstance(reset_state, Tensor) and reset_state.dim() == 3 and order is not None:
        memory.check_memory("reset_state", reset_state)
        reset_state = reset_state.index_select(1, order)
    sequences = build.sequences_of(data, False, own_sizes, None, reset, reset_state)
    output, h_n = layer._run(data, hx, sequences)
    if back is not None:
        h_n = h_n.index_select(rows_at, back)
    if isinstance(output, tuple):
        return tuple(PackedSequence(one, batch_sizes, order, back) for one in output), h_n
    return PackedSequence(output, batch_sizes, order, back), h_n


def check_state(layer: Layer, hx: Tensor, x: Tensor, sequences: Sequences) -> None:
    """Raises when `hx` is no state of the layer for this batch, in the words of the layout that users have."""
    packed = sequences.batch_sizes
    _check_state(layer, hx, int(packed[0]) if packed is not None else x.shape[0 if layer.batch_first else 1])


def _check_state(layer: Layer, hx: Tensor, batch: int) -> None:
    if hx.is_nested:
        raise errors.nested_operand("hx")
    cells = layer.num_layers * (2 if layer.bidirectional else 1)
    first, second = (batch, cells) if layer.state_batch_first else (cells, batch)
    expected = (first, second, layer.hidden_size)
    if hx.shape != expected:
        raise errors.hidden_shape(hx.shape, expected)


def run_jagged(
    layer: Layer, input: Tensor, hx: Tensor | None, reset: Any, reset_state: Tensor | None
) -> tuple[Any, Tensor]:
    """A nested tensor (B, any, I): outputs nested alike."""
    if input.layout is not torch.jagged or input.dim() != 3:
        raise errors.nested_layout(input.layout, input.dim())
    nested_input: Any = input
    offsets = nested_input.offsets()
    if nested_input.lengths() is not None:
        raise errors.nested_with_holes()
    values = input.values()
    for name, tensor in (("input", values), ("input.offsets()", offsets)):
        memory.check_memory(name, tensor)
    own = offsets.diff()
    steps = int(own.max()) if len(own) > 0 else 0
    is_there = torch.arange(steps, device=offsets.device) < own.unsqueeze(1)  # (B, T)
    x = values.new_zeros(len(own), steps, values.shape[1]).index_put((is_there,), values)
    flips = not layer.batch_first
    x = x.transpose(0, 1) if flips else x
    sequences = build.sequences_of(x, layer.batch_first, None, own, reset, reset_state)
    output, h_n = layer._run(x, hx, sequences)

    def nested(one: Tensor) -> Tensor:
        rows = (one.transpose(0, 1) if flips else one)[is_there]
        return torch.nested.nested_tensor_from_jagged(rows, offsets)

    return tuple(map(nested, output)) if isinstance(output, tuple) else nested(output), h_n


def last_output(output: Tensor, lengths: Any, batch_first: bool = False) -> Tensor:
    """The output at each sequence's last step; zeros for an empty sequence.

    For one direction this is the last layer's h_n. Of two directions, the second half is what the second one has seen
    after a single step; its final state is at step 0, and in h_n.

    Args:
        output: (T, B, D*H), or (B, T, D*H) with `batch_first`.
        lengths: (B,) integers, a list or a tensor, from 0 to T.
        batch_first: see `output`.

    Returns:
        (B, D*H).

    Raises:
        RankError: `output` has other than three dimensions.
        SequenceError, SequenceTypeError: `lengths` do not fit.

    Example:
        >>> import torch, fastgru
        >>> layer, x = fastgru.GRU(4, 8), torch.randn(5, 3, 4)
        >>> output, h_n = layer(x, lengths=[5, 1, 3])
        >>> torch.equal(fastgru.last_output(output, [5, 1, 3]), h_n[-1])
        True
    """
    checks.check_tensors(output=output)
    if output.dim() != 3:
        raise errors.input_rank("last_output", output.dim(), (3,), "(T, B, D*H), or (B, T, D*H) with batch_first")
    by_row = output if batch_first else output.transpose(0, 1)
    own = checks.lengths_of(lengths, by_row.shape[1], by_row.shape[0]).to(output.device)
    if by_row.shape[1] == 0:
        return output.new_zeros(by_row.shape[0], output.shape[2])
    last = (own - 1).clamp(min=0).view(-1, 1, 1).expand(-1, 1, output.shape[2])
    picked = by_row.gather(1, last).squeeze(1)
    return torch.where((own > 0).unsqueeze(1), picked, picked.new_zeros(()))
