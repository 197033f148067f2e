"""A recipe as an estimator: scikit-learn searches its options, and the best one is saved without pickle."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from sklearn.model_selection import GridSearchCV

from fastgru_recipes import SequenceClassifier

LABELS = np.array(["growing", "shrinking"] * 30)


def spiral(label: str, generator: np.random.Generator) -> np.ndarray:
    """A random number of noisy points (T, 2) on a spiral."""
    turns = np.linspace(0, 6, generator.integers(12, 24))
    radius = turns if label == "growing" else turns[::-1]
    return np.stack([radius * np.cos(turns), radius * np.sin(turns)], 1) + generator.normal(size=(len(turns), 2))


def main() -> None:
    generator = np.random.default_rng(0)
    spirals = [spiral(label, generator) for label in LABELS]
    classifier = SequenceClassifier(epochs=8, validation=0.0)
    search = GridSearchCV(classifier, {"hidden": [2, 16], "rate": [0.003, 0.02]}, cv=2).fit(spirals, LABELS)
    for options, score in zip(search.cv_results_["params"], search.cv_results_["mean_test_score"], strict=True):
        print(options, f"{score:.2f}")

    with tempfile.TemporaryDirectory() as directory:
        search.best_estimator_.save(Path(directory) / "run")
        loaded = SequenceClassifier.load(Path(directory) / "run")
    new = spiral("shrinking", generator)
    print("the best says:", loaded.predict([new])[0], loaded.predict_proba([new]).round(2)[0])


if __name__ == "__main__":
    main()
