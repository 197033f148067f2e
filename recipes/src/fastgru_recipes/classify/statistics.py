"""What `classify` reads of a series of numbers: its steps, on one or two scales, and statistics of the whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fastgru_recipes import scaling

Normalize = Literal["both", "training", "series"]
QUANTILES = (0.25, 0.5, 0.75)
FARTHEST = 8.0  # standard deviations from the training part at which statistics are cut
LEVELS = 17  # quantiles of each statistic that are learned, from the smallest to the largest


def statistics(series: NDArray[Any]) -> NDArray[np.float64]:
    """Mean, deviation, smallest, largest, slope and quartiles of each feature of a series (T, F): (8 * F,).

    Example:
        >>> import numpy as np
        >>> from fastgru_recipes.classify.statistics import statistics
        >>> statistics(np.array([[0.0], [1.0], [2.0]])).round(2).tolist()
        [1.0, 0.82, 0.0, 2.0, 1.0, 0.5, 1.0, 1.5]
    """
    steps = np.asarray(series, np.float64)
    times = np.arange(len(steps)) - (len(steps) - 1) / 2
    slope = times @ steps / (float(times @ times) or 1.0)  # 0 for a single step
    quartiles = np.quantile(steps, QUANTILES, axis=0)
    return np.concatenate([steps.mean(0), steps.std(0), steps.min(0), steps.max(0), slope, *quartiles])


def learned_scales(sequences: Sequence[NDArray[Any]]) -> dict[str, Any]:
    """Mean and deviation of the steps of all series, and the scales of their statistics, for a recipe's state."""
    steps = np.concatenate(sequences, dtype=np.float64)  # sums in float32 would drift
    found = np.stack([*map(statistics, sequences)])
    levels = np.quantile(found, np.linspace(0, 1, LEVELS), axis=0)
    return {**scaling.moments([steps]), "statistics": {**scaling.moments([found]), "levels": levels.T.tolist()}}


def scaled_statistics(series: NDArray[Any], scales: dict[str, Any]) -> NDArray[np.float64]:
    """The statistics of a series on two scales (16 * F,): standardized, and by their rank in the training part.

    The rank goes from -1 to 1. It tells small values apart that a few large ones push together on the other scale.
    """
    found = statistics(series)
    ranks = [
        np.interp(value, levels, np.linspace(-1, 1, LEVELS))
        for value, levels in zip(found, scales["levels"], strict=True)
    ]
    return np.concatenate([scaling.standardized(found, scales).clip(-FARTHEST, FARTHEST), ranks])


def scaled_steps(series: NDArray[Any], moments: dict[str, Any], normalize: Normalize) -> NDArray[np.float64]:
    """The steps of a series (T, F): scaled by the training part, by the series itself, or both, (T, 2 * F)."""
    steps = np.asarray(series, np.float64)
    by_training = scaling.standardized(steps, moments)
    if normalize == "training":
        return by_training
    by_itself = (steps - steps.mean(0)) / scaling.deviation(steps)
    return by_itself if normalize == "series" else np.concatenate([by_training, by_itself], 1)


def scales(normalize: Normalize) -> int:
    """How many numbers `scaled_steps` makes of one feature."""
    return 2 if normalize == "both" else 1
