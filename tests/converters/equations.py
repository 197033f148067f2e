"""The layer that a converted state dict describes, computed by the reference in float64."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from fastgru import reference
from fastgru.convert.state import spec_of


def output_of(state: Mapping[str, np.ndarray], x: np.ndarray, reset_after: bool) -> np.ndarray:
    """The outputs (T, B, D*H) for x (T, B, I), from zeros."""
    spec = spec_of(state)._replace(reset_after=reset_after)
    weights = [state[name].astype(np.float64) for name in spec.parameter_names]
    return reference.run(reference.NumPyOperations(), spec, x.astype(np.float64), None, weights)[0]
