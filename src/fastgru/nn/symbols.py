"""Layers as nodes of a graph that `torch.fx` draws: it takes torch's own modules for such, and no others."""

from __future__ import annotations

from typing import Any

import torch.fx
from torch import nn


def is_symbol(value: object) -> bool:
    """Whether `torch.fx` is tracing, and this is what it traces with."""
    return isinstance(value, torch.fx.Proxy)


def node(module: nn.Module, arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """The module's call as one node of the graph; arguments that are None stand for defaults and are left out."""
    while arguments and arguments[-1] is None:
        arguments = arguments[:-1]
    tracer = arguments[0].tracer
    given = {name: value for name, value in options.items() if value is not None}
    return tracer.create_proxy("call_module", tracer.path_of_module(module), arguments, given)
