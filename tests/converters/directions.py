"""A second direction for frameworks that leave it to the user."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

Run = Callable[[Any, np.ndarray, Any], np.ndarray]


def both_directions(run: Run) -> Run:
    """`run` for arrays of one direction, extended to ``{"forward": ..., "backward": ...}``."""

    @functools.wraps(run)
    def run_both(arrays: Any, x: np.ndarray, case: Any) -> np.ndarray:
        if "forward" not in arrays:
            return run(arrays, x, case)
        ahead = run(arrays["forward"], x, case)
        back = run(arrays["backward"], np.ascontiguousarray(x[::-1]), case)[::-1]
        return np.concatenate([ahead, back], axis=-1)

    return run_both
