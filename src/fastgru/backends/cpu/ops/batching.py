"""The operators' rules for inputs with one more dimension."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

from torch import Tensor

from fastgru.backends.cpu.ops.inputs import Inputs


def _stacked(tensor: Tensor | None, dim: int | None, count: int, is_side_by_side: bool) -> Tensor | None:
    """The tensor with all its models in front, in one dimension."""
    if tensor is None:
        return None
    moved = tensor.expand(count, *tensor.shape) if dim is None else tensor.movedim(dim, 0)
    return moved.flatten(0, 1) if is_side_by_side else moved


def _all_stacked(count: int, dims: Inputs, own: Inputs) -> Inputs:
    """Inputs side by side."""
    was = own.x.dim() - (dims.x is not None) == 4

    def stacked(tensor: Tensor | None, dim: Any) -> Tensor | None:
        return _stacked(tensor, dim, count, was)

    weights = [stacked(weight, dim) for weight, dim in zip(own.weights, dims.weights, strict=True)]
    x, h_0, reset_state = map(stacked, own[:3], dims[:3])
    lengths, reset = stacked(own.lengths, dims.lengths), stacked(own.reset, dims.reset)
    return Inputs(cast("Tensor", x), h_0, reset_state, cast("list[Tensor]", weights), lengths, reset, *own[6:])


def _unstacked(tensor: Tensor, count: int, was_side_by_side: bool) -> Tensor:
    return tensor.reshape(count, -1, *tensor.shape[1:]) if was_side_by_side else tensor


# Where rows stand in each tensor of one model, with rows first and with steps first.
_ROWS = {"x": (0, 1), "h_0": (1, 1), "reset_state": (1, 1), "lengths": (0, 0), "reset": (0, 1)}


class _Fold:
    """Models of equal weights as one batch of all their rows."""

    def __init__(self, count: int, own: Inputs, dims: Inputs) -> None:
        self.count, self.rows, self.at = count, _rows_of(own, dims), 0 if own.batch_first else 1
        folded: dict[str, Any] = {name: self.fold(name, getattr(own, name), getattr(dims, name)) for name in _ROWS}
        self.inputs = own._replace(**folded)

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


def _are_batched(dims: Any) -> bool:
    return any(dim is not None for dim in dims)


def _rows_of(own: Inputs, dims: Inputs) -> int:
    """Rows of one model: what x has without the dimension that is batched."""
    shape = list(own.x.shape)
    if dims.x is not None:
        del shape[dims.x]
    return shape[-3 if own.batch_first else -2]


def batched_forward(call: Callable[..., Any], count: int, dims: Inputs, own: Inputs, saves: bool) -> tuple[Any, Any]:
    """Results of `call`, the operator, for inputs with one more dimension, and where that stands in them."""
    is_side_by_side = own.x.dim() - (dims.x is not None) == 4
    if not (saves or is_side_by_side or _are_batched(dims.weights)):
        fold = _Fold(count, own, dims)
        output, h_n, saved = call(*fold.inputs, False)
        return (fold.unfold("x", output), fold.unfold("h_0", h_n), saved), (0, 0, None)
    results = call(*_all_stacked(count, dims, own), saves)
    return tuple([_unstacked(result, count, is_side_by_side) for result in results]), (0, 0, 0)


def batched_backward(
    call: Callable[..., Any], count: int, outer_dims: Sequence[int | None], dims: Inputs, *arguments: Any
) -> tuple[list[Tensor], list[int | None]]:
    """The same for `backward`; `outer_dims` are those of its first four arguments."""
    outer, saved = arguments[:4], arguments[3]
    *inputs, wanted = arguments[4:]
    own = Inputs(*inputs)
    is_side_by_side = own.x.dim() - (dims.x is not None) == 4
    places: list[int | None] = [0 if is_one else None for is_one in wanted]
    if not (saved is not None or is_side_by_side or _are_batched(dims.weights) or any(wanted[3:])):
        fold = _Fold(count, own, dims)
        folded = [fold.fold(n, t, dim) for n, t, dim in zip(("x", "h_0"), outer[:2], outer_dims[:2], strict=True)]
        found = call(*folded, None, None, *fold.inputs, wanted)
        names = ("x", "h_0", "reset_state")
        states = [fold.unfold(n, d) if w else d for n, d, w in zip(names, found[:3], wanted[:3], strict=True)]
        if wanted[2] and own.reset_state is not None and own.reset_state.dim() - (dims.reset_state is not None) == 2:
            states[2] = states[2].sum(2)
        return [*states, *found[3:]], places
    kept = [_stacked(t, dim, count, is_side_by_side) for t, dim in zip(outer, outer_dims, strict=True)]
    found = call(*kept, *_all_stacked(count, dims, own), wanted)
    return [_unstacked(d, count, is_side_by_side) if w else d for d, w in zip(found, wanted, strict=True)], places


def batched_second(
    run: Callable[..., Sequence[Tensor | None]],
    count: int,
    own: Inputs,
    outer: Sequence[Tensor | None],
    given: Sequence[Tensor | None],
) -> list[Tensor | None]:
    """Second gradients of a batch of given ones, which stands in front, where none is of a weight.

    Args:
        run: of outer gradients, given ones and inputs; as `ops.derivatives.second_gradients`.
        count: of the batch.
        own: the inputs, all of them without a batch.
        outer: the outer gradients, likewise.
        given: None but for x and h_0.
    """
    fold = _Fold(count, own, Inputs(None, None, None, [], None, None, *own[6:]))  # type: ignore[arg-type]
    names = ("x", "h_0")
    folded = [fold.fold(name, t, None) for name, t in zip(names, outer, strict=True)]
    moved = [fold.fold(name, t, 0) for name, t in zip(names, given[:2], strict=True)]
    found = run(folded, [*moved, *given[2:]], fold.inputs)
    unfolded = [
        None if t is None else fold.unfold(name, t) for name, t in zip((*names, *names), found[:4], strict=True)
    ]
    return [*unfolded, *found[4:]]
