"""The interface of a program: what the worker calls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Program:
    """A model of some library on its data, not yet trained.

    Attributes:
        fit: trains; its time is taken.
        predict: predictions as an array; its time is taken.
        loss: the training loss; asked for between `fit` and `predict`.
        model: the torch module before training; None where the library makes it within `fit`.
    """

    fit: Callable[[], Any]
    predict: Callable[[], Any]
    loss: Callable[[], float]
    model: Any = None
