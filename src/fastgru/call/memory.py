"""Tensors as a call may read them: with memory that stays valid, even if others change the caller's tensors."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter

from fastgru import _core, errors
from fastgru.call.frozen_parameter import FrozenParameter

# Tensors that are no more than their values: no subclass that has its own ways.
PLAIN = frozenset({Tensor, Parameter, torch.nn.Buffer, FrozenParameter})

_DTYPES = ("float32", "float64", "bfloat16", "float16")


def _library_of_torch() -> ctypes.CDLL:
    """A library in which torch's C functions are found: on Windows their own, elsewhere one that needs it."""
    is_windows = sys.platform == "win32"
    return ctypes.CDLL(str(Path(torch.__file__).parent / "lib/torch_cpu.dll") if is_windows else torch._C.__file__)


def _functions_of_torch() -> tuple[list[int], list[int], Any, bool] | tuple[None, None, None, bool]:
    """What the core makes tensors with, where this torch has it; else it calls `torch.empty`, which takes longer.

    Returns:
        Three addresses of torch's C interface, its numbers of types, a function from a capsule with a handle to a
        tensor, and whether that leaves the handle behind (it does in torch 2.13, whatever its name says).
    """
    try:
        library = _library_of_torch()
        names = ("aoti_torch_empty_strided", "aoti_torch_get_data_ptr", "aoti_torch_delete_tensor_object")
        addresses = [ctypes.cast(getattr(library, name), ctypes.c_void_p).value or 0 for name in names]
        dtypes = [int(getattr(library, f"aoti_torch_dtype_{name}")()) for name in _DTYPES]
        from_capsule = torch._C._aoti.alloc_tensor_by_stealing_from_void_ptr
        probe = torch.zeros(1, device="cpu")
        owners = probe._use_count()  # type: ignore[attr-defined]
        is_tensor = type(from_capsule(torch._C._aoti.unsafe_alloc_void_ptr_from_tensor(probe))) is Tensor
        keeps_handle = probe._use_count() > owners  # type: ignore[attr-defined]
    except (AttributeError, OSError, TypeError):
        is_tensor = False
    return (addresses, dtypes, from_capsule, keeps_handle) if is_tensor else (None, None, None, False)


_core.load_tensors((Tensor, Parameter, FrozenParameter), *_functions_of_torch())


def taken(name: str, tensor: Tensor, shape: Sequence[int] | None = None, dtype: torch.dtype | None = None) -> Tensor:
    """An alias of the tensor as it is now, which belongs to the call: other threads cannot change its memory.

    Args:
        name: for the words of an error.
        tensor: on the CPU.
        shape: what it must have, which was looked at before but may have changed since; None: any.
        dtype: likewise.

    Raises:
        OperandError: it is sparse, or its memory was released.
        ShapeError: it has another shape by now.
    """
    if not torch._C._has_storage(tensor):
        raise errors.no_memory(name)
    own = tensor.detach()
    if type(own) is not Tensor:
        if type(own).__torch_dispatch__ is not Tensor.__torch_dispatch__:
            raise errors.no_memory(name)  # such a class keeps its values elsewhere
        own = own.as_subclass(Tensor)
    if own.layout is not torch.strided:
        raise errors.layout(name, own.layout)
    if shape is not None and own.shape != tuple(shape):
        raise errors.changed_meanwhile(name, tuple(own.shape), tuple(shape))
    if dtype is not None and own.dtype is not dtype:
        raise errors.changed_meanwhile(name, own.dtype, dtype)
    if is_wrapper(name, own):
        raise errors.no_memory(name)
    if own._is_zerotensor():
        own = own.clone()  # zeros that torch has not written down
    return own.resolve_neg() if own.is_neg() else own


def is_wrapper(name: str, tensor: Tensor) -> bool:
    """Whether a strided tensor has no values of its own, as the wrappers have that torch's transforms hand out.

    Raises:
        OperandError: its memory was released, or is too small. (Torch's operators do not always look.)
    """
    if not torch._C._has_storage(tensor) or torch._is_functional_tensor(tensor):
        if isinstance(tensor, Parameter):  # `.data` was set to a wrapper: torch's operators may die of it
            raise errors.no_memory(name)
        return True
    check_memory(name, tensor)
    return False


def check_memory(name: str, tensor: Tensor) -> None:
    """Raises if a tensor on the CPU lacks memory for its values: torch's operators do not always check.

    Raises:
        OperandError: the memory was released, or is too small.
    """
    if torch.compiler.is_compiling() or type(tensor) not in PLAIN:
        return
    if tensor.layout is not torch.strided or tensor.is_nested or not tensor.is_cpu:
        return
    if not torch._C._has_storage(tensor) or torch._is_functional_tensor(tensor) or tensor._is_zerotensor():
        return
    reached = _bytes_reached(tensor)
    if reached > tensor.untyped_storage().nbytes() or (reached > 0 and tensor.data_ptr() == 0):
        raise errors.no_memory(name)


def check_values(name: str, tensor: Tensor) -> None:
    """Raises if torch's operators may crash on a tensor outside of all transforms: they do not always check.

    Raises:
        OperandError: the memory was released, or a parameter's `.data` was set to a wrapper.
    """
    is_block = type(tensor) in PLAIN and tensor.layout is torch.strided and tensor.is_cpu
    is_inside = torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active()
    if is_block and not is_inside and is_wrapper(name, tensor):
        raise errors.no_memory(name)


def is_counted(tensor: Tensor) -> bool:
    """Whether torch counts the writes to a tensor: not to one that was made in inference mode."""
    try:
        return tensor._version >= 0
    except RuntimeError:
        return False


def clone(name: str, tensor: Tensor) -> Tensor:
    """A copy that autograd follows; an error where there is nothing to copy, as of `check_memory`."""
    check_memory(name, tensor)
    return tensor.clone()


def _bytes_reached(tensor: Tensor) -> int:
    """From the beginning of the tensor's memory to the end of its last value."""
    if tensor.numel() == 0:
        return 0
    last = sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True))
    return (int(tensor.storage_offset()) + last + 1) * tensor.itemsize


def dense(name: str, tensor: Tensor, shape: Sequence[int] | None = None, dtype: torch.dtype | None = None) -> Tensor:
    """The same values, row-major without gaps; arguments and errors as of `taken`."""
    return taken(name, tensor, shape, dtype).contiguous()


def vectors(name: str, tensor: Tensor, shape: Sequence[int] | None = None, dtype: torch.dtype | None = None) -> Tensor:
    """The same values, with those of the last dimension side by side; other strides as they are."""
    own = taken(name, tensor, shape, dtype)
    return own if own.stride(-1) == 1 or own.shape[-1] <= 1 else own.contiguous()
