"""Checkpoints of a run: each is whole or not there, and a damaged one is named."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from fastgru.atomic_files import atomic_write
from fastgru_recipes.errors import RunError

DIRECTORY, LAST, BEST = "checkpoints", "last.ckpt", "best.ckpt"


class AtomicCheckpoints(TorchCheckpointIO):
    """Writes beside the file and renames: Lightning's own writer copies over it where TMPDIR is another disk."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Replaces the file at `path`, or leaves it as it was."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)  # which would tell of a full disk in words of its own, and as no OSError
        with atomic_write(path) as partial:
            partial.write_bytes(buffer.getbuffer())


def is_begun(directory: Path) -> bool:
    """Whether a run has a checkpoint to go on from.

    Raises:
        RunError: where the one to go on from is missing, but another is there.
    """
    last, best = (directory / DIRECTORY / name for name in (LAST, BEST))
    if best.exists() and not last.exists():
        raise RunError(f"{last} is missing, though {best.name} is there. Bring it back, or start another run.")
    return last.exists()


def read_checkpoint(path: Path, *parts: str) -> dict[str, Any]:
    """A checkpoint that has these parts.

    Raises:
        RunError: for one that is missing, damaged, or lacks a part.
    """
    try:
        found: dict[str, Any] = torch.load(path, weights_only=True)
    except FileNotFoundError as error:
        raise RunError(f"{path} is missing: the run cannot go on. Start another with another --out.") from error
    except (RuntimeError, pickle.UnpicklingError, EOFError, LookupError, ValueError, OSError) as error:
        raise RunError(f"{path} is damaged. Bring it back from a copy, or start another run.") from error
    if not isinstance(found, dict) or any(part not in found for part in parts):
        raise RunError(f"{path} is no checkpoint that training goes on from. Bring it back, or start another run.")
    return found
