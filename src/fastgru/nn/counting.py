"""Support for packages that count operations by the exact class of layers: thop, ptflops and calflops.

Each has a table of hooks by class. When one of them is imported, our classes get the hooks of torch's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from fastgru.importing import Change

_Hook = Callable[..., None]
_LAYERS: dict[type[nn.Module], type[nn.Module]] = {}  # ours, and torch's in its place


def register(ours: type[nn.Module], stock: type[nn.Module]) -> None:
    """Makes packages count `ours` like `stock`, whether they are imported before or later."""
    _LAYERS[ours] = stock
    for table in _TABLES:
        table.turn_on()


class _Table(Change):
    """A table of hooks, which run after a layer's call and add to a count that the layer keeps."""

    def __init__(self, module: str, name: str) -> None:
        super().__init__(module)
        self._name = name

    def make(self, module: Any) -> None:
        table = getattr(module, self._name, {})
        for ours, stock in _LAYERS.items():
            hook = table.get(stock) or table.get(ours)  # of ours, where the package was imported under `patch`
            if hook is not None and not isinstance(hook, _ForOurs):
                table[stock], table[ours] = hook, _ForOurs(hook, stock)


class _Operators(Change):
    """A table of operators: of each, what a call costs in multiplications."""

    def make(self, module: Any) -> None:
        from fastgru.backends.cpu import ops

        assert ops  # has made the operator
        module.ATEN_OPS_MAPPING[torch.ops.fastgru.forward] = _multiplications


def _multiplications(arguments: tuple[Any, ...], _: object) -> int:
    """Of `fastgru.ops.forward`: each weight once a step and row, biases too, as for a Linear."""
    x, _, _, weights, *_ = arguments
    multiplications: int = x.shape[:-1].numel() * sum(weight.numel() for weight in weights)
    return multiplications


class _ForOurs:
    """A hook for torch's layer, called with ours: some look at the class again."""

    def __init__(self, hook: _Hook, stock: type[nn.Module]) -> None:
        self._hook, self._stock = hook, stock

    def __call__(self, layer: nn.Module, *call: Any) -> None:
        named = getattr(nn, self._stock.__name__)  # under `patch` this is our class
        self._hook(layer if isinstance(layer, named) else _seen_as(self._stock, layer), *call)


def _seen_as(stock: type[nn.Module], layer: nn.Module) -> nn.Module:
    """The layer in torch's class; whatever is written to it is written to the layer."""
    seen: nn.Module = object.__new__(stock)
    seen.__dict__ = layer.__dict__
    return seen


_TABLES = (
    _Table("thop.profile", "register_hooks"),
    _Table("ptflops.pytorch_ops", "MODULES_MAPPING"),
    _Table("calflops.pytorch_ops", "MODULE_HOOK_MAPPING"),
    _Operators("ptflops.aten_ops"),
)
