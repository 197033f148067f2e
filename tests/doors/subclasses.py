"""Tensor subclasses."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map_only

from doors.strange import kind


class Plain(Tensor):
    """A class with nothing in it."""


class Silent(Tensor):
    """A class whose results are tensors."""

    __torch_function__ = torch._C._disabled_torch_function_impl


class Observing(Tensor):
    """A class that looks at each operator."""

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return super().__torch_function__(func, types, args, kwargs or {})


class Refusing(Tensor):
    """A class that takes part in nothing."""

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "__name__", "") in ("__get__", "dim", "detach", "clone"):
            return super().__torch_function__(func, types, args, kwargs or {})
        raise NotImplementedError("this class takes part in nothing")


class Wrapper(Tensor):
    """A class without memory of its own: it holds the tensor that has it."""

    inner: Tensor

    @staticmethod
    def __new__(cls, inner: Tensor) -> Any:
        return Tensor._make_wrapper_subclass(
            cls, inner.shape, strides=inner.stride(), dtype=inner.dtype, device=inner.device
        )

    def __init__(self, inner: Tensor) -> None:
        self.inner = inner

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        args, kwargs = tree_map_only(Wrapper, lambda one: one.inner, (args, kwargs or {}))
        return tree_map_only(Tensor, Wrapper, func(*args, **kwargs))


class Watching(Tensor):
    """A class with memory of its own that sees each operator of torch's core."""

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        args, kwargs = tree_map_only(Watching, lambda one: one.as_subclass(Tensor), (args, kwargs or {}))
        return func(*args, **kwargs)


@kind
def subclass(draw: Any, t: Tensor) -> Tensor:
    return t.as_subclass(Plain)


@kind
def subclass_without_torch_function(draw: Any, t: Tensor) -> Tensor:
    return t.as_subclass(Silent)


@kind
def subclass_observing(draw: Any, t: Tensor) -> Tensor:
    return t.as_subclass(Observing)


@kind
def subclass_refusing(draw: Any, t: Tensor) -> Tensor:
    return t.as_subclass(Refusing)


@kind
def wrapper_subclass(draw: Any, t: Tensor) -> Tensor:
    return Wrapper(t)


@kind
def subclass_watching(draw: Any, t: Tensor) -> Tensor:
    return Tensor._make_subclass(Watching, t)


@kind
def fake(draw: Any, t: Tensor) -> Tensor:
    from torch._subclasses.fake_tensor import FakeTensorMode

    return FakeTensorMode().from_tensor(t)


@kind
def masked(draw: Any, t: Tensor) -> Tensor:
    return torch.masked.masked_tensor(t, torch.ones_like(t, dtype=torch.bool))


@kind
def lookalike(draw: Any, t: Tensor) -> Any:
    """Something with the attributes of a tensor that is none."""

    class Lookalike:
        shape, dtype, device, is_cpu, requires_grad, is_nested = t.shape, t.dtype, t.device, True, False, False

        def dim(self) -> int:
            return t.dim()

        def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
            return t.numpy()

    return Lookalike()
