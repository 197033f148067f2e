"""The three sides of a case: our layers, torch's, and our reference, which uses torch's operators step by step."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn

import fastgru
from doors.draw import Draw

OURS, STOCK, REFERENCE = "ours", "stock", "reference"


class Side:
    """Runs an entrance for one of the three.

    Attributes:
        name: which one.
        found: what came out so far, by name; an entrance adds to it as it goes, so an error later on loses nothing.
        left: what the case left behind for those that follow, in words.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.found: dict[str, Any] = {}
        self.left = ""

    @property
    def is_stock(self) -> bool:
        return self.name == STOCK

    def build(self, draw: Draw, kind: str, *sizes: int, **options: Any) -> nn.Module:
        """A layer whose numbers are the same on every side."""
        layer: nn.Module = getattr(nn if self.is_stock else fastgru, kind)(*sizes, **options)
        with torch.no_grad():
            for parameter in layer.parameters():
                parameter.copy_(0.4 * draw.normal(*parameter.shape))
        return layer

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        with fastgru.use_backend("reference") if self.name == REFERENCE else contextlib.nullcontext():
            yield


def put_strange_weight(draw: Draw, layer: nn.Module) -> None:
    """Perhaps puts something strange where a weight was, by one of the ways that users have."""
    name = draw.one_of(*[name for name, _ in layer.named_parameters() if "." not in name])
    way = draw.one_of(*_WAYS)
    usual = getattr(layer, name).detach().clone()
    made = draw.strange("weight", usual, share=0.25)
    if made is not usual:
        draw.note(f"of {name} by {way}")
        _WAYS[way](layer, name, made)


def _as_parameter(layer: nn.Module, name: str, made: Any) -> None:
    is_number = isinstance(made, torch.Tensor) and (made.is_floating_point() or made.is_complex())
    is_made = made is None or isinstance(made, nn.Parameter)
    setattr(layer, name, made if is_made else nn.Parameter(made, requires_grad=is_number))


def _as_data(layer: nn.Module, name: str, made: Any) -> None:
    if not made.is_nested:  # of such a parameter every Function of torch's dies
        getattr(layer, name).data = made


def _as_attribute(layer: nn.Module, name: str, made: Any) -> None:
    """As parametrizations and weight_norm do it: what lies there is no parameter."""
    delattr(layer, name)
    setattr(layer, name, made)


_WAYS: dict[str, Callable[[nn.Module, str, Any], None]] = {
    "parameter": _as_parameter,
    "data": _as_data,
    "attribute": _as_attribute,
}
