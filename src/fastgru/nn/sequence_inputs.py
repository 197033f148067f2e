"""Converts the arguments of a layer to a call, and results to the layout of the input; a plain batch skips this."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from fastgru import errors
from fastgru.call import build, memory
from fastgru.call.request import Call
from fastgru.call.sequences import Sequences, as_tensor, check_reset, lengths_of, sequences_of
from fastgru.nn.parameters import BaseGRU

# From a layer's output, or those of all its layers, and h_n to what the user gets.
Leave = Callable[[Any, Tensor], tuple[Any, Tensor]]


class _Form(NamedTuple):
    """A layout of the input.

    Attributes:
        x: the input padded in the layer's own layout, or packed data (N, I).
        leave: the way back.
        batch_sizes: of packed data, not checked.
        order: which of the user's rows stand where in packed data; None: in the same order.
        lengths: of sequences that were nested.
        is_unbatched: the batch is a dimension that was added.
    """

    x: Tensor
    leave: Leave
    batch_sizes: Tensor | None = None
    order: Tensor | None = None
    lengths: Tensor | None = None
    is_unbatched: bool = False


def enter(
    layer: BaseGRU, input: Any, hx: Tensor | None, lengths: Any, reset: Any, reset_state: Any
) -> tuple[Call, Leave]:
    """The call of a layer's arguments, and the function that converts its results back.

    Raises:
        InputTypeError: `input` is neither a tensor nor a PackedSequence.
        FastGRUError: something else that does not fit.
    """
    form = _form_of(layer, input)
    x, leave = form.x, form.leave
    if form.is_unbatched:
        hx, lengths, reset = _batch_of_one(layer, hx, lengths, reset, x.shape[1 if layer.batch_first else 0])
    elif form.lengths is not None:
        if lengths is not None:
            raise errors.lengths_of_jagged()
        lengths = form.lengths
    elif form.batch_sizes is None and hx is not None and hx.dim() != 3:
        raise errors.hidden_rank(3, hx.dim())
    sequences = sequences_of(x, layer.batch_first, form.batch_sizes, lengths, reset, reset_state)
    batch_first = layer.batch_first and sequences.batch_sizes is None
    if sequences.batch_sizes is not None:
        rows = int(sequences.batch_sizes[0])
        hx, sequences = _in_order(layer, hx, sequences, form.order)
    else:
        rows = x.shape[0 if batch_first else 1]
    if layer._has_options:
        hx, sequences = _with_options(layer, hx, sequences, rows)
        leave = _leave_batch_first(leave) if layer.state_batch_first else leave
    dropout = layer.dropout if layer.num_layers > 1 and layer.training else 0.0
    call = Call(layer.spec, x, hx, layer.parameters_in_order(), sequences, dropout, layer.recompute, batch_first)
    return call, leave


def _form_of(layer: BaseGRU, input: Any) -> _Form:
    if isinstance(input, PackedSequence):
        return _packed(input, 0 if layer.state_batch_first else 1)
    if not isinstance(input, Tensor):
        raise errors.not_a_tensor("input", input)
    if input.dim() == 2 and not input.is_nested:
        return _unbatched(input, 0 if layer.batch_first else 1, 0 if layer.state_batch_first else 1)
    if input.is_nested:
        return _nested(input, layer.batch_first)
    if input.dim() != 3:
        raise errors.input_rank("GRU", input.dim(), (2, 3), "(T, B, I), (B, T, I) with batch_first, or (T, I)")
    return _Form(input, lambda output, h_n: (output, h_n))


def _every(output: Any, change: Callable[[Tensor], Any]) -> Any:
    """Of the output, or of each layer's."""
    return tuple(map(change, output)) if isinstance(output, tuple) else change(output)


def _packed(input: PackedSequence, rows_at: int) -> _Form:
    """Sequences that torch packed: output packed alike, states in the order before packing."""
    data, batch_sizes, order, back = input

    def leave(output: Any, h_n: Tensor) -> tuple[Any, Tensor]:
        h_n = h_n if back is None else _permuted(h_n, rows_at, back)
        return _every(output, lambda one: PackedSequence(one, batch_sizes, order, back)), h_n

    return _Form(data, leave, batch_sizes, order)


def _unbatched(input: Tensor, at: int, state_at: int) -> _Form:
    """(T, I): a batch of one, whose dimension comes and goes."""

    def leave(output: Any, h_n: Tensor) -> tuple[Any, Tensor]:
        return _every(output, lambda one: one.squeeze(at)), h_n.squeeze(state_at)

    return _Form(input.unsqueeze(at), leave, is_unbatched=True)


