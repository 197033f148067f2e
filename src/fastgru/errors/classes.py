"""The exception classes, which are public as `fastgru.errors`."""

from __future__ import annotations


class FastGRUError(Exception):
    """Base class of all errors that fastgru raises."""


class ShapeError(FastGRUError, RuntimeError):
    """Sizes that do not fit together."""


class RankError(FastGRUError, ValueError):
    """A tensor with the wrong number of dimensions."""


class DTypeError(FastGRUError, ValueError):
    """Input and parameters of different dtypes."""


class OperandError(FastGRUError, RuntimeError):
    """Operands of different dtypes or on different devices."""


class InputTypeError(FastGRUError, TypeError, AttributeError):
    """An argument that is not a tensor."""


class ArgumentError(FastGRUError, ValueError):
    """An option that does not exist or does not fit the others."""


class IndexRangeError(FastGRUError, IndexError):
    """An index that an embedding does not have."""


class SequenceError(FastGRUError, RuntimeError, ValueError):
    """Lengths or a reset mask that do not fit the batch."""


class SequenceTypeError(SequenceError, TypeError):
    """Lengths that are not integers, or a reset mask that is not boolean."""


class BackendError(FastGRUError, RuntimeError):
    """A backend that was requested by name and cannot run the call."""


class OutOfMemoryError(FastGRUError, RuntimeError, MemoryError):
    """A call that needs more memory than is available."""


class FrozenError(FastGRUError, RuntimeError):
    """A write to the parameters of a frozen layer, or a layer that cannot be frozen."""


class ExportError(FastGRUError, RuntimeError):
    """A model that cannot be written in the requested format."""


class GraphError(FastGRUError, ValueError):
    """A model whose nodes, parameters or values do not fit together."""


class ConversionError(FastGRUError, ValueError):
    """A model with something that cannot be converted. The message names it and its place."""


class FormatError(FastGRUError, ValueError):
    """A file that is damaged, or of another kind or version than expected."""


class StateError(FastGRUError, RuntimeError):
    """A call of a stateful layer whose state would be lost or wrong."""


class LevelError(FastGRUError, ValueError):
    """An instruction-set level that cannot run here."""


class WriteError(FastGRUError, OSError):
    """A file that cannot be written. The message names the file, the reason and what to do."""

    def __str__(self) -> str:
        return str(self.args[0])  # OSError would build it from errno and filename


class MissingExtra(FastGRUError, ImportError):  # noqa: N818  (the name says what to do)
    """An optional dependency that is not installed."""


class SlowPathWarning(UserWarning):
    """A call that only the reference can run, which is correct but slow."""
