"""The states of a layer as the solution of its equations, and their derivatives.

A state satisfies `h_t = f(h_{t-1}, a_t)` at every step. So tangents and gradients solve linear recurrences, whose
coefficients are computed from the states for all steps at once; the steps themselves are not recorded.

Tensors are (G, T, N, B, ...) as in `ops.recurrence`, where G are the layer's directions, each in its own
order of time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from fastgru.backends import saving
from fastgru.backends.cpu.ops.recurrence import (
    after,
    ahead,
    back,
    before,
    for_gates,
    keep,
    like,
    outer_sum,
    over_gates,
    product,
    rule,
    stacked,
    total,
    unstacked,
)

_through_sigmoid = torch.ops.aten.sigmoid_backward
_through_tanh = torch.ops.aten.tanh_backward


class Cell(NamedTuple):
    """The inputs from which the states are computed.

    Attributes:
        a: projected inputs (G, T, N, B, 3H).
        start: (G, 1, N, B, H), the first state; with marks (G, T, N, B, H): the states before marked steps.
        weight: weight_hh, (G, 3H, H).
        bias: bias_hh, (G, 3H).
        alive: booleans (G, T, N, B, 1); elsewhere a step leaves the state as it is. None: everywhere.
        marks: as in `ops.recurrence`; the first step is marked.
    """

    a: Tensor
    start: Tensor
    weight: Tensor
    bias: Tensor
    alive: Tensor | None
    marks: Tensor | None


class Point(NamedTuple):
    """Gates at every step, and the coefficients of the recurrence there.

    Attributes:
        previous: the states before each step.
        rz: both gates side by side, (G, T, N, B, 2H).
        n: the new gate, (G, T, N, B, H).
        c_n: what the reset gate acts on, (G, T, N, B, H).
        k: see `ops.recurrence.ahead`.
        p: see `ops.recurrence.ahead`.
        q: the state's derivative by the new gate's input, (G, T, N, B, H).
    """

    previous: Tensor
    rz: Tensor
    n: Tensor
    c_n: Tensor
    k: Tensor
    p: Tensor
    q: Tensor


class Pushed(NamedTuple):
    """Tangents of the states, of the states before each step, and of the products with these."""

    states: Tensor
    previous: Tensor
    c: Tensor


class Turned(NamedTuple):
    """Tangents of the states before each step, and of k, p and q."""

    previous: Tensor
    k: Tensor
    p: Tensor
    q: Tensor


class Pulled(NamedTuple):
    """Gradients of the states, including those from later steps, of the products, and of a."""

    states: Tensor
    c: Tensor
    a: Tensor


class Found(NamedTuple):
    """The gradients of a, and the tangents of the gradients of a, start, weight and bias; None if not needed."""

    a: Tensor
    d_a: Tensor
    d_start: Tensor | None
    d_weight: Tensor | None
    d_bias: Tensor | None


class Passed(NamedTuple):
    """States and their tangents, and a function for the backward pass.

    Attributes:
        states: (G, T, N, B, H).
        d_states: their tangents.
        pull: from the gradients of the states, the tangents of these (None: zero), and whether start is wanted, and
            weight and bias, to what is found.
    """

    states: Tensor
    d_states: Tensor
    pull: Callable[[Tensor, Tensor | None, tuple[bool, bool]], Found]


def pass_through(cell: Cell, tangents: Sequence[Tensor | None], goes_back: bool) -> Passed:
    """A layer at a point, with tangents of a, start, weight and bias (None: zero)."""
    states = states_of(cell)
    at = point_at(cell, states)
    pushed = push(cell, at, tangents)
    turned = turn(cell, at, pushed, tangents[0]) if goes_back else None

    def back(gradients: Tensor, d_gradients: Tensor | None, wants: tuple[bool, bool]) -> Found:
        assert turned is not None
        pulled = pull(cell, at, gradients)
        return Found(pulled.a, *push_pull(cell, at, turned, pulled, tangents[2], d_gradients, wants))

    return Passed(states, pushed.states, back)


def states_of(cell: Cell) -> Tensor:
    """All states, (G, T, N, B, H)."""
    return _States.apply(*cell)  # type: ignore[no-any-return, no-untyped-call]


def point_at(cell: Cell, states: Tensor) -> Point:
    """The point at which to differentiate."""
    hidden = states.shape[-1]
    previous = before(states, cell.start, cell.marks)
    c = product(previous, cell.weight.mT) + cell.bias[:, None, None, None]
    a_rz, a_n = torch.split(cell.a, [2 * hidden, hidden], -1)
    c_rz, c_n = torch.split(c, [2 * hidden, hidden], -1)
    rz = torch.sigmoid(a_rz + c_rz)
    r, z = rz.chunk(2, -1)
    n = torch.tanh(torch.addcmul(a_n, r, c_n))
    q = _through_tanh(1 - z, n)
    p = torch.cat([_through_sigmoid(torch.cat([q * c_n, previous - n], -1), rz), q * r], -1)
    if cell.alive is not None:
        p, q, z = torch.where(cell.alive, p, 0), torch.where(cell.alive, q, 0), torch.where(cell.alive, z, 1)
    return Point(previous, rz, n, c_n, z, p, q)


def push(cell: Cell, at: Point, tangents: Sequence[Tensor | None]) -> Pushed:
    """Tangents of the states from those of a, start, weight and bias."""
    d_a, d_start, d_weight, d_bias = tangents
    started = None if d_start is None else before(torch.zeros_like(at.previous), d_start, cell.marks)
    d_c = total(
        [
            None if d_weight is None else product(at.previous, d_weight.mT),
            None if started is None else product(started, cell.weight.mT),
            None if d_bias is None else d_bias[:, None, None, None],
        ]
    )
    s = total(
        [
            None if d_a is None else over_gates(_of_inputs(at) * d_a),
            None if d_c is None else over_gates(at.p * d_c),
            None if started is None else at.k * started,
        ]
    )
    u = ahead(at.k, at.p, cell.weight, cell.marks, torch.zeros_like(at.q) if s is None else s)
    passed = product(before(u, None, cell.marks), cell.weight.mT)
    return Pushed(u, before(u, d_start, cell.marks), passed if d_c is None else passed + d_c)


def _of_inputs(at: Point) -> Tensor:
    """The state's derivatives by a."""
    return torch.cat([at.p[..., : at.rz.shape[-1]], at.q], -1)


