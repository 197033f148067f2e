"""The operators' rules for tensors with one more dimension.

Tensors stand in a row, as `ops.calls` has it; so do the places of the dimension, None where a tensor has none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

from fastgru.backends.cpu.ops.calls import FIRST_WEIGHT, Tensors

_Dims = Sequence[int | None]

# Where rows stand in each tensor of one model, with rows first and with steps first.
_ROWS = {"x": (0, 1), "h_0": (1, 1), "reset_state": (1, 1), "lengths": (0, 0), "reset": (0, 1)}


def batched_forward(
    run: Callable[[Tensors, bool], Any], count: int, dims: _Dims, tensors: Tensors, batch_first: bool, saves: bool
) -> tuple[Any, Any]:
    """Output, h_n and what is saved, for tensors with one more dimension, and where that stands in them.

    Args:
        run: the operator: of a row of tensors, and whether it saves.
        count: of the batch.
        dims: where its dimension stands.
        tensors: with it.
        batch_first: of the call.
        saves: whether the backward pass needs anything.
    """
    is_of_many = _is_of_many_models(dims, tensors)
    if not (saves or is_of_many or _are_batched(dims[FIRST_WEIGHT:])):
        fold = _Fold(count, dims, tensors, batch_first)
        output, h_n, saved = run(fold.tensors, False)
        return (fold.unfold("x", output), fold.unfold("h_0", h_n), saved), (0, 0, None)
    results = run(_all_stacked(count, dims, tensors), saves)
    return tuple([_unstacked(result, count, is_of_many) for result in results]), (0, 0, 0)


def batched_backward(
    run: Callable[[Tensors, Tensors, Sequence[bool]], Sequence[Any]],
    count: int,
    all_dims: tuple[_Dims, _Dims],
    outer: Tensors,
    tensors: Tensors,
    batch_first: bool,
    wanted: Sequence[bool],
) -> tuple[list[Any], list[int | None]]:
    """The gradients for tensors with one more dimension, and where that stands in them.

    Args:
        run: the operator: of d_output, d_h_n, output and saved, of a row of tensors, and of which gradients are wanted.
        count: of the batch.
        all_dims: where its dimension stands in `outer`, and in `tensors`.
        outer: the first four of these, with it.
        tensors: with it.
        batch_first: of the call.
        wanted: for each of the gradients.
    """
    outer_dims, dims = all_dims
    is_of_many = _is_of_many_models(dims, tensors)
    places: list[int | None] = [0 if is_one else None for is_one in wanted]
    if not (outer[3] is not None or is_of_many or _are_batched(dims[FIRST_WEIGHT:]) or any(wanted[3:])):
        fold = _Fold(count, dims, tensors, batch_first)
        folded = [fold.fold(n, t, dim) for n, t, dim in zip(("x", "h_0"), outer[:2], outer_dims[:2], strict=True)]
        found = run([*folded, None, None], fold.tensors, wanted)
        names = ("x", "h_0", "reset_state")
        states = [fold.unfold(n, d) if w else d for n, d, w in zip(names, found[:3], wanted[:3], strict=True)]
        reset_state = tensors[2]
        if wanted[2] and reset_state is not None and reset_state.dim() - (dims[2] is not None) == 2:
            states[2] = states[2].sum(2)
        return [*states, *found[3:]], places
    kept = [_stacked(t, dim, count, is_of_many) for t, dim in zip(outer, outer_dims, strict=True)]
    found = run(kept, _all_stacked(count, dims, tensors), wanted)
    return [_unstacked(d, count, is_of_many) if w else d for d, w in zip(found, wanted, strict=True)], places


def batched_second(
    run: Callable[..., Sequence[Tensor | None]],
    count: int,
    tensors: Tensors,
    outer: Tensors,
    given: Tensors,
    batch_first: bool,
) -> list[Tensor | None]:
    """Second gradients of a batch of given ones, which stands in front, where none is of a weight.

    Args:
        run: of outer gradients, given ones and a row of tensors; as `ops.derivatives.second_gradients`.
        count: of the batch.
        tensors: all of them without a batch.
        outer: the outer gradients, likewise.
        given: None but for x and h_0.
        batch_first: of the call.
    """
    fold = _Fold(count, [None] * len(tensors), tensors, batch_first)
    names = ("x", "h_0")
    folded = [fold.fold(name, t, None) for name, t in zip(names, outer, strict=True)]
    moved = [fold.fold(name, t, 0) for name, t in zip(names, given[:2], strict=True)]
    found = run(folded, [*moved, *given[2:]], fold.tensors)
    unfolded = [
        None if t is None else fold.unfold(name, t) for name, t in zip((*names, *names), found[:4], strict=True)
    ]
    return [*unfolded, *found[4:]]


class _Fold:
    """Models of equal weights as one batch of all their rows."""

    def __init__(self, count: int, dims: _Dims, tensors: Tensors, batch_first: bool) -> None:
        self.count, self.rows, self.at = count, _rows_of(dims, tensors, batch_first), 0 if batch_first else 1
        folded = [self.fold(name, t, dim) for name, t, dim in zip(_ROWS, tensors, dims, strict=False)]
        self.tensors = [*folded, *tensors[FIRST_WEIGHT:]]

    def fold(self, name: str, tensor: Tensor | None, dim: int | None) -> Tensor | None:
        if tensor is None:
            return None
        moved = tensor.expand(self.count, *tensor.shape) if dim is None else tensor.movedim(dim, 0)
        if name == "reset_state" and moved.dim() == 3:  # one state for all rows of a model
            moved = moved.unsqueeze(2).expand(-1, -1, self.rows, -1)
        return moved.movedim(0, _ROWS[name][self.at]).flatten(_ROWS[name][self.at], _ROWS[name][self.at] + 1)

    def unfold(self, name: str, tensor: Tensor) -> Tensor:
        """With models in front again."""
        at = _ROWS[name][self.at]
        shape = *tensor.shape[:at], self.count, self.rows, *tensor.shape[at + 1 :]
        return tensor.reshape(shape).movedim(at, 0)


def _rows_of(dims: _Dims, tensors: Tensors, batch_first: bool) -> int:
    """Rows of one model: what x has without the dimension that is batched."""
    shape = list(_x_of(tensors).shape)
    if dims[0] is not None:
        del shape[dims[0]]
    return shape[-3 if batch_first else -2]


def _x_of(tensors: Tensors) -> Tensor:
    x = tensors[0]
    assert x is not None
    return x


def _is_of_many_models(dims: _Dims, tensors: Tensors) -> bool:
    """Whether there is a dimension of models beside the one that is batched."""
    return _x_of(tensors).dim() - (dims[0] is not None) == 4


def _are_batched(dims: _Dims) -> bool:
    return any(dim is not None for dim in dims)


def _all_stacked(count: int, dims: _Dims, tensors: Tensors) -> list[Tensor | None]:
    """The tensors with all their models in front."""
    is_of_many = _is_of_many_models(dims, tensors)
    return [_stacked(tensor, dim, count, is_of_many) for tensor, dim in zip(tensors, dims, strict=True)]


def _stacked(tensor: Tensor | None, dim: int | None, count: int, is_of_many: bool) -> Tensor | None:
    """The tensor with all its models in front, in one dimension."""
    if tensor is None:
        return None
    moved = tensor.expand(count, *tensor.shape) if dim is None else tensor.movedim(dim, 0)
    return moved.flatten(0, 1) if is_of_many else moved


def _unstacked(tensor: Tensor, count: int, was_of_many: bool) -> Tensor:
    return tensor.reshape(count, -1, *tensor.shape[1:]) if was_of_many else tensor
