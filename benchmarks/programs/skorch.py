"""A scikit-learn regressor made by skorch around `nn.GRU`: the next value after 100 steps."""

from __future__ import annotations

import numpy as np
import torch
from skorch import NeuralNetRegressor

from programs.example_series import example_series
from programs.program import Program

STEPS = 100


class Next(torch.nn.Module):
    """The next value of a series, from the last state of a GRU."""

    def __init__(self):
        super().__init__()
        self.gru = torch.nn.GRU(1, 128, batch_first=True)
        self.head = torch.nn.Linear(128, 1)

    def forward(self, x):
        """(B, T, 1) to (B, 1)."""
        return self.head(self.gru(x)[1][-1])


def make():
    """The regressor, and a thousand windows."""
    windows = np.lib.stride_tricks.sliding_window_view(example_series(4, 360), STEPS + 1, axis=1).reshape(-1, STEPS + 1)
    x, y = windows[:, :-1, None].copy(), windows[:, -1:].copy()
    net = NeuralNetRegressor(
        Next, max_epochs=2, lr=0.003, batch_size=32, optimizer=torch.optim.Adam, train_split=None, verbose=0
    ).initialize()
    return Program(
        fit=lambda: net.partial_fit(x, y),
        predict=lambda: net.predict(x).ravel(),
        loss=lambda: net.history[-1, "train_loss"],
        model=net.module_,
    )
