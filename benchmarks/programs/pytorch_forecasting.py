"""pytorch-forecasting's RecurrentNetwork: a GRU over up to 60 steps, packed, then step by step over 20 more."""

from __future__ import annotations

import lightning.pytorch as lightning
import numpy as np
import pandas as pd
from pytorch_forecasting import RecurrentNetwork, TimeSeriesDataSet

from programs.example_series import example_series
from programs.program import Program

SERIES, STEPS = 8, 150
QUIET = {"logger": False, "enable_progress_bar": False, "enable_checkpointing": False, "enable_model_summary": False}


def windows():
    """Windows of several lengths, so that the library packs them."""
    frame = pd.DataFrame(
        {
            "series": np.repeat(np.arange(SERIES), STEPS).astype(str),
            "time": np.tile(np.arange(STEPS), SERIES),
            "value": example_series(SERIES, STEPS).ravel(),
        }
    )
    return TimeSeriesDataSet(
        frame,
        time_idx="time",
        target="value",
        group_ids=["series"],
        min_encoder_length=30,
        max_encoder_length=60,
        max_prediction_length=20,
        time_varying_unknown_reals=["value"],
    )


def make():
    """The network, whose layer is a subclass of `nn.GRU`."""
    data = windows()
    model = RecurrentNetwork.from_dataset(data, cell_type="GRU", hidden_size=64, rnn_layers=2, dropout=0.1)
    trainer = lightning.Trainer(accelerator="cpu", max_epochs=1, **QUIET)
    train = data.to_dataloader(train=True, batch_size=32, num_workers=0)
    test = data.to_dataloader(train=False, batch_size=128, num_workers=0)

    def predict():
        return model.predict(test, trainer_kwargs={"accelerator": "cpu", **QUIET})[::8].numpy().ravel()

    return Program(
        fit=lambda: trainer.fit(model, train),
        predict=predict,
        loss=lambda: float(trainer.callback_metrics["train_loss_epoch"]),
        model=model,
    )
