"""Making the names `torch.nn.GRU` and `torch.nn.GRUCell` mean ours, and undoing it.

A model that exists already is served by `fastgru.replace`.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager, ContextDecorator, nullcontext
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType, TracebackType
from typing import Any

from torch import nn
from torch.nn.modules import rnn

from fastgru.cell import GRUCell
from fastgru.nn import GRU

# Everywhere torch looks the two names up.
_NAMESPACES = (nn, nn.modules, rnn)


def patch(permanent: bool = False) -> AbstractContextManager[object]:
    """Makes the names `torch.nn.GRU` and `torch.nn.GRUCell` mean ours.

    For code that builds, subclasses or isinstance-checks `torch.nn.GRU` itself. The names change
    in `torch.nn`, `torch.nn.modules` and `torch.nn.modules.rnn`, for the whole process, until the
    outermost `with` ends; layers built meanwhile stay ours afterwards. May be nested and used as
    a decorator. Without `with`, only `patch(permanent=True)` has an effect.

    Not reached: names bound before (`from torch.nn import GRU` above the call), layers built
    before (they stay torch's, and `isinstance(layer, torch.nn.GRU)` denies them meanwhile), and
    tables that torch filled when it was imported, such as those of quantization. `replace_gru`
    serves the first two.

    `torch.compile` refuses whatever `torch.nn.GRU` names, unless `torch._dynamo.config.allow_rnn`
    is set; so that is set too, and put back. Torch keeps this switch for each thread, and it
    covers `nn.LSTM` and `nn.RNN` as well.

    Args:
        permanent: patch at once, for the rest of the process.

    Returns:
        A context manager; with `permanent`, one that does nothing more.

    Example:
        >>> with fastgru.patch():
        ...     layer = torch.nn.GRU(8, 16)
        >>> type(layer) is fastgru.GRU
        True
    """
    if permanent:
        _PATCH.apply()
        return nullcontext()
    return _Patched()


class _Patch:
    """The patch of this process: applied while at least one user holds it."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._holders = 0
        self._before: list[tuple[ModuleType, str, object]] = []
        self._compiler = _CompilerSwitch()

    def apply(self) -> None:
        with self._lock:
            self._holders += 1
            if self._holders > 1:
                return
            for namespace in _NAMESPACES:
                for ours in (GRU, GRUCell):
                    self._before.append((namespace, ours.__name__, vars(namespace)[ours.__name__]))
                    setattr(namespace, ours.__name__, ours)
            self._compiler.turn_on()

    def undo(self) -> None:
        with self._lock:
            self._holders -= 1
            if self._holders > 0:
                return
            self._compiler.turn_back()
            while self._before:
                setattr(*self._before.pop())


class _Patched(ContextDecorator):
    """One `with fastgru.patch():`; the same object may be entered again."""

    def __enter__(self) -> None:
        _PATCH.apply()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        _PATCH.undo()


class _CompilerSwitch(MetaPathFinder):
    """Keeps `torch._dynamo.config.allow_rnn` on.

    Importing the compiler takes about a second, and most programs never need it. So if it is not
    there yet, the switch waits on `sys.meta_path` and is thrown when its settings are imported.
    """

    MODULE = "torch._dynamo.config"

    def __init__(self) -> None:
        self._before: bool | None = None

    def turn_on(self) -> None:
        if self.MODULE in sys.modules:
            self.set_on(sys.modules[self.MODULE])
        else:
            sys.meta_path.insert(0, self)

    def turn_back(self) -> None:
        if self in sys.meta_path:
            sys.meta_path.remove(self)
        if self._before is not None:
            config: Any = sys.modules[self.MODULE]
            config.allow_rnn = self._before
            self._before = None

    def set_on(self, config: Any) -> None:
        self._before = config.allow_rnn
        config.allow_rnn = True

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Finds the compiler's settings as usual, with a loader that throws the switch."""
        if fullname != self.MODULE:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.origin is not None:
            spec.loader = _SettingsLoader(fullname, spec.origin)
        return spec


class _SettingsLoader(SourceFileLoader):
    """Loads the compiler's settings, then throws the switch."""

    def exec_module(self, module: ModuleType) -> None:
        """Runs the module's own code first."""
        super().exec_module(module)
        _PATCH._compiler.set_on(module)


_PATCH = _Patch()
