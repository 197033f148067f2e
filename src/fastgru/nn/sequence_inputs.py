"""Sequences of other layouts than a padded batch: turned into one, or into packed data, and results back again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from fastgru import errors
from fastgru.call import build, checks, memory
from fastgru.call.request import WHOLE, Sequences
from fastgru.nn.parameters import BaseGRU


class Entered(NamedTuple):
    """What a layer computes with, and the way back.

    Attributes:
        x: padded in the layer's own layout, or packed data (N, I).
        hx: with a dimension for the batch, in the order of `x`.
        sequences: how they end, and where they start anew.
        leave: from a layer's output (or those of all its layers) and h_n to what the user gets.
    """

    x: Tensor
    hx: Tensor | None
    sequences: Sequences
    leave: Callable[[Any, Tensor], tuple[Any, Tensor]]


def enter(layer: BaseGRU, input: Any, hx: Tensor | None, lengths: Any, reset: Any, reset_state: Any) -> Entered:
    """What users pass to a layer that is no padded batch.

    Raises:
        InputTypeError: `input` is neither a tensor nor a PackedSequence.
        FastGRUError: something else that does not fit.
    """
    if isinstance(input, PackedSequence):
        if lengths is not None:
            raise errors.lengths_of_packed()
        return _packed(layer, input, hx, reset, reset_state)
    if not isinstance(input, Tensor):
        raise errors.not_a_tensor("input", input)
    if not input.is_nested:
        return _unbatched(layer, input, hx, lengths, reset, reset_state)
    if lengths is not None:
        raise errors.lengths_of_jagged()
    return _jagged(layer, input, hx, reset, reset_state)


def _every(output: Any, change: Callable[[Tensor], Any]) -> Any:
    """Of the output, or of each layer's."""
    return tuple(map(change, output)) if isinstance(output, tuple) else change(output)


def _unbatched(layer: BaseGRU, input: Tensor, hx: Tensor | None, lengths: Any, reset: Any, reset_state: Any) -> Entered:
    """(T, I): a batch of one, whose dimension comes and goes."""
    if hx is not None and hx.dim() != 2:
        raise errors.hidden_rank(2, hx.dim())
    at, state_at = 0 if layer.batch_first else 1, 0 if layer.state_batch_first else 1
    x = input.unsqueeze(at)
    sequences = _sequences_of_one(x, layer.batch_first, lengths, reset, reset_state)

    def leave(output: Any, h_n: Tensor) -> tuple[Any, Tensor]:
        return _every(output, lambda one: one.squeeze(at)), h_n.squeeze(state_at)

    return Entered(x, None if hx is None else hx.unsqueeze(state_at), sequences, leave)


def _sequences_of_one(x: Tensor, batch_first: bool, lengths: Any, reset: Any, reset_state: Any) -> Sequences:
    """Given without the batch: a length, a mask (T), a state (L*D, H)."""
    if lengths is None and reset is None and reset_state is None:
        return WHOLE
    if lengths is not None and (not isinstance(lengths, Tensor) or lengths.dim() == 0):
        lengths = checks.as_tensor("lengths", lengths).reshape(-1)
    if reset is not None:
        steps = x.shape[1 if batch_first else 0]
        mask = checks.reset_of(reset, (steps,), x.device, "(T,)")
        reset = mask.unsqueeze(0 if batch_first else 1)
    return build.sequences_of(x, batch_first, None, lengths, reset, reset_state)


