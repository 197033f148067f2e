"""OpenVINO's CPU plugin on a model of one GRUSequence."""

from __future__ import annotations

import numpy as np
import openvino
from cases import Case, cases
from node_arrays import random_node
from openvino import opset13

CASES = cases(resets=(True, False))


def make(features: int, hidden: int, case: Case, seed: int) -> dict[str, np.ndarray]:
    """The operation's inputs W, R and B."""
    return random_node(features, hidden, case, seed, biases=4 if case.reset_after else 3)


def run(arrays: dict[str, np.ndarray], x: np.ndarray, case: Case) -> np.ndarray:
    """The outputs (T, B, D*H) of an operation with these arrays."""
    directions, _, hidden = arrays["R"].shape
    steps, batch, features = x.shape
    given = opset13.parameter([batch, steps, features], np.float32)
    gru = opset13.gru_sequence(
        given,
        opset13.constant(np.zeros((batch, directions, hidden), np.float32)),
        opset13.constant(np.full(batch, steps, np.int32)),
        *(opset13.constant(arrays[name]) for name in ("W", "R", "B")),
        hidden_size=hidden,
        direction="bidirectional" if directions == 2 else "forward",
        linear_before_reset=case.reset_after,
    )
    config = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.Core().compile_model(openvino.Model([gru.output(0)], [given]), "CPU", config)
    y = compiled([x.transpose(1, 0, 2).copy()])[0]
    return y.transpose(2, 0, 1, 3).reshape(steps, batch, -1)
