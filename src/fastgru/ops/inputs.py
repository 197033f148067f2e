"""What the operators take, and the gradients of their gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from fastgru.backends import reference
from fastgru.backends.base import Bounds, Request
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
    def bounds(self) -> Bounds:
        """Of the sequences."""
        return Bounds(None, self.lengths, self.reset, self.reset_state)

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
            context=None,
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


def _by_the_reference(own: Inputs, differentiable: Sequence[Tensor | None]) -> tuple[Tensor, Tensor]:
    """Output and h_n as functions that any transform can follow."""

    def one(given: Sequence[Tensor | None], lengths: Tensor | None, reset: Tensor | None) -> tuple[Tensor, Tensor]:
        x, h_0, reset_state, *weights = given
        bounds = Bounds(None, lengths, reset, reset_state)
        assert x is not None
        return reference.BACKEND.run(own.request, x, h_0, tuple(weights), bounds)  # type: ignore[arg-type]

    call = torch.vmap(one) if own.is_side_by_side else one
    return call(list(differentiable), own.lengths, own.reset)


def second_gradients(
    own: Inputs,
    d_output: Tensor | None,
    d_h_n: Tensor | None,
    wanted: Sequence[bool],
    outer: Sequence[Tensor | None],
) -> list[Tensor | None]:
    """The gradients of `backward` by d_output, d_h_n and what is differentiable: the reference's, differentiated twice.

    Args:
        own: the inputs.
        d_output: as for `backward`.
        d_h_n: as for `backward`.
        wanted: as for `backward`.
        outer: gradients of what `backward` gave.
    """
    variables = (d_output, d_h_n, *own.differentiable)
    is_there = [t is not None for t in variables]

    def first(*given: Tensor) -> list[Tensor]:
        left = iter(given)
        d_output, d_h_n, *differentiable = [next(left) if there else None for there in is_there]

        def results(*asked: Tensor) -> tuple[Tensor, Tensor]:
            own_left = iter(asked)
            mixed = [next(own_left) if is_one else t for t, is_one in zip(differentiable, wanted, strict=True)]
            return _by_the_reference(own, mixed)

        asked = [t for t, is_one in zip(differentiable, wanted, strict=True) if is_one]
        values, pull = torch.func.vjp(results, *asked)  # type: ignore[misc]  # (typed for auxiliary results too)
        return list(pull(_or_zeros((d_output, d_h_n), values)))

    values, pull = torch.func.vjp(first, *[t for t in variables if t is not None])  # type: ignore[misc]
    asked = [d for d, is_one in zip(outer, wanted, strict=True) if is_one]
    found = iter(pull(list(_or_zeros(asked, values))))
    return [next(found) if there else None for there in is_there]


def _or_zeros(gradients: Sequence[Tensor | None], values: Sequence[Tensor]) -> tuple[Tensor, ...]:
    return tuple([torch.zeros_like(v) if d is None else d for d, v in zip(gradients, values, strict=True)])
