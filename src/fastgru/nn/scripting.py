"""Layers inside a `torch.jit.ScriptModule`: TorchScript compiles torch's own, on the same parameters.

`torch.jit.script` asks modules what it should compile in their place (`__prepare_scriptable__`). A class that derives
from ScriptModule asks nobody; so what is set as an attribute of one is asked here. Nothing else is touched: a hook on
all modules would be called, and traced by torch.compile, in programs that have no ScriptModule.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.jit._script import call_prepare_scriptable_func


class Scriptable:
    """A layer for which torch's own stands in a ScriptModule."""


_set_attribute = torch.jit.ScriptModule.__setattr__


def _set_scriptable(module: torch.jit.ScriptModule, name: str, value: Any) -> None:
    """`ScriptModule.__setattr__`, with torch's layers in place of ours, at any depth."""
    if isinstance(value, nn.Module) and any(isinstance(part, Scriptable) for part in value.modules()):
        value = call_prepare_scriptable_func(value)  # type: ignore[no-untyped-call]
    _set_attribute(module, name, value)


torch.jit.ScriptModule.__setattr__ = _set_scriptable  # type: ignore[method-assign, assignment]
