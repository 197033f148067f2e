"""The layer that a converted state dict describes, computed by NumPy in float64."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from fastgru import reference
from fastgru.convert.state import spec_of


def output_of(state: Mapping[str, np.ndarray], x: np.ndarray, reset_after: bool) -> np.ndarray:
    """The outputs (T, B, D*H) for x (T, B, I), from zeros."""
    spec = spec_of(state)
    weights = [state[name].astype(np.float64) for name in spec.parameter_names]
    x = x.astype(np.float64)
    if reset_after:
        return reference.run(reference.NumPyOperations(), spec, x, None, weights)[0]
    per_cell = 4 if spec.bias else 2
    for layer in range(spec.num_layers):
        sides = []
        for direction in range(spec.num_directions):
            first = (layer * spec.num_directions + direction) * per_cell
            sides.append(_reset_before(x, weights[first : first + per_cell], reverse=direction == 1))
        x = np.concatenate(sides, axis=-1)
    return x


def _reset_before(x: np.ndarray, weights: list[np.ndarray], reverse: bool) -> np.ndarray:
    """One direction of one layer; source: Cho et al. 2014, arXiv 1406.1078v3."""
    (w_r, w_z, w_n), (u_r, u_z, u_n) = (np.split(weight, 3) for weight in weights[:2])
    b_r, b_z, b_n = np.split(weights[2] + weights[3], 3) if len(weights) == 4 else (0, 0, 0)
    sigmoid = reference.NumPyOperations.sigmoid
    h = np.zeros((x.shape[1], len(u_r)))
    outputs = np.zeros((*x.shape[:2], len(u_r)))
    for t in reversed(range(len(x))) if reverse else range(len(x)):
        r = sigmoid(x[t] @ w_r.T + h @ u_r.T + b_r)
        z = sigmoid(x[t] @ w_z.T + h @ u_z.T + b_z)
        n = np.tanh(x[t] @ w_n.T + (r * h) @ u_n.T + b_n)
        outputs[t] = h = (1 - z) * n + z * h
    return outputs
