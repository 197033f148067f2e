"""Changes to modules of other packages, applied when they are imported, without importing them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType
from typing import Any


class Change(MetaPathFinder):
    """A change to a module that is slow to import and rarely needed.

    If the module is not imported yet, the change waits on `sys.meta_path` and is applied after the import.
    """

    def __init__(self, module: str) -> None:
        self.module = module

    def make(self, module: Any) -> None:
        """Applies the change."""
        raise NotImplementedError

    def undo(self, module: Any) -> None:
        """Undoes the change."""
        raise NotImplementedError

    def turn_on(self) -> None:
        """Applies the change, now or when the module is imported."""
        if self.module in sys.modules:
            self.make(sys.modules[self.module])
        elif self not in sys.meta_path:
            sys.meta_path.insert(0, self)

    def turn_back(self) -> None:
        """Undoes the change, or stops waiting."""
        if self in sys.meta_path:
            sys.meta_path.remove(self)
        if self.module in sys.modules:
            self.undo(sys.modules[self.module])

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Finds the module as usual, with a loader that applies the change."""
        if fullname != self.module:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.origin is not None:
            spec.loader = _ChangingLoader(fullname, spec.origin, self)
        return spec


class _ChangingLoader(SourceFileLoader):
    """Loads a module, then applies a change to it."""

    def __init__(self, fullname: str, path: str, change: Change) -> None:
        super().__init__(fullname, path)
        self._change = change

    def exec_module(self, module: ModuleType) -> None:
        """Runs the module's own code first."""
        super().exec_module(module)
        self._change.make(module)
