"""The GRU as a function of its input and parameters, and the functions that models use around one.

The latter, from `linear` on, are those of `torch.nn.functional`, with the same bits on every processor.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from fastgru import dispatch, errors
from fastgru.call import build
from fastgru.call.memory import PLAIN
from fastgru.call.sequences import sequences_of
from fastgru.rows.functions import elu as elu
from fastgru.rows.functions import gelu as gelu
from fastgru.rows.functions import hardsigmoid as hardsigmoid
from fastgru.rows.functions import hardswish as hardswish
from fastgru.rows.functions import selu as selu
from fastgru.rows.functions import sigmoid as sigmoid
from fastgru.rows.functions import silu as silu
from fastgru.rows.functions import softplus as softplus
from fastgru.rows.functions import tanh as tanh
from fastgru.rows.linear import linear as linear
from fastgru.rows.sums import layer_norm as layer_norm
from fastgru.rows.sums import log_softmax as log_softmax
from fastgru.rows.sums import softmax as softmax
from fastgru.spec import GRUSpec

_CELL_ARGUMENTS = ("input", "hx", "weight_ih", "weight_hh", "bias_ih", "bias_hh")


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
    lengths: Tensor | Sequence[int] | None = None,
    reset: Tensor | None = None,
    reset_state: Tensor | None = None,
    dropout: float = 0.0,
    training: bool = False,
    recompute: bool = False,
    reset_after: bool = True,
) -> tuple[Tensor, Tensor]:
    """A stacked, bidirectional GRU; the equations are `fastgru.reference.step`.

    Args:
        input: (T, B, I), or (B, T, I) with `batch_first`, or packed data (N, I) with `batch_sizes`.
        h_0: initial states (L*D, B, H), also with `batch_first`; None for zeros.
        weights: parameters in torch's order: for each layer and direction weight_ih (3H, I or D*H), weight_hh (3H, H)
            and, with `bias`, bias_ih and bias_hh (3H), rows r, z, n.
        num_layers: stacked layers, L.
        bias: whether `weights` includes biases.
        bidirectional: whether there is a second direction, D = 2.
        batch_first: the batch comes first in input and output.
        batch_sizes: (T,) int64 on the CPU: the number of rows at each step, as in torch's PackedSequence.
        lengths: (B,) integers: how many steps of each padded sequence count, from 0 to T. Input after an end is
            never read; outputs there are zeros, h_n is the state at the end (h_0 for an empty sequence), and the second
            direction starts at the end.
        reset: booleans, (T, B) or with `batch_first` (B, T): before a marked step the state becomes `reset_state`, as
            if a new sequence began there; the second direction, which runs backward, starts again after such a step.
        reset_state: (L*D, H) or (L*D, B, H); None for zeros.
        dropout: probability of an element being zeroed between layers, in training.
        training: whether dropout acts.
        recompute: keep less between forward and backward pass and compute the gates again, see `fastgru.GRU`.
        reset_after: whether the reset gate acts after the product with the weights of n, see `fastgru.GRU`.

    Returns:
        output (T, B, D*H), or (B, T, D*H), or (N, D*H); and h_n (L*D, B, H). Type and device are the input's.

    Raises:
        ShapeError, RankError, DTypeError, OperandError, InputTypeError, ArgumentError: if an argument does not fit;
            they have torch's exception types.
        SequenceError, SequenceTypeError: if lengths or a reset mask do not fit the batch.

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
    num_layers = int(num_layers)  # True is one, but not to torch's operator
    if not isinstance(dropout, (int, float)) or not 0 <= dropout <= 1:
        raise errors.dropout_range(dropout)
    expected = num_layers * (2 if bidirectional else 1) * (4 if bias else 2)
    if len(weights) != expected:
        raise errors.parameter_count(len(weights), expected)
    build.check_tensors(input=input, h_0=h_0, **{f"weights[{i}]": weight for i, weight in enumerate(weights)})
    if batch_sizes is None and input.dim() != 3:
        raise errors.input_rank("GRU", input.dim(), (3,), "(T, B, I), or (B, T, I) with batch_first")
    batch_first = batch_first and batch_sizes is None
    sequences = sequences_of(input, batch_first, batch_sizes, lengths, reset, reset_state)
    features, hidden = build.width("weights[0]", weights[0]), build.width("weights[1]", weights[1])
    spec = GRUSpec(features, hidden, num_layers, bias, bidirectional, bool(reset_after))
    rate = float(dropout) if training and num_layers > 1 else 0.0
    return dispatch.run(spec, input, h_0, weights, sequences, rate, recompute, batch_first)


def gru_cell(
    input: Tensor,
    hx: Tensor | None,
    weight_ih: Tensor,
    weight_hh: Tensor,
    bias_ih: Tensor | None = None,
    bias_hh: Tensor | None = None,
    *,
    reset_after: bool = True,
) -> Tensor:
    """One step of a GRU.

    Args:
        input: (B, I) or (I).
        hx: the state before, (B, H) or (H); None for zeros.
        weight_ih: (3H, I), rows r, z, n.
        weight_hh: (3H, H).
        bias_ih: (3H), or None for zeros.
        bias_hh: (3H), or None for zeros.
        reset_after: whether the reset gate acts after the product with the weights of n, see `fastgru.GRU`.

    Returns:
        The state after, (B, H) or (H).

    Raises:
        ShapeError, RankError, OperandError, InputTypeError: if an argument does not fit; they have torch's types.

    Example:
        >>> import torch, fastgru
        >>> cell = fastgru.GRUCell(8, 16)
        >>> fastgru.functional.gru_cell(torch.randn(3, 8), None, *cell.parameters()).shape
        torch.Size([3, 16])
    """
    given = (input, hx, weight_ih, weight_hh, bias_ih, bias_hh)
    if torch.compiler.is_compiling() or not PLAIN.issuperset(map(type, given)):
        build.check_tensors(**dict(zip(_CELL_ARGUMENTS, given, strict=True)))
    weights = (weight_ih, weight_hh, *_biases(bias_ih, bias_hh))
    features, hidden = build.width("weight_ih", weight_ih), build.width("weight_hh", weight_hh)
    _check_cell(input, hx, features, hidden)
    is_batched = input.dim() == 2
    x = input.unsqueeze(0) if is_batched else input[None, None]
    h_0 = None if hx is None else hx.unsqueeze(0) if is_batched else hx[None, None]
    spec = GRUSpec(features, hidden, 1, len(weights) == 4, False, bool(reset_after))
    try:
        _, h_n = dispatch.run(spec, x, h_0, weights)
    except errors.DTypeError:  # torch's cell has another type of error for it than torch's layer
        raise errors.cell_dtype(input.dtype, weight_ih.dtype) from None
    h_n.squeeze_(0)  # in place: torch's cell returns no view
    return h_n if is_batched else h_n.squeeze_(0)


def _biases(bias_ih: Tensor | None, bias_hh: Tensor | None) -> tuple[Tensor, ...]:
    """Both or none: one alone stands beside zeros."""
    if bias_ih is None:
        return () if bias_hh is None else (torch.zeros_like(bias_hh), bias_hh)
    return bias_ih, torch.zeros_like(bias_ih) if bias_hh is None else bias_hh


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
