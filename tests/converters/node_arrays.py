"""Random inputs W, R and B of a GRU node: such operators have no initial values of their own."""

from __future__ import annotations

import numpy as np
from cases import Case


def random_node(features: int, hidden: int, case: Case, seed: int, biases: int) -> dict[str, np.ndarray]:
    """W (D, 3H, I), R (D, 3H, H) and, in cases with biases, B (D, biases * H)."""
    random = np.random.default_rng(seed)
    shapes = {"W": (3 * hidden, features), "R": (3 * hidden, hidden)} | ({"B": (biases * hidden,)} if case.bias else {})
    directions = 1 + case.bidirectional
    return {name: random.uniform(-0.6, 0.6, (directions, *shape)).astype(np.float32) for name, shape in shapes.items()}
