"""Flax nnx's GRUCell in RNN and Bidirectional."""

from __future__ import annotations

from typing import Any

import numpy as np
from cases import Case, cases
from flax import nnx

from fastgru.convert.names import flattened

CASES = cases()


def _layer(features: int, hidden: int, case: Case, seed: int = 0) -> nnx.Module:
    rngs = nnx.Rngs(seed)

    def rnn() -> nnx.RNN:
        return nnx.RNN(nnx.GRUCell(features, hidden, bias_init=nnx.initializers.normal(0.4), rngs=rngs))

    return nnx.Bidirectional(rnn(), rnn()) if case.bidirectional else rnn()


def make(features: int, hidden: int, case: Case, seed: int) -> Any:
    """The state of a new layer."""
    return nnx.state(_layer(features, hidden, case, seed), nnx.Param)


def run(arrays: Any, x: np.ndarray, case: Case) -> np.ndarray:
    """The outputs (T, B, D*H) of a layer with these arrays."""
    flat = {"/".join(path): np.asarray(array) for path, array in flattened(arrays).items()}
    hidden = next(array for name, array in flat.items() if name.endswith("dense_h/kernel")).shape[0]
    layer = _layer(x.shape[-1], hidden, case)
    sides = {"forward": layer.forward_rnn, "backward": layer.backward_rnn} if case.bidirectional else {"": layer}
    for side, rnn in sides.items():
        for name, array in flat.items():
            if side in name:
                module, parameter = name.split("/")[-2:]
                getattr(getattr(rnn.cell, module), parameter)[...] = array
    return np.asarray(layer(x.transpose(1, 0, 2))).transpose(1, 0, 2)
