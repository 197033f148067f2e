"""The input of the libraries: the same numbers in every environment, made by NumPy alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Case:
    """One cell: hidden and input size, batch, steps, and whether gradients are computed."""

    hidden: int
    batch: int
    steps: int
    train: bool = False


def numbers(case: Case) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """The weights in torch's names and layout (rows r, z, n), x and the gradient of the output, (steps, batch, .)."""
    random = np.random.default_rng(0)
    bound, size = case.hidden**-0.5, case.hidden
    shapes = {"weight_ih": (3 * size, size), "weight_hh": (3 * size, size), "bias_ih": (3 * size,)}
    shapes["bias_hh"] = shapes["bias_ih"]
    weights = {name: random.uniform(-bound, bound, shape).astype(np.float32) for name, shape in shapes.items()}
    x, d_output = (random.uniform(-1, 1, (case.steps, case.batch, size)).astype(np.float32) for _ in range(2))
    return weights, x, d_output


def update_first(values: np.ndarray) -> np.ndarray:
    """From torch's rows r, z, n to z, r, n, the order of ONNX and oneDNN."""
    reset, update, new = np.split(values, 3)
    return np.concatenate([update, reset, new])
