"""Weights in fewer bytes leave trained models as good as they were."""

from __future__ import annotations

import pytest
import torch

import trained_models
from tolerance import QUANTIZED_MEASURE

STEPS = {"forecaster": 40, "character model": 30, "classifier": 40}


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[] if name == "classifier" else pytest.mark.slow) for name in trained_models.MODELS],
)
def test_a_trained_model_stays_as_good(name):
    torch.manual_seed(0)
    found = trained_models.measures(trained_models.MODELS[name](STEPS[name]))
    for weights in trained_models.STORED:
        change = abs(found[weights] / found["float32"] - 1)
        assert change <= QUANTIZED_MEASURE, f"{weights}: {found[weights]:.4f} instead of {found['float32']:.4f}"