def turn(cell: Cell, at: Point, pushed: Pushed, d_a: Tensor | None) -> Turned:
    """Tangents of the coefficients of the recurrence."""
    hidden = at.q.shape[-1]
    d_rz, d_n = torch.split(pushed.c, [2 * hidden, hidden], -1)
    r, z = at.rz.chunk(2, -1)
    d_c_n = d_n
    d_n = r * d_n
    if d_a is not None:
        d_rz, d_n = d_rz + d_a[..., : 2 * hidden], d_n + d_a[..., 2 * hidden :]
    d_rz = _through_sigmoid(d_rz, at.rz)
    d_r, d_z = d_rz.chunk(2, -1)
    d_n = _through_tanh(torch.addcmul(d_n, d_r, at.c_n), at.n)
    d_q = -_through_tanh(d_z, at.n) - 2 * (1 - z) * at.n * d_n
    inner = torch.cat([at.q * at.c_n, at.previous - at.n], -1)
    d_inner = torch.cat([torch.addcmul(d_q * at.c_n, at.q, d_c_n), pushed.previous - d_n], -1)
    d_p_rz = torch.addcmul(_through_sigmoid(d_inner, at.rz), inner * d_rz, 1 - 2 * at.rz)
    d_p = torch.cat([d_p_rz, torch.addcmul(d_q * r, at.q, d_r)], -1)
    if cell.alive is not None:
        d_z, d_p, d_q = (torch.where(cell.alive, t, 0) for t in (d_z, d_p, d_q))
    return Turned(pushed.previous, d_z, d_p, d_q)


def pull(cell: Cell, at: Point, d_states: Tensor) -> Pulled:
    """Gradients from those of the states."""
    found = back(at.k, at.p, cell.weight, cell.marks, d_states)
    return Pulled(found, for_gates(found, at.p), for_gates(found, _of_inputs(at)))


def pull_inputs(cell: Cell, at: Point, pulled: Pulled, wanted: Sequence[bool]) -> tuple[Tensor | None, ...]:
    """The gradients of a, start, weight and bias; None if not needed."""
    return (
        like(pulled.a, cell.a) if wanted[0] else None,
        like(_at_starts(cell, at.k * pulled.states + product(pulled.c, cell.weight)), cell.start)
        if wanted[1]
        else None,
        outer_sum(pulled.c, at.previous) if wanted[2] else None,
        pulled.c.sum((1, 2, 3)) if wanted[3] else None,
    )


