"""Holding torch to an instruction-set level of ours, so that both layers may use the same instructions."""

from __future__ import annotations

import os

# For torch's own kernels, MKL's and oneDNN's: the words of each library. Without settings they use what they find.
_SETTINGS = {
    "avx2": {
        "ATEN_CPU_CAPABILITY": "avx2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
    },
    "baseline": {
        "ATEN_CPU_CAPABILITY": "default",
        "MKL_ENABLE_INSTRUCTIONS": "SSE4_2",
        "ONEDNN_MAX_CPU_ISA": "SSE41",
    },
}


def hold_torch(level: str) -> None:
    """Holds torch to the instructions of a level, in a process in which it has not computed anything yet.

    torch reads these settings once, when it first computes. `machine()["torch_level"]` tells what it uses. Variables
    that are already set stay.

    Args:
        level: one of our levels. Those for which torch has no setting leave it as it is.

    Example:
        >>> from fastgru.bench import hold_torch
        >>> hold_torch("avx512")
    """
    for name, value in _SETTINGS.get(level, {}).items():
        os.environ.setdefault(name, value)
