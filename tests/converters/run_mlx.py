"""MLX' GRU on the CPU."""

from __future__ import annotations

import mlx.core as mx
import numpy as np
from cases import Case, cases
from directions import both_directions
from mlx import nn

CASES = cases(biases=(True, False))
mx.set_default_device(mx.cpu)


def make(features: int, hidden: int, case: Case, seed: int) -> dict:
    """The parameters of a new layer, or of one for each direction."""
    mx.random.seed(seed)
    layers = [nn.GRU(features, hidden, bias=case.bias).parameters() for _ in range(1 + case.bidirectional)]
    return dict(zip(("forward", "backward"), layers, strict=True)) if case.bidirectional else layers[0]


@both_directions
def run(arrays: dict, x: np.ndarray, case: Case) -> np.ndarray:
    """The outputs (T, B, H) of a layer with these arrays."""
    layer = nn.GRU(x.shape[-1], arrays["Wh"].shape[1], bias=case.bias)
    layer.update({name: mx.array(array) for name, array in arrays.items()})
    return np.asarray(layer(mx.array(x.transpose(1, 0, 2)))).transpose(1, 0, 2)
