"""Equinox' GRUCell over time."""

from __future__ import annotations

import equinox
import jax
import numpy as np
from cases import Case, cases
from directions import both_directions

CASES = cases(biases=(True, False))


def make(features: int, hidden: int, case: Case, seed: int) -> dict:
    """The arrays of a new cell, or of one for each direction."""
    cells = [_arrays(features, hidden, case, seed + 100 * k) for k in range(1 + case.bidirectional)]
    return dict(zip(("forward", "backward"), cells, strict=True)) if case.bidirectional else cells[0]


def _arrays(features: int, hidden: int, case: Case, seed: int) -> dict:
    cell = equinox.nn.GRUCell(features, hidden, use_bias=case.bias, key=jax.random.key(seed))
    return {name: getattr(cell, name) for name in ("weight_ih", "weight_hh", "bias", "bias_n")}


@both_directions
def run(arrays: dict, x: np.ndarray, case: Case) -> np.ndarray:
    """The outputs (T, B, H) of a cell with these arrays."""
    hidden = arrays["weight_hh"].shape[1]
    cell = equinox.nn.GRUCell(x.shape[-1], hidden, use_bias=case.bias, key=jax.random.key(0))
    names = [name for name, array in arrays.items() if array is not None]
    new = [jax.numpy.asarray(arrays[name]) for name in names]
    cell = equinox.tree_at(lambda tree: [getattr(tree, name) for name in names], cell, new)
    step = jax.vmap(cell)
    _, outputs = jax.lax.scan(lambda h, x_t: (step(x_t, h),) * 2, jax.numpy.zeros((x.shape[1], hidden)), x)
    return np.asarray(outputs)
