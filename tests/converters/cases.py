"""What is checked of each framework: which layers, their inputs, and their arrays as files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from fastgru.convert.names import flattened
from fastgru.spec import GRUSpec

STEPS, BATCH, FEATURES, HIDDEN = 5, 2, 3, 4


class Case(NamedTuple):
    """A stack of layers."""

    reset_after: bool = True
    bias: bool = True
    bidirectional: bool = False
    layers: int = 1

    def __str__(self) -> str:
        words = [f"reset-{'after' if self.reset_after else 'before'}"]
        words += ["no-bias"] * (not self.bias) + ["bidirectional"] * self.bidirectional
        return " ".join([*words, *[f"{self.layers}-layers"] * (self.layers > 1)])

    @property
    def spec(self) -> GRUSpec:
        """The sizes of the stack."""
        return GRUSpec(FEATURES, HIDDEN, self.layers, self.bias, self.bidirectional)

    def widths(self) -> list[int]:
        """The features that each layer reads."""
        return [FEATURES] + [HIDDEN * (1 + self.bidirectional)] * (self.layers - 1)


def cases(resets: Sequence[bool] = (True,), biases: Sequence[bool] = (True,)) -> list[Case]:
    """A single layer of each kind, and a bidirectional stack of two layers for each place of the reset gate."""
    singles = [Case(reset_after, bias) for reset_after, bias in product(resets, biases)]
    return singles + [Case(reset_after, biases[0], True, 2) for reset_after in resets]


def random_input(seed: int) -> np.ndarray:
    """(T, B, I) in float32."""
    return np.random.default_rng(seed).standard_normal((STEPS, BATCH, FEATURES)).astype(np.float32)


def random_state(case: Case, seed: int) -> dict[str, np.ndarray]:
    """Torch's parameters in float32, biases included."""
    random = np.random.default_rng(seed)
    named = zip(case.spec.parameter_names, case.spec.parameter_shapes, strict=True)
    return {name: random.uniform(-0.6, 0.6, shape).astype(np.float32) for name, shape in named}


def to_file(arrays: Any) -> dict[str, np.ndarray]:
    """The arrays of a layer or of a list of layers under names of one level, as NumPy arrays."""
    layers = arrays if isinstance(arrays, list) else [arrays]
    named = {(str(k), *path): array for k, layer in enumerate(layers) for path, array in flattened(layer).items()}
    return {"/".join(path): np.asarray(array) for path, array in named.items()}


def from_file(named: Mapping[str, np.ndarray]) -> Any:
    """The arrays that `to_file` named: a dict for one layer, or a list of them."""
    layers: dict[str, dict[str, np.ndarray]] = {}
    for name, array in named.items():
        k, _, rest = name.partition("/")
        layers.setdefault(k, {})[rest] = array
    stack = list(layers.values())
    return stack[0] if len(stack) == 1 else stack
