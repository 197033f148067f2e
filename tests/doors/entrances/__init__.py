"""Every entry point of the package that takes tensors, by name."""

from doors.entrances import bounded, broken, layers, operators, others, packed  # noqa: F401  (each adds its own)
from doors.registry import ENTRANCES, Entrance

__all__ = ["ENTRANCES", "Entrance"]
