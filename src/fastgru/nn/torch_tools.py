"""Support for torch's tools: conversion to its classes, torch.fx, dynamic quantization and TorchScript."""

from __future__ import annotations

import warnings
from typing import Any

import torch
import torch.fx
from torch import nn
from torch.jit._script import call_prepare_scriptable_func
from torch.nn.modules import rnn

from fastgru import errors

# Torch's own classes, stored before `fastgru.patch` can replace their names.
STOCK_GRU = rnn.GRU
STOCK_CELL = rnn.GRUCell


def sharing(source: nn.Module, expected: type[nn.Module], target: type[nn.Module]) -> nn.Module:
    """A module of class `target` with the parameters and options of `source`."""
    if not isinstance(source, expected):
        raise TypeError(
            f"got a {type(source).__module__}.{type(source).__name__}, expected a "
            f"{expected.__module__}.{expected.__name__}. For a model with such layers, use fastgru.replace_gru."
        )
    if nn.utils.parametrize.is_parametrized(source):
        raise TypeError(
            f"got a parametrized {type(source).__name__}, whose parameters cannot be shared one by one. "
            "Use fastgru.replace_gru or fastgru.restore_gru, which keep parametrizations."
        )
    options = [
        name for name in ("proj_size", "learn_h0", "state_batch_first", "return_all_layers") if getattr(source, name, 0)
    ]
    options += [] if getattr(source, "reset_after", True) else ["reset_after=False"]
    if options:
        raise TypeError(
            f"got a GRU with {', '.join(options)}, which {target.__module__}.{target.__name__} does not have. Build "
            "the layer without these, or export the model with fastgru.onnx or torch.export."
        )
    if expected is STOCK_CELL or target is STOCK_CELL:
        sizes = (source.input_size, source.hidden_size, source.bias)
        result = target(*sizes, device="meta")
    else:
        names = ("num_layers", "bias", "batch_first", "bidirectional")
        result = target(
            source.input_size,
            source.hidden_size,
            **{name: getattr(source, name) for name in names},
            device="meta",
        )
        result.dropout = source.dropout
    for name in list(result._parameters):
        setattr(result, name, getattr(source, name))
    return result.train(source.training)


def of_class(source: nn.Module, target: type[nn.Module]) -> nn.Module:
    """A module of class `target` with everything that `source` holds, of a subclass that adds nothing to it."""
    result = target.__new__(target)
    vars(result).update(vars(source))
    return result


# -- torch.fx makes leaf nodes only of torch's own modules


def is_symbol(value: object) -> bool:
    """Whether the value is a proxy of `torch.fx`, which is tracing."""
    return isinstance(value, torch.fx.Proxy)


def node(module: nn.Module, arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """Records the module's call as one node of the graph. Arguments that are None are omitted."""
    while arguments and arguments[-1] is None:
        arguments = arguments[:-1]
    tracer = arguments[0].tracer
    given = {name: value for name, value in options.items() if value is not None}
    return tracer.create_proxy("call_module", tracer.path_of_module(module), arguments, given)


# -- dynamic quantization compares exact types, and knows only torch's


class Quantizable:
    """A layer that warns if quantization skips it, which would otherwise go unnoticed.

    Quantization sets `qconfig` on every layer of a model, and to None on those that it does not quantize.
    """

    @property
    def qconfig(self) -> Any:
        """The value that quantization set; missing before."""
        try:
            return vars(self)["_qconfig"]
        except KeyError:
            raise AttributeError("qconfig") from None

    @qconfig.setter
    def qconfig(self, value: Any) -> None:
        if value is None:
            warnings.warn(errors.not_quantized(type(self).__name__), stacklevel=2)
        vars(self)["_qconfig"] = value

    @qconfig.deleter
    def qconfig(self) -> None:
        vars(self).pop("_qconfig", None)


# -- TorchScript: `torch.jit.script` asks modules for a replacement to compile (`__prepare_scriptable__`). A subclass of
# ScriptModule does not ask, so attributes that are set on one are replaced here. Nothing else is changed: a hook on all
# modules would also be called, and traced by torch.compile, in programs without a ScriptModule.


class Scriptable:
    """A layer that torch's own layer replaces in a ScriptModule."""


_set_attribute = torch.jit.ScriptModule.__setattr__


def _set_scriptable(module: torch.jit.ScriptModule, name: str, value: Any) -> None:
    """`ScriptModule.__setattr__`, with torch's layers in place of ours, at any depth."""
    if isinstance(value, nn.Module) and any(isinstance(part, Scriptable) for part in value.modules()):
        value = call_prepare_scriptable_func(value)  # type: ignore[no-untyped-call]
    _set_attribute(module, name, value)


torch.jit.ScriptModule.__setattr__ = _set_scriptable  # type: ignore[method-assign, assignment]
