"""The path of a row-wise operation: directly to the core, in a form for a follower, or to torch."""

from __future__ import annotations

import enum
from typing import Any

import torch
from torch import Tensor
from torch._functorch.utils import unwrap_dead_wrappers
from torch._subclasses import FakeTensor
from torch._subclasses.functional_tensor import FunctionalTensor
from torch.autograd import forward_ad

from fastgru import dispatch
from fastgru.call import context
from fastgru.call.memory import PLAIN

# What compilers hand to the rules of an operator while they trace it.
_TRACED = {FakeTensor, FunctionalTensor}
DTYPES = (torch.float32, torch.float64)


class Route(enum.Enum):
    """The ways."""

    CORE = "the core, as a node of autograd where gradients are wanted"
    FUNCTION = "an autograd.Function with rules for torch.func"
    OPERATOR = "an operator that compilers and dispatch modes see"
    TORCH = "torch's own function: other devices, dtypes, layouts and tools"


def of(*tensors: object) -> Route:
    """The path of a call on these tensors, of which some may be None; TORCH for other arguments.

    The whole answer; most calls ask `dispatch.is_unwatched` first, which is quicker.
    """
    present = [value for value in tensors if value is not None]
    given = [value for value in present if isinstance(value, Tensor)]
    if len(given) < len(present) or not _are_ours(given):
        return Route.TORCH
    is_transformed = torch._C._are_functorch_transforms_active()
    if torch.compiler.is_compiling():
        return Route.TORCH if is_transformed or context.is_exporting() else Route.OPERATOR
    backend = dispatch.FORCED.get()
    if torch._C._get_tracing_state() is not None or (backend is not None and backend.name != "cpu"):
        return Route.TORCH
    if is_transformed or forward_ad._current_level >= 0:
        return Route.FUNCTION
    kinds = {type(tensor) for tensor in given} - PLAIN
    if kinds - _TRACED:
        return Route.TORCH
    if kinds or torch._C._len_torch_dispatch_stack() > 0:
        return Route.OPERATOR
    # Those of torch's older vmap have no memory.
    return Route.CORE if all(map(torch._C._has_storage, given)) else Route.TORCH


def saved(ctx: Any) -> tuple[Tensor, ...]:
    """What a node saved, without the wrappers of transforms that have ended."""
    return unwrap_dead_wrappers(ctx.saved_tensors)


def _are_ours(tensors: list[Tensor]) -> bool:
    """Whether all are of one dtype that the core has, on the CPU, and plain in memory; autocast would change that."""
    if torch.is_autocast_enabled("cpu"):
        return False
    dtype = tensors[0].dtype if tensors else None
    return dtype in DTYPES and all(
        tensor.dtype is dtype
        and tensor.device.type == "cpu"
        and tensor.layout is torch.strided
        and not tensor.is_nested
        for tensor in tensors
    )
