"""Linear recurrences over time and their transposes, differentiable to any order and under any transform.

The derivative of a GRU is linear in the state: `u_t = k_t u_{t-1} + sum over gates of p_t (W u_{t-1}) + s_t`. A tangent
solves it, and a gradient solves its transpose, which runs backwards. Each is the derivative of the other, so these two
loops are the only step-by-step part of derivatives of any order; everything else is computed for all steps at once.

Tensors are (G, T, N, B, ...): groups with separate weights, steps, batches that share weights, rows. Batching adds to G
if weights differ, and otherwise to N; a coefficient that is the same for all batches has N = 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from fastgru.backends import saving


def ahead(k: Tensor, p: Tensor, weight: Tensor, marks: Tensor | None, s: Tensor) -> Tensor:
    """The solution u of the recurrence, as long as `s`.

    Args:
        k: (G, T, N or 1, B, H): the factor of the state in a step.
        p: (G, T, N or 1, B, 3H): the factor of each gate's product.
        weight: (G, 3H, H).
        marks: booleans (G, T, N or 1, B, 1): before these steps the state becomes zero; None: only before the first.
        s: (G, T, N, B, H).
    """
    return _Ahead.apply(k, p, weight, marks, s)  # type: ignore[no-any-return, no-untyped-call]


def back(k: Tensor, p: Tensor, weight: Tensor, marks: Tensor | None, s: Tensor) -> Tensor:
    """The solution of the transposed recurrence; arguments as for `ahead`."""
    return _Back.apply(k, p, weight, marks, s)  # type: ignore[no-any-return, no-untyped-call]


def before(states: Tensor, start: Tensor | None, marks: Tensor | None) -> Tensor:
    """The state before every step: `start` (G, T or 1, ...) at the first and at marked ones; None: zeros."""
    first = torch.zeros_like(states[:, :1]) if start is None else start[:, :1].expand_as(states[:, :1])
    shifted = torch.cat([first, states[:, :-1]], 1)
    return shifted if marks is None else torch.where(marks, 0 if start is None else start, shifted)


def after(gradients: Tensor, marks: Tensor | None) -> Tensor:
    """The transpose of `before` with respect to the states."""
    passed = gradients if marks is None else torch.where(marks, 0, gradients)
    return torch.cat([passed[:, 1:], torch.zeros_like(passed[:, :1])], 1)


def product(u: Tensor, weight: Tensor) -> Tensor:
    """(G, ..., A) times (G, A, C)."""
    if weight.shape[0] == 1:
        return torch.matmul(u, weight[0])
    return torch.bmm(u.flatten(1, -2), weight).reshape(*u.shape[:-1], weight.shape[-1])


def outer_sum(a: Tensor, b: Tensor) -> Tensor:
    """(G, ..., A) and (G, ..., C): outer products, summed to (G, A, C)."""
    return torch.bmm(a.flatten(1, -2).mT, b.flatten(1, -2))


def for_gates(v: Tensor, p: Tensor) -> Tensor:
    """(..., H) times each gate's part of (..., 3H)."""
    return (v.unsqueeze(-2) * torch.unflatten(p, -1, (3, -1))).flatten(-2)


def over_gates(c: Tensor) -> Tensor:
    """(..., 3H): the sum of the gates' parts."""
    return torch.unflatten(c, -1, (3, -1)).sum(-2)


def total(parts: Sequence[Tensor | None]) -> Tensor | None:
    """The sum of the parts that are not None."""
    there = [part for part in parts if part is not None]
    return reduce(torch.add, there) if there else None


def like(gradient: Tensor, tensor: Tensor) -> Tensor:
    """Summed over the batches that shared `tensor`."""
    return gradient if gradient.shape == tensor.shape else gradient.sum_to_size(tensor.shape)


def keep(ctx: Any, *tensors: Tensor | None) -> None:
    """Like `saving.keep`, also for forward mode."""
    saving.keep(ctx, *tensors)
    ctx.save_for_forward(*[tensor for tensor in tensors if tensor is not None])


def rule(jvp: Any) -> Any:
    """Makes a Function's forward-mode rule differentiable in forward mode.

    Torch disables forward mode inside such a rule, including outer levels. Tensors there still have the tangents of
    this level, which the rule also gets as arguments.
    """

    def run(ctx: Any, *tangents: Tensor | None) -> Any:
        with forward_ad._set_fwd_grad_enabled(True):
            saved = [primal(t) for t in saving.kept(ctx)]
            return jvp(ctx, saved, *[primal(t) for t in tangents])

    return run


def primal(tensor: Any) -> Any:
    """The tensor without the tangent of the current level."""
    return forward_ad.unpack_dual(tensor).primal if isinstance(tensor, Tensor) else tensor  # type: ignore[no-untyped-call]


def _run_ahead(k: Tensor, p: Tensor, weight: Tensor, marks: Tensor | None, s: Tensor) -> Tensor:
    groups, steps, count, rows, hidden = s.shape
    u = torch.empty_like(s, memory_format=torch.contiguous_format)
    ks, ps, ss, us = k.unbind(1), torch.unflatten(p, -1, (3, hidden)).unbind(1), s.unbind(1), u.unbind(1)
    state, turned = us[0].copy_(ss[0]), weight.mT
    for t in range(1, steps):
        if marks is not None:
            state = state.masked_fill(marks[:, t], 0)
        c = torch.bmm(state.reshape(groups, count * rows, hidden), turned).view(groups, count, rows, 3, hidden)
        state = torch.add(torch.addcmul(ss[t], ks[t], state), c.mul_(ps[t]).sum(3), out=us[t])
    return u


