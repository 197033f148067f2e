"""What the operators take, and the gradients of their gradients."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

from torch import Tensor

from fastgru import errors
from fastgru.call.request import Call, Request, Sequences
from fastgru.spec import GRUSpec


class Inputs(NamedTuple):
    """The operators' arguments that are tensors, and the options; as in `fastgru.backends.base`."""

    x: Tensor
    h_0: Tensor | None
    reset_state: Tensor | None
    weights: Sequence[Tensor]
    lengths: Tensor | None
    reset: Tensor | None
    num_layers: int
    bidirectional: bool
    batch_first: bool
    recompute: bool

    @property
    def spec(self) -> GRUSpec:
        """What the weights say of the layer."""
        cells = self.num_layers * (2 if self.bidirectional else 1)
        has_bias = len(self.weights) == 4 * cells
        sizes = self.x.shape[-1], self.weights[1].shape[-1]
        return GRUSpec(*sizes, self.num_layers, has_bias, self.bidirectional)

    @property
    def call(self) -> Call:
        """The same as a call of a layer."""
        sequences = Sequences(None, self.lengths, self.reset, self.reset_state)
        options = 0.0, self.recompute, self.batch_first
        return Call(self.spec, self.x, self.h_0, tuple(self.weights), sequences, *options)

    @property
    def differentiable(self) -> tuple[Tensor | None, ...]:
        """In the order of the gradients."""
        return self.x, self.h_0, self.reset_state, *self.weights

    @property
    def request(self) -> Request:
        """The call of one model, as data."""
        rows, steps = self.x.shape[-3:-1]
        if not self.batch_first:
            rows, steps = steps, rows
        return Request(
            self.spec,
            self.x.dtype,
            "cpu",
            steps,
            rows,
            is_packed=False,
            needs_grad=False,
            dropout=0.0,
            follower=None,
            recompute=self.recompute,
            batch_first=self.batch_first,
            has_lengths=self.lengths is not None,
            resets=self.reset is not None,
        )

    @property
    def is_side_by_side(self) -> bool:
        """Whether there is a dimension of models in front."""
        return self.x.dim() == 4

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to compute: no steps, no rows or no models."""
        return 0 in self.x.shape[:-1]

    def named_tensors(self) -> list[tuple[str, Tensor]]:
        """All tensors that are given."""
        given = {name: getattr(self, name) for name in ("x", "h_0", "reset_state", "lengths", "reset")}
        given |= {f"weights[{i}]": weight for i, weight in enumerate(self.weights)}
        return [(name, tensor) for name, tensor in given.items() if tensor is not None]

    def model(self, index: int) -> Inputs:
        """The inputs of one of the models that stand side by side."""

        def of(tensor: Any) -> Any:
            return None if tensor is None else tensor[index]

        x, h_0, reset_state, lengths, reset = map(of, (*self[:3], self.lengths, self.reset))
        weights = [weight[index] for weight in self.weights]
        return Inputs(x, h_0, reset_state, weights, lengths, reset, *self[6:])

    def nothing(self) -> tuple[Tensor, Tensor]:
        """The results where nothing is to be computed: no outputs, and the states as they were."""
        spec, models, x = self.spec, self.x.shape[:-3], self.x
        states = (*models, spec.num_layers * spec.num_directions, self.request.batch, spec.hidden_size)
        output = x.new_zeros(*x.shape[:-1], spec.num_directions * spec.hidden_size)
        return output, x.new_zeros(states) if self.h_0 is None else self.h_0.clone()

    def gradients_of_nothing(self, d_h_n: Tensor | None, wanted: Sequence[bool]) -> list[Tensor]:
        """The gradients then: zeros, but for h_0, which passed through."""
        found = [
            self.x.new_zeros(tensor.shape if is_wanted and tensor is not None else 0)
            for tensor, is_wanted in zip(self.differentiable, wanted, strict=True)
        ]
        if wanted[1] and d_h_n is not None:
            found[1] = d_h_n.clone()
        return found

    def saved_values(self) -> int:
        """Of one model, as for a full batch: how long sequences are is not known when a graph is made."""
        spec, request = self.spec, self.request
        cells = spec.num_layers * spec.num_directions
        gates = 0 if self.recompute else 4 * cells
        inner = (spec.num_layers - 1) * spec.num_directions
        return request.steps * request.batch * spec.hidden_size * (gates + inner)

    def room_to_save(self) -> Tensor:
        """Memory for what the forward pass of every model leaves to the backward pass.

        Raises:
            OutOfMemoryError: it would be more than there are addresses.
        """
        values = self.saved_values()
        if isinstance(values, int) and values * self.x.itemsize > sys.maxsize:
            raise errors.out_of_memory(values * self.x.itemsize)
        return self.x.new_empty(*self.x.shape[:-3], values)

    def size_of_gates(self) -> int:
        """Bytes of a layer's gates at every step."""
        gates = 3 * self.spec.num_directions * self.spec.hidden_size
        return int(self.x.numel() // max(1, self.x.shape[-1])) * gates * self.x.itemsize
