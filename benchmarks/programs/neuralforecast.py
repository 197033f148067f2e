"""neuralforecast's GRU: two layers over windows of 96 steps, and an MLP that reads the last states."""

from __future__ import annotations

import numpy as np
import pandas as pd
from neuralforecast import NeuralForecast
from neuralforecast.models import GRU

from programs.example_series import example_series
from programs.program import Program

SERIES, STEPS, HORIZON = 20, 400, 24
QUIET = {"logger": False, "enable_progress_bar": False, "enable_checkpointing": False, "enable_model_summary": False}


def make():
    """The forecaster with `nn.GRU` in it, and 20 series."""
    frame = pd.DataFrame(
        {
            "unique_id": np.repeat(np.arange(SERIES), STEPS),
            "ds": np.tile(np.arange(STEPS), SERIES),
            "y": example_series(SERIES, STEPS).ravel(),
        }
    )
    model = GRU(
        h=HORIZON,
        input_size=96,
        encoder_hidden_size=64,
        encoder_n_layers=2,
        max_steps=40,
        windows_batch_size=64,
        accelerator="cpu",
        **QUIET,
    )
    forecasters = []

    def fit():
        forecasters.append(NeuralForecast(models=[model], freq=1))  # copies the model, so it comes after a replacement
        forecasters[0].fit(frame)

    return Program(
        fit=fit,
        predict=lambda: forecasters[0].predict()["GRU"].to_numpy(),
        loss=lambda: float(forecasters[0].models[0].train_trajectories[-1][1]),
        model=model,
    )