def _run_back(k: Tensor, p: Tensor, weight: Tensor, marks: Tensor | None, s: Tensor) -> Tensor:
    groups, steps, count, rows, hidden = s.shape
    v = torch.empty_like(s, memory_format=torch.contiguous_format)
    ks, ps, ss, vs = k.unbind(1), torch.unflatten(p, -1, (3, hidden)).unbind(1), s.unbind(1), v.unbind(1)
    state = vs[-1].copy_(ss[-1])
    for t in range(steps - 1, 0, -1):
        d = (ps[t] * state.unsqueeze(-2)).view(groups, count * rows, 3 * hidden)
        passed = torch.bmm(d, weight).view(groups, count, rows, hidden).addcmul_(ks[t], state)
        if marks is not None:
            passed.masked_fill_(marks[:, t], 0)
        state = torch.add(passed, ss[t - 1], out=vs[t - 1])
    return v


def _shares(found: Tensor, u: Tensor, given: Sequence[Any], wanted: Sequence[bool]) -> tuple[Tensor | None, ...]:
    """The gradients of k, p and the weight in `found * (ahead's matrix) u`, where `u` and `found` solve both ways."""
    k, p, weight, marks = given
    previous = before(u, None, marks)
    return (
        like(found * previous, k) if wanted[0] else None,
        like(for_gates(found, product(previous, weight.mT)), p) if wanted[1] else None,
        outer_sum(for_gates(found, p), previous) if wanted[2] else None,
    )


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    keep(ctx, *inputs[:4], output)


class _Ahead(torch.autograd.Function):
    setup_context = staticmethod(_keep)

    @staticmethod
    def forward(*given: Any) -> Tensor:
        return _run_ahead(*given)

    @staticmethod
    def backward(ctx: Any, d_u: Tensor) -> tuple[Tensor | None, ...]:
        *given, u = saving.kept(ctx)
        k, p, weight, marks = given
        found = back(k, p, weight, marks, d_u)
        return *_shares(found, u, given, ctx.needs_input_grad), None, found

    @staticmethod
    @rule
    def jvp(ctx: Any, saved: list[Any], dk: Any, dp: Any, d_weight: Any, _: Any, ds: Any) -> Tensor:
        k, p, weight, marks, u = saved
        previous = before(u, None, marks)
        pushed = [
            ds,
            None if dk is None else dk * previous,
            None if dp is None else over_gates(dp * product(previous, weight.mT)),
            None if d_weight is None else over_gates(p * product(previous, d_weight.mT)),
        ]
        return ahead(k, p, weight, marks, total(pushed))  # type: ignore[arg-type]

    @staticmethod
    def vmap(info: Any, in_dims: Sequence[int | None], *given: Any) -> tuple[Tensor, int]:
        return _batched(ahead, info.batch_size, in_dims, given)


class _Back(torch.autograd.Function):
    setup_context = staticmethod(_keep)

    @staticmethod
    def forward(*given: Any) -> Tensor:
        return _run_back(*given)

    @staticmethod
    def backward(ctx: Any, d_v: Tensor) -> tuple[Tensor | None, ...]:
        *given, v = saving.kept(ctx)
        k, p, weight, marks = given
        found = ahead(k, p, weight, marks, d_v)
        return *_shares(v, found, given, ctx.needs_input_grad), None, found

    @staticmethod
    @rule
    def jvp(ctx: Any, saved: list[Any], dk: Any, dp: Any, d_weight: Any, _: Any, ds: Any) -> Tensor:
        k, p, weight, marks, v = saved
        passed = total(
            [
                None if dk is None else dk * v,
                None if dp is None else product(for_gates(v, dp), weight),
                None if d_weight is None else product(for_gates(v, p), d_weight),
            ]
        )
        pushed = total([ds, None if passed is None else after(passed, marks)])
        return back(k, p, weight, marks, pushed)  # type: ignore[arg-type]

    @staticmethod
    def vmap(info: Any, in_dims: Sequence[int | None], *given: Any) -> tuple[Tensor, int]:
        return _batched(back, info.batch_size, in_dims, given)


def _batched(call: Any, count: int, in_dims: Sequence[int | None], given: Sequence[Any]) -> tuple[Tensor, int]:
    *others, s = stacked(count, in_dims, given, (2,))
    k, p, _, marks = others
    batches = max(t.shape[2] for t in (k, p, marks, s) if t is not None)
    found = call(*others, s.expand(-1, -1, batches, -1, -1))
    return unstacked(found, count, in_dims[2] is not None)


def stacked(
    count: int, in_dims: Sequence[int | None], given: Sequence[Tensor | None], weights: Sequence[int]
) -> list[Any]:
    """Arguments of one more dimension as plain ones: in G where those at `weights` have it, else in N."""
    is_grouped = any(in_dims[i] is not None for i in weights)
    at = 0 if is_grouped else 2

    def one(i: int, tensor: Tensor | None, dim: int | None) -> Tensor | None:
        if tensor is None or (not is_grouped and dim is None and (i in weights or tensor.shape[2] == 1)):
            return tensor
        moved = tensor.expand(count, *tensor.shape).movedim(0, at) if dim is None else tensor.movedim(dim, at)
        return moved.flatten(at, at + 1)

    return [one(i, tensor, dim) for i, (tensor, dim) in enumerate(zip(given, in_dims, strict=True))]


def unstacked(result: Tensor, count: int, is_grouped: bool) -> tuple[Tensor, int]:
    """The dimension apart again, and where it stands."""
    at = 0 if is_grouped else 2
    return torch.unflatten(result, at, (count, -1)), at
