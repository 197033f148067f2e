"""Our own kernels on the CPU, as a backend."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from fastgru.backends.base import not_compiled, sum_dtype
from fastgru.backends.cpu import core_calls, node, ops
from fastgru.call import layer_by_layer
from fastgru.call.context import Follower, needs_grad
from fastgru.call.request import Call, Request
from fastgru.call.sequences import Sequences
from fastgru.spec import GRUSpec, directions_of

# Functions that every training step asks, by names of our own.
_has_storage = torch._C._has_storage
_new_tuple: Any = tuple.__new__  # of a NamedTuple in a third of the time
# Those that our operators have rules for.
_FOLLOWERS = (
    Follower.COMPILER,
    Follower.TRANSFORM,
    Follower.FORWARD_MODE,
    Follower.FORWARD_TRANSFORM,
    Follower.DISPATCH_MODE,
    Follower.FAKE,
)
# Those that ask for more than operators: tangents, and derivatives of any order.
_RULES_FOR_RESET_AFTER = (Follower.TRANSFORM, Follower.FORWARD_MODE, Follower.FORWARD_TRANSFORM)


class CpuBackend:
    """The native core: floating-point numbers on the CPU, any number of layers and directions, ragged or not."""

    name = "cpu"

    def refuse(self, request: Request) -> str | None:
        """Why the core cannot take this request, or None."""
        if request.device != "cpu":
            return f"the core runs on the CPU, the input is on {request.device}"
        if request.dtype not in core_calls.DTYPES:
            return f"the core takes float32, float64, bfloat16 and float16, the input is {request.dtype}"
        if request.follower is not None and request.follower not in _FOLLOWERS:
            return f"the core's kernels are not visible to {request.watcher}"
        if request.follower in _RULES_FOR_RESET_AFTER and not request.spec.reset_after:
            return f"our rules for {request.watcher} are those of layers that reset after the product"
        if request.follower is not None and request.is_packed:
            return f"our operators take sequences padded, with lengths, and not packed in {request.watcher}"
        if request.batch == 0 or request.spec.hidden_size == 0:
            return "there is nothing to compute"
        if request.spec.num_layers * directions_of(request.spec) > core_calls.MOST_CELLS:
            return f"the core stacks at most {core_calls.MOST_CELLS} layers and directions"
        return None

    def run(self, request: Request, call: Call) -> tuple[Tensor, Tensor]:
        """Output and h_n; as `fastgru.backends.base.Backend.run`."""
        is_widened = request.dtype is not sum_dtype(request.dtype)
        if is_widened and (request.dropout > 0 or request.follower is not None):
            return self._run_widened(request, call)
        if request.dropout > 0:
            (output,), h_n = layer_by_layer.run(call, lambda _, own: self.run(request.of_layer(own), own))
            return output, h_n
        if request.follower is not None:
            return ops.run(request, call)
        if request.needs_grad:
            return node.apply(call.bare(), request, *call.inputs)  # type: ignore[arg-type]
        output, h_n, _ = core_calls.forward(request, call, saves=False)
        return output, h_n

    def _run_widened(self, request: Request, call: Call) -> tuple[Tensor, Tensor]:
        """Half precision by operators of torch and a call in float32, for calls with a follower: same results."""
        own = call.with_inputs(*[None if t is None else t.float() for t in call.inputs])
        output, h_n = self.run(request._replace(dtype=torch.float32), own)
        return output.to(request.dtype), h_n.to(request.dtype)


@not_compiled
def shortcut(
    spec: GRUSpec,
    x: Tensor,
    h_0: Tensor | None,
    weights: tuple[Tensor, ...],
    sequences: Sequences,
    recompute: bool,
    batch_first: bool,
) -> tuple[Tensor, Tensor] | None:
    """Output and h_n of a call without a follower; None if the core cannot check everything by itself.

    Arguments are the fields of a `Call` without dropout, one by one (see `core_calls`).
    """
    if not torch.is_grad_enabled() or not needs_grad(x, h_0, weights, sequences.reset_state):
        return core_calls.forward_plain(spec, x, h_0, weights, sequences, recompute, batch_first, False)
    try:
        if x.is_nested or not all(map(_has_storage, weights)):
            return None  # autograd itself dies of a weight whose `.data` was set to a wrapper
    except TypeError:  # no tensors: told apart later
        return None
    try:
        bare = _new_tuple(Call, (spec, None, None, (), sequences, 0.0, recompute, batch_first))
        return node.apply(bare, None, x, h_0, sequences.reset_state, *weights)
    except node.NotPlain:
        return None


@not_compiled
def step_shortcut(spec: GRUSpec, x: Tensor, h_0: Tensor | None, weights: tuple[Tensor, ...]) -> Tensor | None:
    """The state (B, H) of a cell after a step; None as from `shortcut`, and if gradients are wanted."""
    if torch.is_grad_enabled() and needs_grad(x, h_0, weights, None):
        return None
    return core_calls.step_plain(spec, x, h_0, weights)


BACKEND = CpuBackend()
