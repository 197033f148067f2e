"""Files of many small arrays: one vector of numbers and an index, a quarter of the size of one array each."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np


def save(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes arrays of float32 by name."""
    assert all(array.dtype == np.float32 for array in arrays.values())
    index = json.dumps({name: array.shape for name, array in arrays.items()})
    values = np.concatenate([array.ravel() for array in arrays.values()])
    np.savez_compressed(path, index=np.array(index), values=values)


def load(path: Path) -> dict[str, np.ndarray]:
    """The arrays that `save` wrote."""
    with np.load(path) as file:
        index, values = json.loads(str(file["index"])), file["values"]
    arrays, start = {}, 0
    for name, shape in index.items():
        arrays[name] = values[start : start + int(np.prod(shape))].reshape(shape)
        start += arrays[name].size
    return arrays
