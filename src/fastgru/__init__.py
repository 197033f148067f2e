"""fastgru: the GRU layer of PyTorch, number for number, several times faster on a CPU.

Importing this module imports no torch; each public name brings what it needs when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# Public name -> the module that defines it, or is it.
_HOMES = {
    "GRU": "fastgru.nn",
    "GRUCell": "fastgru.cell",
    "GRUSpec": "fastgru.spec",
    "StatefulGRU": "fastgru.stateful",
    "Stepper": "fastgru.streaming",
    "convert": "fastgru.convert",
    "cpu_info": "fastgru.levels",
    "errors": "fastgru.errors",
    "explain": "fastgru.explanation",
    "functional": "fastgru.functional",
    "last_output": "fastgru.layouts",
    "onnx": "fastgru.onnx",
    "opacus": "fastgru.opacus",
    "patch": "fastgru.patching",
    "replace_gru": "fastgru.replace",
    "restore_gru": "fastgru.replace",
    "use_backend": "fastgru.dispatch",
}

__all__ = [
    "GRU",
    "GRUCell",
    "GRUSpec",
    "StatefulGRU",
    "Stepper",
    "__version__",
    "convert",
    "cpu_info",
    "errors",
    "explain",
    "functional",
    "last_output",
    "onnx",
    "opacus",
    "patch",
    "replace_gru",
    "restore_gru",
    "use_backend",
]

if TYPE_CHECKING:
    from fastgru import convert, errors, functional, onnx, opacus
    from fastgru.cell import GRUCell
    from fastgru.dispatch import use_backend
    from fastgru.explanation import explain
    from fastgru.layouts import last_output
    from fastgru.levels import cpu_info
    from fastgru.nn import GRU
    from fastgru.patching import patch
    from fastgru.replace import replace_gru, restore_gru
    from fastgru.spec import GRUSpec
    from fastgru.stateful import StatefulGRU
    from fastgru.streaming import Stepper


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
    value = module if module.__name__ == f"fastgru.{name}" else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
