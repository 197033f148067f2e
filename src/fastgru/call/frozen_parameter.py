"""The parameters of frozen layers (`fastgru.nn.freezing`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter

from fastgru import errors


class FrozenParameter(Parameter):
    """A parameter of a frozen layer: the same object as before, with another class that detects all writes.

    Torch counts writes to a tensor, but not those through `.data`, which has its own version counter. Here `.data`
    shares the parameter's counter and cannot be assigned.
    """

    frozen_by: int  # number of frozen layers with this parameter, which may be tied

    @classmethod
    def __torch_function__(
        cls, func: Callable[..., Any], types: Iterable[type], args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        with torch._C.DisableTorchFunctionSubclass():
            if func == Tensor.data.__get__:  # type: ignore[attr-defined]
                return args[0].detach()
            if func == Tensor.data.__set__ and not _is_same(*args):  # type: ignore[attr-defined]
                raise errors.frozen_write()
            return func(*args, **(kwargs or {}))

    def __deepcopy__(self, memo: dict[int, Any]) -> Parameter:
        copied = memo.get(id(self))
        if copied is None:
            copied = memo[id(self)] = Parameter(self.detach().clone(), self.requires_grad)
        return copied


def _is_same(parameter: Tensor, value: Tensor) -> bool:
    """Whether assigning `.data` changes nothing, as in `layer.to("cpu")` on the CPU."""
    return (
        value.data_ptr() == parameter.data_ptr()
        and value.dtype == parameter.dtype
        and value.device == parameter.device
        and value.shape == parameter.shape
        and value.stride() == parameter.stride()
    )
