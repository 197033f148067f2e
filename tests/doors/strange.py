"""Strange tensors, and values that are not tensors, each made from a usual tensor of the right shape.

A maker gets the draw of the case and the usual tensor, whose values it may change. It raises if torch does not support
the kind.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

Maker = Callable[[Any, Tensor], Any]
KINDS: dict[str, Maker] = {}
# What torch itself leaves undefined: nobody may crash that has a choice, and no more is asked.
UNDEFINED = {"shrunk_storage", "stale_numpy_owner"}


def kind(maker: Maker) -> Maker:
    """Adds a maker under its own name."""
    KINDS[maker.__name__] = maker
    return maker


# Layouts: the same values elsewhere.


@kind
def transposed(draw: Any, t: Tensor) -> Tensor:
    return t.transpose(0, -1).contiguous().transpose(0, -1)


@kind
def gaps(draw: Any, t: Tensor) -> Tensor:
    return torch.stack([t, t], dim=-1)[..., draw.integer(0, 1)]


@kind
def offset(draw: Any, t: Tensor) -> Tensor:
    flat = torch.zeros(t.numel() + 3, dtype=t.dtype)
    flat[3:] = t.flatten()
    return flat[3:].view(t.shape)


@kind
def unaligned(draw: Any, t: Tensor) -> Tensor:
    raw = torch.zeros(t.numel() * t.element_size() + 1, dtype=torch.uint8)
    raw[1:] = t.contiguous().flatten().view(torch.uint8)
    return torch.frombuffer(raw.numpy(), dtype=t.dtype, offset=1).view(t.shape)


@kind
def expanded(draw: Any, t: Tensor) -> Tensor:
    at = draw.integer(0, t.dim() - 1)
    return t.narrow(at, 0, 1).expand(t.shape)


@kind
def one_number(draw: Any, t: Tensor) -> Tensor:
    return t.flatten()[0].expand(t.shape)


@kind
def overlapping(draw: Any, t: Tensor) -> Tensor:
    return t.contiguous().as_strided(t.shape, (1,) * t.dim())


@kind
def rows_in_a_wider_tensor(draw: Any, t: Tensor) -> Tensor:
    return torch.cat([t, t], dim=-1)[..., : t.shape[-1]]


@kind
def negated_view(draw: Any, t: Tensor) -> Tensor:
    return torch._neg_view(-t)


@kind
def imaginary_of_conjugate(draw: Any, t: Tensor) -> Tensor:
    return torch.complex(t, -t).conj().imag


@kind
def lazily_cloned(draw: Any, t: Tensor) -> Tensor:
    return torch._lazy_clone(t)


# Memory: somebody else's, or none.


@kind
def zero_tensor(draw: Any, t: Tensor) -> Tensor:
    return torch._efficientzerotensor(t.shape, dtype=t.dtype)


@kind
def zero_gradient(draw: Any, t: Tensor) -> Tensor:
    with torch.enable_grad(), torch.inference_mode(False):
        leaf = t.detach().clone().requires_grad_()
        return torch.autograd.grad(torch.sgn(leaf).sum(), leaf)[0]


@kind
def transposed_zero_tensor(draw: Any, t: Tensor) -> Tensor:
    return zero_tensor(draw, t.transpose(0, -1)).transpose(0, -1)


@kind
def freed_storage(draw: Any, t: Tensor) -> Tensor:
    made = t.clone()
    made.untyped_storage().resize_(0)
    return made


@kind
def shrunk_storage(draw: Any, t: Tensor) -> Tensor:
    made = t.clone()
    made.untyped_storage().resize_(t.element_size())
    return made


@kind
def shared_memory(draw: Any, t: Tensor) -> Tensor:
    return t.clone().share_memory_()


@kind
def mapped_file(draw: Any, t: Tensor) -> Tensor:
    handle, path = tempfile.mkstemp()
    os.close(handle)
    try:
        made = torch.from_file(path, shared=True, size=t.numel(), dtype=t.dtype).view(t.shape)
    finally:
        os.unlink(path)
    return made.copy_(t)


@kind
def read_only_numpy(draw: Any, t: Tensor) -> Tensor:
    array = t.numpy().copy()
    array.setflags(write=False)
    return torch.from_numpy(array)


@kind
def inference_tensor(draw: Any, t: Tensor) -> Tensor:
    with torch.inference_mode():
        return t.clone()


@kind
def empty_storage_of_meta(draw: Any, t: Tensor) -> Tensor:
    return t.to("meta")


@kind
def cleared(draw: Any, t: Tensor) -> Tensor:
    made = t.clone()
    made.data = torch.empty(0, dtype=t.dtype)
    return made


# Autograd and transforms.


@kind
def leaf_with_gradient(draw: Any, t: Tensor) -> Tensor:
    return t.detach().clone().requires_grad_()


@kind
def result_with_gradient(draw: Any, t: Tensor) -> Tensor:
    with torch.enable_grad():
        return t.detach().clone().requires_grad_() * 1


@kind
def view_of_leaf(draw: Any, t: Tensor) -> Tensor:
    with torch.enable_grad():
        return t.detach().clone().requires_grad_().view(t.shape)


@kind
def one_of_unbound(draw: Any, t: Tensor) -> Tensor:
    with torch.enable_grad():
        return torch.stack([t.detach(), t.detach()]).requires_grad_().unbind(0)[1]


@kind
def parameter(draw: Any, t: Tensor) -> Tensor:
    return nn.Parameter(t.clone())


@kind
def buffer(draw: Any, t: Tensor) -> Tensor:
    return nn.Buffer(t.clone())


@kind
def uninitialized_parameter(draw: Any, t: Tensor) -> Tensor:
    return nn.UninitializedParameter()


@kind
def leaked_batched(draw: Any, t: Tensor) -> Tensor:
    kept: list[Tensor] = []
    torch.vmap(lambda one: kept.append(one) or one)(t.unsqueeze(0))
    return kept[0]


@kind
def leaked_gradient_wrapper(draw: Any, t: Tensor) -> Tensor:
    kept: list[Tensor] = []
    torch.func.grad(lambda one: (kept.append(one), one.sum())[1])(t)
    return kept[0]


@kind
def functional_wrapper(draw: Any, t: Tensor) -> Tensor:
    return torch._to_functional_tensor(t)


# Types, devices and layouts that have kernels of their own.


def _cast(name: str) -> None:
    def maker(draw: Any, t: Tensor) -> Tensor:
        return t.to(getattr(torch, name))

    KINDS[f"of_{name}"] = maker


for _name in (
    *("float64", "float32", "float16", "bfloat16", "complex32", "complex64", "complex128", "bool"),
    *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz", "float8_e8m0fnu"),
):
    if hasattr(torch, _name):
        _cast(_name)


@kind
def conjugate(draw: Any, t: Tensor) -> Tensor:
    return torch.complex(t, t).conj()


@kind
def quantized(draw: Any, t: Tensor) -> Tensor:
    return torch.quantize_per_tensor(t.float(), 0.1, 0, torch.qint8)


@kind
def quantized_by_channel(draw: Any, t: Tensor) -> Tensor:
    n = t.shape[-1]
    return torch.quantize_per_channel(t.float(), torch.ones(n), torch.zeros(n), t.dim() - 1, torch.quint8)


@kind
def sparse(draw: Any, t: Tensor) -> Tensor:
    return t.to_sparse()


@kind
def sparse_rows(draw: Any, t: Tensor) -> Tensor:
    return t.to_sparse_csr()


@kind
def mkldnn(draw: Any, t: Tensor) -> Tensor:
    return t.to_mkldnn()


@kind
def nested(draw: Any, t: Tensor) -> Tensor:
    return torch.nested.nested_tensor(list(t.unbind(0)))


@kind
def jagged(draw: Any, t: Tensor) -> Tensor:
    return torch.nested.nested_tensor(list(t.unbind(0)), layout=torch.jagged)
