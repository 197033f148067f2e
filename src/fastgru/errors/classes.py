"""The classes; `fastgru.errors` is where they are known."""

from __future__ import annotations


class FastGRUError(Exception):
    """Any error that fastgru raises on purpose."""


class ShapeError(FastGRUError, RuntimeError):
    """Sizes that do not fit together."""


class RankError(FastGRUError, ValueError):
    """A tensor with the wrong number of dimensions."""


class DTypeError(FastGRUError, ValueError):
    """Input and parameters of different types."""


class OperandError(FastGRUError, RuntimeError):
    """Operands of different types or on different devices."""


class InputTypeError(FastGRUError, TypeError, AttributeError):
    """Something that is not a tensor where a tensor is needed."""


class ArgumentError(FastGRUError, ValueError):
    """An option that does not exist or does not fit the others."""


class SequenceError(FastGRUError, RuntimeError, ValueError):
    """Lengths or a reset mask that do not fit the batch."""


class SequenceTypeError(SequenceError, TypeError):
    """Lengths that are no integers, or a reset mask that holds no booleans."""


class BackendError(FastGRUError, RuntimeError):
    """A backend that was asked for by name and cannot serve the call."""


class OutOfMemoryError(FastGRUError, RuntimeError, MemoryError):
    """A call that needs more memory than the system has left."""


class FrozenError(FastGRUError, RuntimeError):
    """A write to the parameters of a frozen layer, or a layer that cannot be frozen."""


class ExportError(FastGRUError, RuntimeError):
    """A model that cannot be written in the format that was asked for."""


class StateError(FastGRUError, RuntimeError):
    """A call of a stateful layer whose state would be lost or wrong."""


class LevelError(FastGRUError, ValueError):
    """An instruction-set level that cannot run here."""


class WriteError(FastGRUError, OSError):
    """A file that cannot be written: its text names the file, and says why and what to do."""

    def __str__(self) -> str:
        return str(self.args[0])  # not what OSError makes of its errno and filename


class MissingExtra(FastGRUError, ImportError):  # noqa: N818  (named for what the reader must do about it)
    """An optional dependency that is not installed."""


class SlowPathWarning(UserWarning):
    """A call that no quick backend can serve, and the reference serves instead: right, but slow."""
