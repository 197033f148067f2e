"""Helpers of the tests of converters: arrays by short names, and comparisons to the bit."""

from __future__ import annotations

import numpy as np

from fastgru.convert.frameworks import FRAMEWORKS
from fastgru.convert.names import directions, flattened, last_parts

KERNEL = np.arange(18, dtype=np.float32).reshape(2, 9)
RECURRENT = np.arange(27, dtype=np.float32).reshape(3, 9)
BIAS = np.arange(18, dtype=np.float32).reshape(2, 9)
KERAS = {"kernel": KERNEL, "recurrent_kernel": RECURRENT, "bias": BIAS}


def part(arrays, name):
    return {key.removeprefix(f"{name}/"): array for key, array in arrays.items() if key.startswith(f"{name}/")}


def plain(framework, layers):
    """The arrays of layers by layer, direction and the framework's own short name."""
    found = {}
    for k, layer in enumerate(layers if isinstance(layers, list) else [layers]):
        for d, side in enumerate(directions(flattened(layer))):
            found |= {(k, d, name): np.asarray(a) for name, a in last_parts(side, FRAMEWORKS[framework].names).items()}
    return found


def assert_same_bits(got, want):
    assert got.keys() == want.keys()
    for name, array in want.items():
        assert got[name].dtype == array.dtype, name
        assert got[name].shape == array.shape, name
        assert got[name].tobytes() == array.tobytes(), name


def without(arrays, name):
    return {other: array for other, array in arrays.items() if other != name}
