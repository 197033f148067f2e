"""One step of a layer with weights of 8 bits, in float64: the twin of csrc/kernels/int8_forward.h.

Integers are found in float32, as the core finds them; the sums over them are exact.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fastgru import _core, reference

Floats = NDArray[np.float32]


def quantized_weight(weight: Floats) -> tuple[Floats, Floats]:
    """Integers (3H, K), and the scale of each row (3H)."""
    most = np.maximum(np.abs(weight).max(1), np.float32(1e-30))
    scale = most / np.float32(127)
    return np.rint(weight / scale[:, None]), scale


def quantized_rows(rows: Floats) -> tuple[Floats, Floats]:
    """Integers (B, K), and the scale of each row (B)."""
    most = np.maximum(np.abs(rows).max(1), np.float32(1e-30))
    return np.rint(rows * (np.float32(127) / most)[:, None]), most / np.float32(127)


def product(rows: Floats, weight: Floats, quantizes: bool) -> NDArray[np.float64]:
    """Rows (B, K) times a weight (3H, K): (B, 3H)."""
    if not quantizes:
        return rows.astype(np.float64) @ weight.astype(np.float64).T
    integers, scales = quantized_rows(rows)
    weights, weight_scales = quantized_weight(weight)
    sums = integers.astype(np.int64) @ weights.astype(np.int64).T
    return sums * (scales[:, None] * weight_scales).astype(np.float64)


def step(x: Floats, h: Floats, weights: Sequence[Floats]) -> NDArray[np.float64]:
    """The state after a step.

    Args:
        x: (B, I).
        h: (B, H).
        weights: weight_ih (3H, I), weight_hh (3H, H), bias_ih and bias_hh (3H).
    """
    weight_ih, weight_hh, bias_ih, bias_hh = weights
    a = product(x, weight_ih, x.shape[1] >= _core.LEAST_QUANTIZED) + bias_ih
    return reference.step(
        reference.NumPyOperations(), a, h.astype(np.float64), lambda _: product(h, weight_hh, True) + bias_hh
    )
