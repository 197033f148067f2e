"""A layer's tangents and second derivatives by the core, for computations that nothing records any further.

It does what `ops.trajectory` does with operators, in one pass there and one back.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from fastgru.backends.cpu import core_calls
from fastgru.backends.cpu.ops import trajectory
from fastgru.backends.cpu.ops.recurrence import before, outer_sum
from fastgru.backends.cpu.ops.trajectory import Cell, Found, Passed
from fastgru.spec import GRUSpec

_DTYPES = (torch.float32, torch.float64)


def pass_through(cell: Cell, tangents: Sequence[Tensor | None]) -> Passed | None:
    """As `ops.trajectory.pass_through`; None where something follows, or the core cannot read the tensors."""
    if _is_followed() or not _is_plain(cell):
        return None
    one = _Pass(cell, tangents)
    return None if one.passed is None else Passed(one.passed[0], one.passed[1], one.pull)


def _is_followed() -> bool:
    return (
        torch.is_grad_enabled()
        or torch._C._are_functorch_transforms_active()
        or torch._C._len_torch_dispatch_stack() > 0
        or torch.compiler.is_compiling()
    )


def _is_plain(cell: Cell) -> bool:
    """Whether this is one model without resets, of a type that the core has sums of."""
    return cell.marks is None and cell.a.shape[2] == 1 and cell.a.dtype in _DTYPES


def _dense(tensor: Tensor | None, shape: Sequence[int]) -> Tensor | None:
    if tensor is None:
        return None
    return (tensor if tensor.shape == shape else tensor.expand(shape)).contiguous()


class _Pass:
    """A pass through all directions of a layer, and all that the way back reads.

    Attributes:
        passed: the states (G, T, 1, B, H), their tangents, and what the core keeps of the gates; None where it cannot
            read a tensor.
    """

    def __init__(self, cell: Cell, tangents: Sequence[Tensor | None]) -> None:
        groups, steps, _, rows, gates = shape = cell.a.shape
        hidden = gates // 3
        d_a, d_start, d_weight, d_bias = tangents
        start = (groups, 1, 1, rows, hidden)
        own = cell.weight, cell.bias, cell.a, _dense(cell.start, start)
        moved = d_weight, d_bias, _dense(d_a, shape), _dense(d_start, start)
        self._given = cell, tangents
        self._inputs = tuple([None if t is None else t.contiguous() for t in (*own, *moved)])
        self._alive = _dense(cell.alive, (groups, steps, 1, rows, 1))
        self._sizes = core_calls.sizes_for(GRUSpec(hidden, hidden), cell.a.dtype)
        self.passed = self._sizes.forward_tangent(self._alive, self._inputs, torch.get_num_threads())

    def pull(self, gradients: Tensor, d_gradients: Tensor | None, wants: tuple[bool, bool]) -> Found:
        """The way back; as `ops.trajectory.Passed.pull`."""
        assert self.passed is not None
        states, d_states, _ = self.passed
        outer = _dense(gradients, states.shape), _dense(d_gradients, states.shape)
        threads = torch.get_num_threads()
        results = self._sizes.backward_tangent(self._alive, self._inputs, self.passed, *outer, threads)
        if results is None:
            return trajectory.pass_through(*self._given, goes_back=True).pull(gradients, d_gradients, wants)
        of_a, d_of_a, of_c, d_of_c, d_of_start = results
        if not wants[1]:
            return Found(of_a, d_of_a, d_of_start, None, None)
        d_weight = outer_sum(d_of_c, before(states, self._inputs[3], None))
        d_weight += outer_sum(of_c, before(d_states, self._inputs[7], None))
        return Found(of_a, d_of_a, d_of_start, d_weight, d_of_c.sum((1, 2, 3)))
