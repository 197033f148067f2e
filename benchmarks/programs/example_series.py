"""Example series: two periods and some noise, the same numbers in each run."""

from __future__ import annotations

import numpy as np


def example_series(count, steps, seed=1):
    """`count` series of `steps` values in float32: (count, steps)."""
    numbers = np.random.default_rng(seed)
    t = np.arange(steps)
    phase = numbers.uniform(0, 2 * np.pi, (count, 1))
    slow = np.sin(2 * np.pi * t / 50 + phase)
    fast = 0.5 * np.sin(2 * np.pi * t / 12 + 2 * phase)
    return (slow + fast + numbers.normal(0, 0.1, (count, steps))).astype(np.float32)