def _packed(
    layer: BaseGRU, input: PackedSequence, hx: Tensor | None, reset: Any, reset_state: Tensor | None
) -> Entered:
    """Sequences that torch packed: output packed alike, states in the order before packing."""
    data, batch_sizes, order, back = input
    own_sizes = checks.batch_sizes_of(data, batch_sizes)
    rows_at = 0 if layer.state_batch_first else 1
    if hx is not None and hx.dim() == 3 and order is not None:
        hx = _picked(layer, hx, int(own_sizes[0]), order)
    if reset is not None:
        steps, rows = len(own_sizes), int(own_sizes[0])
        shape, layout = ((rows, steps), "(B, T)") if layer.batch_first else ((steps, rows), "(T, B)")
        mask = checks.reset_of(reset, shape, data.device, layout)
        mask = mask.transpose(0, 1) if layer.batch_first else mask
        reset = mask if order is None else _permuted(mask, 1, order)
    if isinstance(reset_state, Tensor) and reset_state.dim() == 3 and order is not None:
        memory.check_memory("reset_state", reset_state)
        expected = (_cells(layer), int(own_sizes[0]), layer.hidden_size)
        if reset_state.shape != expected:  # or picking rows would fail on an index
            raise errors.reset_state_shape(reset_state.shape, expected)
        reset_state = _permuted(reset_state, 1, order)

    def leave(output: Any, h_n: Tensor) -> tuple[Any, Tensor]:
        h_n = h_n if back is None else _permuted(h_n, rows_at, back)
        return _every(output, lambda one: PackedSequence(one, batch_sizes, order, back)), h_n

    return Entered(data, hx, build.sequences_of(data, False, own_sizes, None, reset, reset_state), leave)


def _picked(layer: BaseGRU, hx: Tensor, batch: int, order: Tensor) -> Tensor:
    """The states in the order of the packed data; as with torch's layer, there may be more than the batch has rows."""
    rows_at = 0 if layer.state_batch_first else 1
    has_spare = layer._takes_spare_states and not hx.is_nested and hx.shape[rows_at] > batch
    if not has_spare:
        _check_state(layer, hx, batch)  # or picking rows would fail on an index
    memory.check_memory("hx", hx)
    return _permuted(hx, rows_at, order)


def _permuted(tensor: Tensor, dim: int, order: Tensor) -> Tensor:
    """Rows in another order, by indices that nobody can change while they are read."""
    return tensor.index_select(dim, memory.clone("indices", order) if isinstance(order, Tensor) else order)


def _jagged(layer: BaseGRU, input: Tensor, hx: Tensor | None, reset: Any, reset_state: Tensor | None) -> Entered:
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

    def nested(one: Tensor) -> Tensor:
        rows = (one.transpose(0, 1) if flips else one)[is_there]
        return torch.nested.nested_tensor_from_jagged(rows, offsets)

    sequences = build.sequences_of(x, layer.batch_first, None, own, reset, reset_state)
    return Entered(x, hx, sequences, lambda output, h_n: (_every(output, nested), h_n))


def first_state(layer: BaseGRU, x: Tensor, sequences: Sequences) -> Tensor:
    """The learned state for every row of a batch, (L*D, B, H)."""
    if not torch.compiler.is_compiling():
        memory.is_wrapper("h_0", layer.h_0)  # an error if it was made one: torch's operators may die of it
    return layer.h_0.unsqueeze(1).expand(-1, _rows(layer, x, sequences), -1)


def check_state(layer: BaseGRU, hx: Tensor, x: Tensor, sequences: Sequences) -> None:
    """Raises when `hx` is no state of the layer for this batch, in the words of the layout that users have."""
    _check_state(layer, hx, _rows(layer, x, sequences))


def _rows(layer: BaseGRU, x: Tensor, sequences: Sequences) -> int:
    packed = sequences.batch_sizes
    return int(packed[0]) if packed is not None else x.shape[0 if layer.batch_first else 1]


def _check_state(layer: BaseGRU, hx: Tensor, batch: int) -> None:
    if hx.is_nested:
        raise errors.nested_operand("hx")
    first, second = (batch, _cells(layer)) if layer.state_batch_first else (_cells(layer), batch)
    expected = (first, second, layer.hidden_size)
    if hx.shape != expected:
        raise errors.hidden_shape(hx.shape, expected)


def _cells(layer: BaseGRU) -> int:
    return layer.num_layers * (2 if layer.bidirectional else 1)


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
