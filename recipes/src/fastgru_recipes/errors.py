"""The exceptions and warnings of the recipes, in addition to those of `fastgru.errors`.

fastgru.errors.FastGRUError
|-- DataError           (ValueError)       a file or table that a recipe cannot learn from
|-- RunError            (RuntimeError)     a run directory that exists, is incomplete or does not fit
|-- TrainingInterrupted (RuntimeError)     training that was stopped by Ctrl-C or SIGTERM
`-- TrainingDiverged    (ArithmeticError)  training whose loss became NaN or infinite
"""

from __future__ import annotations

from fastgru.errors import FastGRUError


class DataError(FastGRUError, ValueError):
    """A file or table that a recipe cannot learn from. The message names the place."""


class RunError(FastGRUError, RuntimeError):
    """A run directory that exists already, is incomplete, or does not fit the request."""


class TrainingInterrupted(FastGRUError, RuntimeError):  # noqa: N818  (nothing went wrong)
    """Training that was stopped by Ctrl-C or SIGTERM."""


class TrainingDiverged(FastGRUError, ArithmeticError):  # noqa: N818  (as its sibling)
    """Training whose loss became NaN or infinite."""


class RunWarning(UserWarning):
    """A run directory without a file that is not necessary, or that another file can replace."""


class CutWarning(UserWarning):
    """Sequences that are too long and were truncated."""


class FilledWarning(UserWarning):
    """Missing values of series that were filled on request."""