def _at_starts(cell: Cell, gradients: Tensor) -> Tensor:
    """Gradients of the states before steps at which a sequence starts."""
    return gradients[:, :1] if cell.marks is None else torch.where(cell.marks, gradients, 0)


def push_pull(
    cell: Cell,
    at: Point,
    turned: Turned,
    pulled: Pulled,
    d_weight: Tensor | None,
    d_pulled: Tensor | None,
    wants: tuple[bool, bool],
) -> tuple[Tensor, Tensor | None, Tensor | None, Tensor | None]:
    """Tangents of the gradients of a, start, weight and bias.

    Args:
        cell: see `Cell`.
        at: from `point_at`.
        turned: from `turn`.
        pulled: from `pull`.
        d_weight: the tangent of the weight.
        d_pulled: the tangent of the gradients that `pull` began with.
        wants: whether that of start is wanted, and those of weight and bias.
    """
    moved = for_gates(pulled.states, turned.p)
    passed = torch.addcmul(product(moved, cell.weight), turned.k, pulled.states)
    if d_weight is not None:
        passed = passed + product(pulled.c, d_weight)
    given = after(passed, cell.marks)
    found = back(at.k, at.p, cell.weight, cell.marks, given if d_pulled is None else given + d_pulled)
    d_c, d_start = for_gates(found, at.p), None
    if wants[0]:
        d_start = _at_starts(cell, passed + at.k * found + product(d_c, cell.weight))
    d_c = d_c + moved
    d_n = torch.addcmul(found * at.q, pulled.states, turned.q)
    d_a = torch.cat([d_c[..., : at.rz.shape[-1]], d_n], -1)
    if not wants[1]:
        return d_a, d_start, None, None
    d_weight = outer_sum(d_c, at.previous) + outer_sum(pulled.c, turned.previous)
    return d_a, d_start, d_weight, d_c.sum((1, 2, 3))


def _run(a: Tensor, start: Tensor, weight: Tensor, bias: Tensor, alive: Tensor | None, marks: Tensor | None) -> Tensor:
    groups, steps, count, rows, hidden = *a.shape[:4], weight.shape[-1]
    states = a.new_empty(groups, steps, count, rows, hidden)
    every, a_rz, a_n = states.unbind(1), *(part.unbind(1) for part in torch.split(a, [2 * hidden, hidden], -1))
    turned, bias = weight.mT, bias.unsqueeze(1)
    h = start[:, 0].expand(groups, count, rows, hidden)
    for t in range(steps):
        if marks is not None and t > 0:
            h = torch.where(marks[:, t], start[:, t], h)
        c = torch.baddbmm(bias, h.reshape(groups, count * rows, hidden), turned).view(a.shape[0], count, rows, -1)
        r, z = (c[..., : 2 * hidden] + a_rz[t]).sigmoid_().chunk(2, -1)
        n = torch.addcmul(a_n[t], r, c[..., 2 * hidden :]).tanh_()
        h = (
            torch.lerp(n, h, z, out=every[t])
            if alive is None
            else torch.where(alive[:, t], n.lerp(h, z), h, out=every[t])
        )
    return states


class _States(torch.autograd.Function):
    @staticmethod
    def forward(*given: Any) -> Tensor:
        return _run(*given)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        keep(ctx, *inputs, output)

    @staticmethod
    def backward(ctx: Any, d_states: Tensor) -> tuple[Tensor | None, ...]:
        *given, states = saving.kept(ctx)
        cell = Cell(*given)
        at = point_at(cell, states)
        return *pull_inputs(cell, at, pull(cell, at, d_states), ctx.needs_input_grad), None, None

    @staticmethod
    @rule
    def jvp(ctx: Any, saved: list[Any], *tangents: Tensor | None) -> Tensor:
        *given, states = saved
        cell = Cell(*given)
        return push(cell, point_at(cell, states), tangents[:4]).states

    @staticmethod
    def vmap(info: Any, in_dims: Sequence[int | None], *given: Any) -> tuple[Tensor, int]:
        cell = Cell(*stacked(info.batch_size, in_dims, given, (2, 3)))
        batches = max(t.shape[2] for t in (cell.a, cell.start, cell.alive, cell.marks) if t is not None)
        states = states_of(cell._replace(a=cell.a.expand(-1, -1, batches, -1, -1)))
        return unstacked(states, info.batch_size, in_dims[2] is not None or in_dims[3] is not None)
