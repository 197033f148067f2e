"""The exceptions of fastgru, and functions that create them with their messages.

    FastGRUError
    |-- ShapeError       (RuntimeError)              sizes that do not fit together
    |-- RankError        (ValueError)                wrong number of dimensions
    |-- DTypeError       (ValueError)                input and parameters of different dtypes
    |-- OperandError     (RuntimeError)              operands of different dtypes or devices
    |-- InputTypeError   (TypeError, AttributeError) something that is not a tensor
    |-- ArgumentError    (ValueError)                an option that does not exist or fit
    |-- IndexRangeError  (IndexError)                an index that an embedding does not have
    |-- SequenceError    (RuntimeError, ValueError)  lengths or a reset mask that do not fit the batch
    |   `-- SequenceTypeError (TypeError)            lengths or a reset mask of the wrong type
    |-- BackendError     (RuntimeError)              a requested backend that cannot run the call
    |-- OutOfMemoryError (RuntimeError, MemoryError) a call that needs more memory than is available
    |-- FrozenError      (RuntimeError)              a write to a frozen layer, or one that cannot be frozen
    |-- ExportError      (RuntimeError)              a model that the target format cannot represent
    |-- GraphError       (ValueError)                a model whose nodes or parameters do not fit together
    |-- ConversionError  (ValueError)                a model with something that cannot be converted
    |-- FormatError      (ValueError)                a file that is damaged or of another kind
    |-- StateError       (RuntimeError)              a stateful layer whose state would be lost or wrong
    |-- LevelError       (ValueError)                an instruction-set level that cannot run here
    |-- WriteError       (OSError)                   a file that cannot be written
    `-- MissingExtra     (ImportError)               an optional dependency that is not installed

Each class derives from the exception that torch raises for the same mistake, and each message contains torch's text, if
there is one. So programs that catch or search for these still work. The message also says what was given, what was
expected and what to do.
"""

from __future__ import annotations

from fastgru.errors import classes
from fastgru.errors.arguments import *  # noqa: F403
from fastgru.errors.arrays import *  # noqa: F403
from fastgru.errors.classes import *  # noqa: F403
from fastgru.errors.graphs import *  # noqa: F403
from fastgru.errors.onnx import *  # noqa: F403
from fastgru.errors.sequences import *  # noqa: F403
from fastgru.errors.unsupported import *  # noqa: F403
from fastgru.errors.writing import *  # noqa: F403

for _class in vars(classes).values():
    if isinstance(_class, type):
        _class.__module__ = __name__  # where users find them: in tracebacks, filters of warnings, pickles
