"""The features that programs need of a GRU layer, checked for torch's and ours: the rows of docs/compatibility.md."""

from __future__ import annotations

from compatibility import (
    compiling,
    errors,
    exporting,
    frameworks,
    gpu,
    interop,
    lengths,
    numbers,
    onnx,
    packages,
    processes,
    states,
    tools,
    tracing,
    transforms,
)
from compatibility.registry import GROUPS, OURS, STOCK, Capability, Entry, Library, measure

# The order of the table.
MODULES = (
    *(compiling, exporting, onnx, tracing, transforms),
    *(lengths, states, numbers, errors),
    *(interop, tools, processes, frameworks, packages, gpu),
)
CAPABILITIES: list[Capability] = [one for module in MODULES for one in GROUPS[module.__name__]]

__all__ = ["CAPABILITIES", "OURS", "STOCK", "Capability", "Entry", "Library", "measure"]
