"""Small data that recipes learn in a second."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch

from fastgru_recipes.classify import Classify
from fastgru_recipes.classify.read_labelled import Labelled

HOURS = 24 * 30


def wave_table(count=HOURS, start="2024-01-01"):
    times = pd.date_range(start, periods=count, freq="h")
    noise = np.random.default_rng(0).normal(size=count) * 0.1
    return pd.DataFrame({"time": times, "value": 5 + np.sin(np.arange(count) * np.pi / 12) + noise})


# One training, whose best weights are those of the network.
CLASSIFIER = {
    "hidden": 8,
    "embedding": 4,
    "batch": 8,
    "epochs": 3,
    "validation": 0.25,
    "dropout": 0.3,
    "retrain_below": 0,
    "linear_below": 0,
}


def texts(count=48, seed=0):
    """Strings of a and b; the label is the letter they begin with."""
    generator = np.random.default_rng(seed)
    found = ["".join(generator.choice(["a", "b"], size=generator.integers(2, 9))) for _ in range(count)]
    return Labelled(found, [text[0] for text in found])


def same_weights(one, other):
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


class Interrupting:
    """Ctrl-C in the batch of that number."""

    def __init__(self, monkeypatch, batch):
        self.left, self.loss = batch, Classify.loss
        monkeypatch.setattr(Classify, "loss", lambda *arguments: self(*arguments))

    def __call__(self, *arguments):
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt
        return self.loss(*arguments)
