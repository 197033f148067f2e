"""fastgru: a drop-in replacement for PyTorch's GRU layer, several times faster on a CPU.

Importing this module does not import torch; public names are loaded when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# Public name -> the module that defines it, or is it.
_HOMES = {
    "GRU": "fastgru.nn.gru",
    "GRUCell": "fastgru.nn.cell",
    "GRUSpec": "fastgru.spec",
    "LayerNorm": "fastgru.nn.layer_norm",
    "Linear": "fastgru.nn.linear",
    "StatefulGRU": "fastgru.nn.stateful",
    "Stepper": "fastgru.nn.stepper",
    "convert": "fastgru.convert",
    "cpu_info": "fastgru.levels",
    "errors": "fastgru.errors",
    "explain": "fastgru.explanation",
    "freeze": "fastgru.integrations.frozen_models",
    "functional": "fastgru.functional",
    "last_output": "fastgru.nn.sequence_inputs",
    "load": "fastgru.integrations.saving",
    "onnx": "fastgru.integrations.onnx",
    "opacus": "fastgru.integrations.opacus",
    "patch": "fastgru.integrations.patching",
    "replace": "fastgru.integrations.replacing",
    "replace_gru": "fastgru.integrations.replacing",
    "restore": "fastgru.integrations.replacing",
    "restore_gru": "fastgru.integrations.replacing",
    "runtime": "fastgru.runtime",
    "save": "fastgru.integrations.saving",
    "unfreeze": "fastgru.integrations.frozen_models",
    "use_backend": "fastgru.dispatch",
}

__all__ = [
    "GRU",
    "GRUCell",
    "GRUSpec",
    "LayerNorm",
    "Linear",
    "StatefulGRU",
    "Stepper",
    "__version__",
    "convert",
    "cpu_info",
    "errors",
    "explain",
    "freeze",
    "functional",
    "last_output",
    "load",
    "onnx",
    "opacus",
    "patch",
    "replace",
    "replace_gru",
    "restore",
    "restore_gru",
    "runtime",
    "save",
    "unfreeze",
    "use_backend",
]

if TYPE_CHECKING:
    from fastgru import convert, errors, functional, runtime
    from fastgru.dispatch import use_backend
    from fastgru.explanation import explain
    from fastgru.integrations import onnx, opacus
    from fastgru.integrations.frozen_models import freeze, unfreeze
    from fastgru.integrations.patching import patch
    from fastgru.integrations.replacing import replace, replace_gru, restore, restore_gru
    from fastgru.integrations.saving import load, save
    from fastgru.levels import cpu_info
    from fastgru.nn.cell import GRUCell
    from fastgru.nn.gru import GRU
    from fastgru.nn.layer_norm import LayerNorm
    from fastgru.nn.linear import Linear
    from fastgru.nn.sequence_inputs import last_output
    from fastgru.nn.stateful import StatefulGRU
    from fastgru.nn.stepper import Stepper
    from fastgru.spec import GRUSpec


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'fastgru' has no attribute {name!r}")
    try:
        module = import_module(_HOMES[name])
    except ModuleNotFoundError as missing:
        if missing.name != "torch":
            raise
        from fastgru.errors import missing_extra

        raise missing_extra("torch", "torch", f"fastgru.{name}") from missing
    value = module if module.__name__.endswith(f".{name}") else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
