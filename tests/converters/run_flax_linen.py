"""Flax linen's GRUCell in RNN and Bidirectional."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
from cases import Case, cases
from flax import linen

CASES = cases()


def _layer(hidden: int, case: Case) -> linen.Module:
    def rnn() -> linen.RNN:
        return linen.RNN(linen.GRUCell(hidden, bias_init=linen.initializers.normal(0.4)))

    return linen.Bidirectional(rnn(), rnn()) if case.bidirectional else rnn()


def make(features: int, hidden: int, case: Case, seed: int) -> dict[str, Any]:
    """The variables of a new layer."""
    return _layer(hidden, case).init(jax.random.key(seed), np.zeros((1, 1, features), np.float32))


def run(arrays: dict[str, Any], x: np.ndarray, case: Case) -> np.ndarray:
    """The outputs (T, B, D*H) of a layer with these arrays."""
    if "params" not in arrays:
        cells = {f"{side}_rnn": {"cell": nested(own)} for side, own in arrays.items()} if case.bidirectional else {}
        arrays = {"params": cells or {"cell": nested(arrays)}}
    sides = arrays["params"]["forward_rnn"] if case.bidirectional else arrays["params"]
    layer = _layer(len(sides["cell"]["hn"]["bias"]), case)
    return np.asarray(layer.apply(arrays, x.transpose(1, 0, 2))).transpose(1, 0, 2)


def nested(arrays: dict[str, np.ndarray]) -> dict[str, dict[str, np.ndarray]]:
    """``{"ir/kernel": a}`` -> ``{"ir": {"kernel": a}}``."""
    parts: dict[str, dict[str, np.ndarray]] = {}
    for name, array in arrays.items():
        module, _, parameter = name.partition("/")
        parts.setdefault(module, {})[parameter] = array
    return parts
