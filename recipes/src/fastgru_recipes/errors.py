"""What goes wrong with recipes, beside the errors of `fastgru.errors`.

fastgru.errors.FastGRUError
|-- DataError           (ValueError)       a file or table that a recipe cannot learn from
|-- RunError            (RuntimeError)     a run directory that exists, is incomplete or does not fit
|-- TrainingInterrupted (RuntimeError)     training that was stopped by Ctrl-C or SIGTERM
`-- TrainingDiverged    (ArithmeticError)  training whose loss is no number any more
"""

from __future__ import annotations

from fastgru.errors import FastGRUError


class DataError(FastGRUError, ValueError):
    """A file or table that a recipe cannot learn from: its text names the place."""


class RunError(FastGRUError, RuntimeError):
    """A run directory that exists, is incomplete, or does not fit what was asked of it."""


class TrainingInterrupted(FastGRUError, RuntimeError):  # noqa: N818  (nothing went wrong)
    """Training that was stopped by Ctrl-C."""


class TrainingDiverged(FastGRUError, ArithmeticError):  # noqa: N818  (as its sibling)
    """Training whose loss is no number any more."""


class RunWarning(UserWarning):
    """A run directory that lacks something that can be done without, or made up for."""


class CutWarning(UserWarning):
    """Sequences that are too long to be read as a whole."""
