"""Checkpoints of a run: written atomically, and checked when read."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO
from torch import nn

from fastgru.atomic_files import atomic_write
from fastgru_recipes.errors import RunError

DIRECTORY, LAST, BEST = "checkpoints", "last.ckpt", "best.ckpt"
FINAL = "final.ckpt"  # of a run that went on to learn from its validation part


class AtomicCheckpoints(TorchCheckpointIO):
    """Writes checkpoints atomically. Lightning's writer overwrites the file in place if TMPDIR is on another disk."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Replaces the file at `path`, or leaves it unchanged."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)  # to memory, because its own error for a full disk is not an OSError
        with atomic_write(path) as partial:
            partial.write_bytes(buffer.getbuffer())


def is_begun(directory: Path) -> bool:
    """Whether a run has a checkpoint to resume from.

    Raises:
        RunError: if the last checkpoint is missing but the best one exists.
    """
    last, best = (directory / DIRECTORY / name for name in (LAST, BEST))
    if best.exists() and not last.exists():
        raise RunError(f"{last} is missing, but {best.name} exists. Restore it, or start another run.")
    return last.exists()


def read_checkpoint(path: Path, *parts: str) -> dict[str, Any]:
    """Reads a checkpoint that must have these parts.

    Raises:
        RunError: if it is missing, damaged, or lacks a part.
    """
    try:
        found: dict[str, Any] = torch.load(path, weights_only=True)
    except FileNotFoundError as error:
        raise RunError(
            f"{path} is missing: the run cannot be resumed. Start another one in another directory."
        ) from error
    except (RuntimeError, pickle.UnpicklingError, EOFError, LookupError, ValueError, OSError) as error:
        raise RunError(f"{path} is damaged. Restore it from a copy, or start another run.") from error
    if not isinstance(found, dict) or any(part not in found for part in parts):
        raise RunError(f"{path} is not a checkpoint of a training. Restore it, or start another run.")
    return found


def keep_final(directory: Path, model: nn.Module) -> None:
    """Keeps the weights of a finished run beside those of its best epoch, if they differ.

    A run that is resumed because its scores were lost scores the best epoch again, which has not seen the validation
    part.
    """
    best, final = (directory / DIRECTORY / name for name in (BEST, FINAL))
    if not best.exists():
        return
    found = read_checkpoint(best, "state_dict")
    weights = {f"model.{name}": value for name, value in model.state_dict().items()}
    if any(not torch.equal(found["state_dict"].get(name, torch.empty(0)), value) for name, value in weights.items()):
        AtomicCheckpoints().save_checkpoint({"state_dict": weights}, final)


def finished(directory: Path) -> Path | None:
    """The checkpoint with the weights of a finished run, if there is one."""
    places = (directory / DIRECTORY / name for name in (FINAL, BEST, LAST))
    return next((place for place in places if place.exists()), None)
