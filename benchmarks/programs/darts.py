"""darts' RNNModel with "GRU": trained on windows of 60 steps, predicts step by step with its state."""

from __future__ import annotations

import numpy as np
from darts import TimeSeries
from darts.models import RNNModel

from programs.example_series import example_series
from programs.program import Program

SERIES, STEPS, HORIZON = 8, 300, 48
QUIET = {"accelerator": "cpu", "logger": False, "enable_progress_bar": False, "enable_model_summary": False}


def make():
    """The model, which makes its network within `fit`."""
    series = [TimeSeries.from_values(values) for values in example_series(SERIES, STEPS)]
    model = RNNModel(
        input_chunk_length=40,
        training_length=60,
        model="GRU",
        hidden_dim=64,
        n_rnn_layers=1,
        n_epochs=3,
        batch_size=32,
        random_state=1,
        pl_trainer_kwargs=QUIET,
    )

    def predict():
        return np.concatenate([forecast.values().ravel() for forecast in model.predict(HORIZON, series)])

    return Program(
        fit=lambda: model.fit(series),
        predict=predict,
        loss=lambda: float(model.trainer.callback_metrics["train_loss"]),
    )