def _nested(input: Any, batch_first: bool) -> _Form:
    """A nested tensor (B, any, I): outputs nested alike."""
    if input.layout is not torch.jagged or input.dim() != 3:
        raise errors.nested_layout(input.layout, input.dim())
    offsets = input.offsets()
    if input.lengths() is not None:
        raise errors.nested_with_holes()
    values = input.values()
    for name, tensor in (("input", values), ("input.offsets()", offsets)):
        memory.check_memory(name, tensor)
    own = offsets.diff()
    steps = int(own.max()) if len(own) > 0 else 0
    is_there = torch.arange(steps, device=offsets.device) < own.unsqueeze(1)  # (B, T)
    x = values.new_zeros(len(own), steps, values.shape[1]).index_put((is_there,), values)

    def nested(one: Tensor) -> Tensor:
        rows = (one if batch_first else one.transpose(0, 1))[is_there]
        return torch.nested.nested_tensor_from_jagged(rows, offsets)

    x = x if batch_first else x.transpose(0, 1)
    return _Form(x, lambda output, h_n: (_every(output, nested), h_n), lengths=own)


def _batch_of_one(
    layer: BaseGRU, hx: Tensor | None, lengths: Any, reset: Any, steps: int
) -> tuple[Tensor | None, Any, Any]:
    """What is given without a batch, with one: a state (L*D, H), a length, a mask (T)."""
    if hx is not None:
        if hx.dim() != 2:
            raise errors.hidden_rank(2, hx.dim())
        hx = hx.unsqueeze(0 if layer.state_batch_first else 1)
    if lengths is not None and (not isinstance(lengths, Tensor) or lengths.dim() == 0):
        lengths = as_tensor("lengths", lengths).reshape(-1)
    if reset is not None:
        mask = reset if isinstance(reset, Tensor) else as_tensor("reset", reset)
        check_reset(mask, (steps,), "(T,)")
        reset = mask.unsqueeze(0 if layer.batch_first else 1)
    return hx, lengths, reset


def _in_order(
    layer: BaseGRU, hx: Tensor | None, sequences: Sequences, order: Tensor | None
) -> tuple[Tensor | None, Sequences]:
    """What users give row by row, in the order of packed data; a mask with the steps first."""
    batch_sizes, _, reset, reset_state = sequences
    assert batch_sizes is not None
    if reset is not None and layer.batch_first:
        reset = reset.transpose(0, 1)
    if order is None:
        return hx, sequences.with_reset(reset)
    rows = int(batch_sizes[0])
    if hx is not None and hx.dim() == 3:
        hx = _picked(layer, hx, rows, order)
    if reset_state is not None and reset_state.dim() == 3:
        memory.check_memory("reset_state", reset_state)
        expected = (_cells(layer), rows, layer.hidden_size)
        if reset_state.shape != expected:  # or picking rows would fail on an index
            raise errors.reset_state_shape(reset_state.shape, expected)
        reset_state = _permuted(reset_state, 1, order)
    reset = None if reset is None else _permuted(reset, 1, order)
    return hx, sequences.with_reset(reset).with_reset_state(reset_state)


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


def _with_options(
    layer: BaseGRU, hx: Tensor | None, sequences: Sequences, rows: int
) -> tuple[Tensor | None, Sequences]:
    """The initial state as a call has it, and what resets put in, by the layer's own options."""
    if layer.learn_h0 and sequences.reset is not None and sequences.reset_state is None:
        sequences = sequences.with_reset_state(layer.h_0)
    if hx is None:
        return _first_state(layer, rows) if layer.learn_h0 else None, sequences
    if not layer.state_batch_first:
        return hx, sequences
    _check_state(layer, hx, rows)
    return hx.transpose(0, 1), sequences


def _first_state(layer: BaseGRU, rows: int) -> Tensor:
    """The learned state for every row of a batch, (L*D, B, H)."""
    if not torch.compiler.is_compiling():
        memory.is_wrapper("h_0", layer.h_0)  # an error if it was made one: torch's operators may die of it
    return layer.h_0.unsqueeze(1).expand(-1, rows, -1)


def _leave_batch_first(leave: Leave) -> Leave:
    """The way back of a layer whose states have the batch first."""
    return lambda output, h_n: leave(output, h_n.transpose(0, 1).contiguous())


def _check_state(layer: BaseGRU, hx: Tensor, batch: int) -> None:
    """Raises when `hx` is no state of the layer for this batch, in the words of the layout that users have."""
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

    For one direction this is the last layer's h_n. For two directions, the second half is the state of the second
    direction after a single step; its final state is at step 0, and in h_n.

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
    build.check_tensors(output=output)
    if output.dim() != 3:
        raise errors.input_rank("last_output", output.dim(), (3,), "(T, B, D*H), or (B, T, D*H) with batch_first")
    by_row = output if batch_first else output.transpose(0, 1)
    own = lengths_of(lengths, by_row.shape[1], by_row.shape[0]).to(output.device)
    if by_row.shape[1] == 0:
        return output.new_zeros(by_row.shape[0], output.shape[2])
    last = (own - 1).clamp(min=0).view(-1, 1, 1).expand(-1, 1, output.shape[2])
    picked = by_row.gather(1, last).squeeze(1)
    return torch.where((own > 0).unsqueeze(1), picked, picked.new_zeros(()))
