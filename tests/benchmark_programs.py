"""The programs of `benchmarks/`, which are not installed, as modules."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


def imported(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The program `name` as a module; what it imports from its folder is found until the test ends."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module(name)
