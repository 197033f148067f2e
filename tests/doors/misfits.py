"""Tensors with wrong values and sizes, and values that are not tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from doors.strange import KINDS, kind

# Values.


def _filled(name: str, value: float) -> None:
    def maker(draw: Any, t: Tensor) -> Tensor:
        made = t.clone()
        made.view(-1)[draw.integer(0, made.numel() - 1)] = value
        return made

    KINDS[name] = maker


for _name, _value in {"with_nan": float("nan"), "with_inf": float("inf"), "with_huge": 1e30, "denormal": 1e-42}.items():
    _filled(_name, _value)


# Shapes.


@kind
def no_dimension(draw: Any, t: Tensor) -> Tensor:
    return t.flatten()[0].clone()


@kind
def one_dimension_more(draw: Any, t: Tensor) -> Tensor:
    return t.unsqueeze(draw.integer(0, t.dim()))


@kind
def one_dimension_less(draw: Any, t: Tensor) -> Tensor:
    return t.select(draw.integer(0, t.dim() - 1), 0)


@kind
def flattened(draw: Any, t: Tensor) -> Tensor:
    return t.flatten()


@kind
def one_size_less(draw: Any, t: Tensor) -> Tensor:
    at = draw.integer(0, t.dim() - 1)
    return t.narrow(at, 0, t.shape[at] - 1)


@kind
def one_size_more(draw: Any, t: Tensor) -> Tensor:
    at = draw.integer(0, t.dim() - 1)
    return torch.cat([t, t.narrow(at, 0, 1)], at)


@kind
def size_of_zero(draw: Any, t: Tensor) -> Tensor:
    return t.narrow(draw.integer(0, t.dim() - 1), 0, 0)


@kind
def wild_size(draw: Any, t: Tensor) -> Tensor:
    at = draw.integer(0, t.dim() - 1)
    sizes = list(t.shape)
    sizes[at] = 2 ** draw.one_of(31, 40, 50, 58)
    return t.narrow(at, 0, 1).expand(sizes)


@kind
def nothing_at_all(draw: Any, t: Tensor) -> Tensor:
    return torch.tensor([], dtype=t.dtype)


# No tensors.

KINDS["none"] = lambda draw, t: None
KINDS["integer"] = lambda draw, t: draw.one_of(0, 1, -1, 2**70)
KINDS["fraction"] = lambda draw, t: 0.5
KINDS["text"] = lambda draw, t: "abc"
KINDS["nested_lists"] = lambda draw, t: t.tolist()
KINDS["pair"] = lambda draw, t: (t, t)
KINDS["list_of_one"] = lambda draw, t: [t]
KINDS["mapping"] = lambda draw, t: {"data": t}
KINDS["class_itself"] = lambda draw, t: Tensor
KINDS["numpy_array"] = lambda draw, t: t.numpy()
KINDS["numpy_number"] = lambda draw, t: np.float32(1.5)
KINDS["storage"] = lambda draw, t: t.untyped_storage()
KINDS["true"] = lambda draw, t: True
