"""`patch`: replaces the names `torch.nn.GRU` and `torch.nn.GRUCell` by our classes.

For existing models see `fastgru.integrations.replacing`.
"""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager, ContextDecorator, nullcontext
from types import ModuleType, TracebackType
from typing import Any

from torch import nn
from torch.nn.modules import rnn

from fastgru.importing import Change
from fastgru.nn.cell import GRUCell
from fastgru.nn.gru import GRU
from fastgru.nn.torch_tools import STOCK_CELL, STOCK_GRU

# All modules in which torch looks up the two names.
_NAMESPACES = (nn, nn.modules, rnn)


def patch(permanent: bool = False) -> AbstractContextManager[object]:
    """Replaces the names `torch.nn.GRU` and `torch.nn.GRUCell` by our classes.

    For code that itself builds, subclasses or isinstance-checks `torch.nn.GRU`. The names change
    in `torch.nn`, `torch.nn.modules` and `torch.nn.modules.rnn`, for the whole process, until the
    outermost `with` block ends. Layers built inside it stay ours afterwards. Blocks may be nested, and
    the result can be used as a decorator. Without `with`, only `patch(permanent=True)` has an effect.

    Names that were imported before (`from torch.nn import GRU` above the call) and layers that were
    built before are not changed; `isinstance(layer, torch.nn.GRU)` is False for these layers inside the block.
    Use `replace_gru` for them. Torch's table for dynamic quantization is changed as well.

    `torch.compile` rejects the class that `torch.nn.GRU` names, unless `torch._dynamo.config.allow_rnn`
    is set, so this is set too, and restored. Torch keeps this option for each thread, and it
    also applies to `nn.LSTM` and `nn.RNN`.

    Args:
        permanent: patch immediately, for the rest of the process.

    Returns:
        A context manager. With `permanent` it does nothing.

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
    """The patch of this process, applied while at least one block is active."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._holders = 0
        self._before: list[tuple[ModuleType, str, object]] = []
        self._changes = (_CompilerSwitch(), _QuantizedClasses())

    def apply(self) -> None:
        with self._lock:
            self._holders += 1
            if self._holders > 1:
                return
            for namespace in _NAMESPACES:
                for ours in (GRU, GRUCell):
                    self._before.append((namespace, ours.__name__, vars(namespace)[ours.__name__]))
                    setattr(namespace, ours.__name__, ours)
            for change in self._changes:
                change.turn_on()

    def undo(self) -> None:
        with self._lock:
            self._holders -= 1
            if self._holders > 0:
                return
            for change in self._changes:
                change.turn_back()
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


class _CompilerSwitch(Change):
    """Keeps `torch._dynamo.config.allow_rnn` on."""

    def __init__(self) -> None:
        super().__init__("torch._dynamo.config")
        self._before: bool | None = None

    def make(self, module: Any) -> None:
        self._before = module.allow_rnn
        module.allow_rnn = True

    def undo(self, module: Any) -> None:
        if self._before is not None:
            module.allow_rnn = self._before
            self._before = None


class _QuantizedClasses(Change):
    """Makes dynamic quantization, which compares exact types, find our layers like torch's."""

    def __init__(self) -> None:
        super().__init__("torch.ao.quantization.quantization_mappings")

    def make(self, module: Any) -> None:
        table = module.DEFAULT_DYNAMIC_QUANT_MODULE_MAPPINGS
        for ours, stock in ((GRU, STOCK_GRU), (GRUCell, STOCK_CELL)):
            # If the table was filled under the patch, it has our class in place of torch's.
            table[ours] = table[stock] = table.get(stock) or table[ours]

    def undo(self, module: Any) -> None:
        for ours in (GRU, GRUCell):
            module.DEFAULT_DYNAMIC_QUANT_MODULE_MAPPINGS.pop(ours, None)


_PATCH = _Patch()
