"""One call: its arguments as a `Call`, and the facts about it without tensors as a `Request`."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from fastgru.call.context import Follower
from fastgru.call.sequences import WHOLE, Sequences
from fastgru.spec import GRUSpec


class Call(NamedTuple):
    """A call of a layer, whose layout has been checked.

    Attributes:
        spec: what the weights are meant to be.
        x: (T, B, I), (B, T, I) with `batch_first`, or packed data (N, I).
        h_0: (L*D, B, H), or None for zeros.
        weights: in torch's order, as many as the spec says.
        sequences: how they end, and where they start again.
        dropout: what acts between layers; 0 outside training.
        recompute: the backward pass computes the gates again instead of keeping them.
        batch_first: see `x`.
    """

    spec: GRUSpec
    x: Tensor
    h_0: Tensor | None
    weights: tuple[Tensor, ...]
    sequences: Sequences = WHOLE
    dropout: float = 0.0
    recompute: bool = False
    batch_first: bool = False

    @property
    def inputs(self) -> tuple[Tensor | None, ...]:
        """All that may have gradients: x, h_0, the state that resets put in, and the weights."""
        return self.x, self.h_0, self.sequences.reset_state, *self.weights

    def with_inputs(self, x: Any, h_0: Any, reset_state: Any, *weights: Any) -> Call:
        """The same call of other tensors, in the order of `inputs`."""
        sequences = self.sequences if self.sequences is WHOLE else self.sequences.with_reset_state(reset_state)
        return Call(self.spec, x, h_0, weights, sequences, self.dropout, self.recompute, self.batch_first)

    def of(self, spec: GRUSpec, weights: tuple[Tensor, ...]) -> Call:
        """The same call of a layer with other weights."""
        options = self.dropout, self.recompute, self.batch_first
        return Call(spec, self.x, self.h_0, weights, self.sequences, *options)

    def bare(self) -> Call:
        """The same call without `inputs`: what a node of autograd keeps of it beside the tensors that it saves."""
        return self.with_inputs(None, None, None)

    def turned(self) -> Call:
        """The same call with steps before rows where rows came first, or the other way round."""
        reset = self.sequences.reset
        sequences = self.sequences if reset is None else self.sequences.with_reset(reset.transpose(0, 1))
        options = self.dropout, self.recompute, not self.batch_first
        return Call(self.spec, self.x.transpose(0, 1), self.h_0, self.weights, sequences, *options)


class Request(NamedTuple):
    """One call, as data without tensors.

    Attributes:
        spec: what the layer computes.
        dtype: of the input.
        device: type of the input's device, such as ``"cpu"``.
        steps: T.
        batch: B.
        is_packed: the input is packed by batch sizes.
        needs_grad: autograd will want gradients.
        dropout: between layers; 0 in evaluation and for a single layer.
        follower: who watches, so that only operators that torch can see may run; None where anything may.
        recompute: the backward pass computes the gates again instead of keeping them; backends may ignore it.
        batch_first: input, output and reset mask have the batch before the steps.
        has_lengths: sequences have lengths of their own.
        resets: states are put back inside sequences.
        subclass: name of a tensor's class, where that is the follower.
    """

    spec: GRUSpec
    dtype: torch.dtype
    device: str
    steps: int
    batch: int
    is_packed: bool
    needs_grad: bool
    dropout: float
    follower: Follower | None
    recompute: bool = False
    batch_first: bool = False
    has_lengths: bool = False
    resets: bool = False
    subclass: str = ""

    @property
    def watcher(self) -> str:
        """The follower in words."""
        return f"tensors of type {self.subclass}" if self.follower is Follower.SUBCLASS else str(self.follower)

    def of_layer(self, call: Call) -> Request:
        """The facts of the call of a single layer of this one."""
        facts = self.dtype, self.device, self.steps, self.batch, self.is_packed, self.needs_grad
        last = self.has_lengths, self.resets, self.subclass
        return Request(call.spec, *facts, 0.0, self.follower, self.recompute, call.batch_first, *last)


def unwatched_request(call: Call, dtype: torch.dtype, sizes: tuple[int, int]) -> Request:
    """The request of a call with gradients and without dropout, which the core serves by itself.

    Args:
        call: that nobody follows.
        dtype: of the input.
        sizes: steps and rows.
    """
    is_packed, has_lengths, resets = [t is not None for t in call.sequences[:3]]
    options = call.recompute, call.batch_first, has_lengths, resets
    return Request(call.spec, dtype, "cpu", *sizes, is_packed, True, 0.0, None, *options)
