"""Every error that fastgru raises, and the texts of them.

    FastGRUError
    |-- ShapeError       (RuntimeError)              sizes that do not fit together
    |-- RankError        (ValueError)                wrong number of dimensions
    |-- DTypeError       (ValueError)                input and parameters of different types
    |-- OperandError     (RuntimeError)              operands of different types or devices
    |-- InputTypeError   (TypeError, AttributeError) something that is not a tensor
    |-- ArgumentError    (ValueError)                an option that does not exist or fit
    |-- SequenceError      (RuntimeError, ValueError)  lengths or a reset mask that do not fit the batch
    |   `-- SequenceTypeError (TypeError)              and of a type that says nothing of them
    |-- BackendError     (RuntimeError)              a backend that was asked for and refuses
    |-- OutOfMemoryError (RuntimeError, MemoryError) a call for which the system has no memory left
    |-- FrozenError      (RuntimeError)              a write to a frozen layer, or one that cannot be frozen
    |-- ExportError      (RuntimeError)              a model that the target format has no words for
    |-- StateError       (RuntimeError)              a stateful layer whose state would be lost or wrong
    |-- LevelError       (ValueError)                an instruction-set level that cannot run here
    |-- WriteError       (OSError)                   a file that cannot be written
    `-- MissingExtra     (ImportError)               an optional dependency that is not installed

Each class also is what torch raises for the same mistake, and each text holds torch's own words where torch has some,
so programs that catch the one or search the other go on working. After that it says what came, what was expected and
what to do.
"""

from __future__ import annotations

from fastgru.errors import classes
from fastgru.errors.arguments import *  # noqa: F403
from fastgru.errors.classes import *  # noqa: F403
from fastgru.errors.unsupported import *  # noqa: F403
from fastgru.errors.writing import *  # noqa: F403

for _class in vars(classes).values():
    if isinstance(_class, type):
        _class.__module__ = __name__  # where users find them: in tracebacks, filters of warnings, pickles
