"""Keras' GRU on JAX."""

from __future__ import annotations

import os

os.environ["KERAS_BACKEND"] = "jax"

import keras
import numpy as np
from cases import Case, cases

from fastgru.convert.names import flattened

CASES = cases(resets=(True, False), biases=(True, False))


def _layer(hidden: int, case: Case, seed: int = 0) -> keras.Layer:
    start = keras.initializers.RandomUniform(-0.6, 0.6, seed=seed)
    gru = keras.layers.GRU(
        hidden,
        use_bias=case.bias,
        reset_after=case.reset_after,
        return_sequences=True,
        kernel_initializer=start,
        recurrent_initializer=start.clone(),
        bias_initializer=keras.initializers.RandomUniform(-0.6, 0.6, seed=seed + 7),
    )
    return keras.layers.Bidirectional(gru) if case.bidirectional else gru


def make(features: int, hidden: int, case: Case, seed: int) -> dict:
    """The variables of a new layer by their paths."""
    layer = _layer(hidden, case, seed)
    layer.build((None, None, features))
    return {variable.path: variable for variable in layer.weights}


def run(arrays: dict, x: np.ndarray, case: Case) -> np.ndarray:
    """The outputs (T, B, D*H) of a layer with these arrays."""
    named = {"/".join(path): np.asarray(array) for path, array in flattened(arrays).items()}
    layer = _layer(next(iter(named.values())).shape[1] // 3, case)
    layer.build((None, None, x.shape[-1]))
    for variable in layer.weights:
        side = next((side for side in ("forward", "backward") if side in variable.path), "")
        own = [array for name, array in named.items() if name.split("/")[-1] == variable.name and side in name]
        variable.assign(own[0])
    return np.asarray(layer(x.transpose(1, 0, 2))).transpose(1, 0, 2)
