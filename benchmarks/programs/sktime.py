"""sktime's GRUClassifier: it tells three rhythms apart, in series of 80 steps with two features."""

from __future__ import annotations

import numpy as np
from sktime.classification.deep_learning import GRUClassifier

from programs.program import Program

ROWS, STEPS, CLASSES = 192, 80, 3


def rhythms():
    """(rows, features, steps) and the class of each row."""
    numbers = np.random.default_rng(1)
    labels = np.arange(ROWS) % CLASSES
    period = np.array([9.0, 11.0, 14.0])[labels][:, None]
    phase = numbers.uniform(0, 2 * np.pi, (ROWS, 1))
    angle = 2 * np.pi * np.arange(STEPS) / period + phase
    clean = np.stack([np.sin(angle), np.cos(angle)], axis=1)
    return (clean + numbers.normal(0, 0.3, clean.shape)).astype(np.float32), labels


def make():
    """The classifier, which makes its network within `fit`."""
    x, labels = rhythms()
    classifier = GRUClassifier(
        hidden_dim=64, n_layers=2, batch_first=True, num_epochs=5, batch_size=16, lr=0.002, random_state=1
    )

    def loss():
        chances = classifier.predict_proba(x)[np.arange(ROWS), labels]
        return float(-np.log(chances).mean())

    return Program(
        fit=lambda: classifier.fit(x, labels), predict=lambda: classifier.predict_proba(x).ravel(), loss=loss
    )
