"""Gradients by recording the operators that compute the layer, for cases without rules of ours.

These are the batched gradients of `is_grads_batched=True` and `vectorize=True`, which are tensors without memory that
do not support rules of functions, and sequences of a few steps, for which recording is faster.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from fastgru.backends import aten, reference
from fastgru.backends.cpu.ops import calls
from fastgru.call.request import Call

_Maybe = Tensor | None


def are_plain(tensors: Sequence[_Maybe]) -> bool:
    """Whether all have memory of their own, or batches that functions have rules for."""
    return torch._C._are_functorch_transforms_active() or all(t is None or torch._C._has_storage(t) for t in tensors)


def still_wanted(ctx: Any, weights: int, is_exact: bool = False) -> list[bool]:
    """Which of the gradients that a node may be asked for the backward pass that runs now takes.

    `torch.autograd.grad` of one tensor takes only those on the way to it, which `ctx.needs_input_grad` does not tell.

    Args:
        ctx: of the node.
        weights: the place of the first weight; to the last input, they are found together: all, or none.
        is_exact: whether leaves are asked too, which takes 15 us where the answer is yes; otherwise those that are no
            weights are taken to be wanted.
    """
    nodes = iter([node for node, _ in ctx.next_functions if node is not None])
    wanted = [is_one and _is_executed(next(nodes), is_exact) for is_one in ctx.needs_input_grad[:weights]]
    of_weights = ctx.needs_input_grad[weights:]
    is_one_wanted = any(_is_executed(node, is_exact=True) for node in nodes)
    return [*wanted, *(of_weights if is_one_wanted else [False] * len(of_weights))]


def _is_executed(node: Any, is_exact: bool) -> bool:
    if not is_exact and type(node) is _LEAF:
        return True
    try:
        return torch._C._will_engine_execute_node(node)
    except RuntimeError:  # what torch says of a leaf whose gradient was asked for
        return True


# The class of nodes that gather the gradient of a leaf.
_LEAF: type = type(torch.autograd.graph.get_gradient_edge(torch.ones((), requires_grad=True)).node)


def through(
    run: Callable[..., Sequence[_Maybe]], given: Sequence[Any], outer: Sequence[_Maybe], wanted: Sequence[bool]
) -> list[_Maybe]:
    """The gradients of all that `run` is given, where those of its results are `outer`; None where not wanted.

    Fresh aliases of what is given keep paths between them out of it: an input may have been computed from a weight.
    """
    creates_graph = torch.is_grad_enabled()
    with torch.enable_grad():
        aliases = _aliases(given, wanted)
        return _found(run(*aliases), aliases, outer, wanted, creates_graph)


def gradients(call: Call, outer: Sequence[_Maybe], wanted: Sequence[bool]) -> list[_Maybe]:
    """The gradients of the call's inputs; None where not wanted.

    Args:
        call: of one model.
        outer: the gradients of output and h_n, at least one of them.
        wanted: for each of the inputs.
    """
    is_atens = call.sequences.reset is None and call.spec.reset_after
    backend = aten.BACKEND if is_atens else reference.BACKEND
    request = calls.request_of(call)
    return through(lambda *t: backend.run(request, call.with_inputs(*t)), call.inputs, outer, wanted)


def second_gradients(
    call: Call, outer: Sequence[_Maybe], wanted: Sequence[bool], given: Sequence[_Maybe], asked: Sequence[bool]
) -> list[_Maybe]:
    """As `ops.derivatives.second_gradients`, with `asked` for d_output and d_h_n in front too."""

    def run(d_output: _Maybe, d_h_n: _Maybe, *inputs: Any) -> list[_Maybe]:
        return gradients(call.with_inputs(*inputs), (d_output, d_h_n), wanted)

    return through(run, (*outer, *call.inputs), given, asked)


def _aliases(tensors: Sequence[Any], wanted: Sequence[bool]) -> list[Any]:
    """Tensors that autograd can tell from all others, with gradients where these are wanted."""

    def alias(tensor: Any, is_wanted: bool) -> Any:
        if not isinstance(tensor, Tensor) or not tensor.is_floating_point():
            return tensor
        return tensor.view_as(tensor) if tensor.requires_grad else tensor.detach().requires_grad_(is_wanted)

    return [alias(tensor, is_wanted) for tensor, is_wanted in zip(tensors, wanted, strict=True)]


def _found(
    results: Sequence[_Maybe],
    aliases: Sequence[_Maybe],
    outer: Sequence[_Maybe],
    wanted: Sequence[bool],
    creates_graph: bool,
) -> list[_Maybe]:
    pairs = [(r, d) for r, d in zip(results, outer, strict=True) if r is not None and d is not None]
    asked = [t for t, is_one in zip(aliases, wanted, strict=True) if is_one and t is not None]
    found = iter(
        torch.autograd.grad(
            [r for r, _ in pairs], asked, [d for _, d in pairs], create_graph=creates_graph, allow_unused=True
        )
    )
    return [next(found) if is_one and t is not None else None for t, is_one in zip(aliases, wanted, strict=True)]
