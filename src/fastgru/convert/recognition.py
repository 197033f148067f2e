"""Errors for arrays under the name of another framework: they say which one the names look like."""

from __future__ import annotations

from collections.abc import Sequence

from fastgru.convert.frameworks import FRAMEWORKS
from fastgru.convert.layout import Framework
from fastgru.errors import ArgumentError

_TORCHS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


def looks_like(names: Sequence[str]) -> list[str]:
    """The frameworks of the table, and torch, that have a cell with exactly these names.

    Example:
        >>> from fastgru.convert.recognition import looks_like
        >>> looks_like(["kernel", "recurrent_kernel"]), looks_like(["Wx", "Wh"]), looks_like(["W", "R"])
        (['keras'], ['mlx'], ['onnx'])
    """
    ends = {1: set(names), 2: set(names)}
    ends[1] = {name.split("/")[-1] for name in names}
    found = [
        key
        for key, framework in FRAMEWORKS.items()
        if any(set(layout.shapes) == ends[framework.names[0].count("/") + 1] for layout in framework.layouts)
    ]
    is_torchs = bool(names) and all(name.split("/")[-1].startswith(_TORCHS) for name in names)
    return found + ["torch"] * (is_torchs and not found)


def wrong_names(framework: Framework, names: Sequence[str]) -> ArgumentError:
    """For arrays whose names are not those of a cell of `framework`."""
    required = min((set(layout.shapes) for layout in framework.layouts), key=len)
    missing = [name for name in framework.names if name in required and name not in names]
    unknown = [name for name in names if name not in framework.names]
    told = [f"missing: {', '.join(missing)}"] * bool(missing) + [f"unknown: {', '.join(unknown)[:200]}"] * bool(unknown)
    others = [f'"{key}"' for key in looks_like(names) if FRAMEWORKS.get(key) is not framework]
    hint = f"These names look like those of {' or '.join(others)}. " if others else ""
    return ArgumentError(
        f"these are not the arrays of a GRU of {framework.title}: {'; '.join(told) or 'some biases are missing'}. "
        f"Expected {', '.join(framework.names)}. {hint}Pass the arrays of the GRU alone, under the framework's names."
    )
