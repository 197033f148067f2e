"""A trained recipe, and the run directory in which it is stored."""

from __future__ import annotations

import hashlib
import json
import math
import warnings
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from safetensors.torch import save as serialized
from torch import Tensor, nn

import fastgru
from fastgru.atomic_files import atomic_write
from fastgru.errors import ArgumentError
from fastgru_recipes import RECIPES, recipe_class
from fastgru_recipes.errors import RunError, RunWarning
from fastgru_recipes.option_names import again, spoken
from fastgru_recipes.plots.figures import save
from fastgru_recipes.plots.losses import learning_curve
from fastgru_recipes.recipe import Recipe, State
from fastgru_recipes.training import checkpoints

FORMAT = 2  # 1: networks and options of the first version
CONFIG, WEIGHTS, METRICS, HISTORY, PLOTS = "config.json", "weights.safetensors", "metrics.json", "metrics.csv", "plots"
TRIALS = "trials.csv"  # of the search for options


@dataclass(frozen=True)
class Trained:
    """A trained recipe.

    Attributes:
        recipe: the recipe with its options.
        state: its vocabulary or scaler.
        model: the network of the best epoch, in evaluation mode.
        history: a row for each epoch: losses, gradient norms before clipping, seconds.
        metrics: scores and seconds, by name.
    """

    recipe: Recipe[Any]
    state: State
    model: nn.Module
    history: pd.DataFrame
    metrics: dict[str, Any] = field(default_factory=dict)

    def save(self, directory: Path | str) -> None:
        """Writes config, state, weights, the learning curve and metrics, each file atomically.

        The metrics are written last: a run that has them is finished.
        """
        directory = Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        write_config(directory, self.recipe, self.state)
        _write_weights(directory / WEIGHTS, self.model, self.state)
        with atomic_write(directory / HISTORY) as partial:
            self.history.to_csv(partial, index=False)
        curve = learning_curve(self.history, self.recipe.name, self.recipe.loss_name)
        save(curve, directory / PLOTS / "learning.png")
        write_json(directory / METRICS, self.metrics)

    @classmethod
    def load(cls, directory: Path | str, kind: type[Recipe[Any]] | None = None) -> Trained:
        """Reads a run directory that `save` wrote.

        Args:
            directory: the run directory.
            kind: the class of the recipe. Default: the recipe of this package with the name in config.json.

        Raises:
            RunError: if a file is missing, damaged, or from another run.

        Warns:
            RunWarning: if the figures of the training are damaged, or if the weights are restored from a checkpoint.
        """
        directory = Path(directory)
        recipe, state = read_config(directory, kind)
        path = directory / WEIGHTS
        is_whole = path.is_file()
        weights, kept = (_weights(path, directory / recipe.state_file, state), path) if is_whole else _best(directory)
        if not all(value.isfinite().all() for value in weights.values()):
            raise RunError(f"{path} contains NaN or infinity. Train again with a smaller rate.")
        try:
            model = recipe.network(state)
            model.load_state_dict(weights)
        except Exception as error:  # a state of another recipe can break anything
            raise RunError(
                f"{path} does not fit {recipe.state_file} and {CONFIG} next to it: they are from different runs. "
                "Restore the files of one run."
            ) from error
        if not is_whole:
            _restore(path, model, state, kept)
        return cls(recipe, state, model.eval(), _history(directory), _metrics(directory))


def _weights(path: Path, state_file: Path, state: State) -> dict[str, Tensor]:
    try:
        with safe_open(path, "pt") as file:
            belongs_to = (file.metadata() or {}).get("state")
        weights: dict[str, Tensor] = load_file(path)
    except (SafetensorError, OSError) as error:
        kept = checkpoints.finished(path.parent)
        remedy = f"Remove it to use {kept} instead" if kept is not None else "Train again"
        raise RunError(f"{path} is damaged ({error}). {remedy}, or restore it from a copy.") from error
    if belongs_to not in (None, digest(state)):
        raise RunError(f"{state_file} is not the one that {path.name} was trained with. Restore it.")
    return weights


def _write_weights(path: Path, model: nn.Module, state: State) -> None:
    with atomic_write(path) as partial:
        weights = {name: value.contiguous() for name, value in model.state_dict().items()}
        partial.write_bytes(serialized(weights, {"state": digest(state)}))


def _restore(path: Path, model: nn.Module, state: State, kept: Path) -> None:
    """Writes the weights of a checkpoint to the weights file, which was lost. They serve without it, too."""
    try:
        _write_weights(path, model, state)
        said = f"{path} was missing. It is restored from {kept}, which has the same weights."
    except OSError as error:
        said = (
            f"{path} is missing, and cannot be written ({error.strerror}). {kept}, which has the same weights, is used."
        )
    warnings.warn(RunWarning(said), stacklevel=3)


def _best(directory: Path) -> tuple[dict[str, Tensor], Path]:
    """The weights of a finished run without a weights file, and the checkpoint that has them."""
    path, place = directory / WEIGHTS, directory / checkpoints.DIRECTORY
    if not (directory / METRICS).exists():
        raise RunError(f"{path} is missing: this run is not finished. {again('resume', True)}.")
    kept = checkpoints.finished(directory)
    found = {} if kept is None else checkpoints.read_checkpoint(kept, "state_dict")
    chosen_by_validation = any("validation_loss" in key for key in found.get("callbacks", ()))
    if kept is None or (kept.name == checkpoints.LAST and chosen_by_validation):
        raise RunError(
            f"{path} is missing, and {place / checkpoints.BEST} too. Restore one of them from a copy, or train "
            "again in another directory."
        )
    states = found["state_dict"]
    return {name.removeprefix("model."): states[name] for name in states if name.startswith("model.")}, kept


def _history(directory: Path) -> pd.DataFrame:
    path = directory / HISTORY
    try:
        return pd.read_csv(path) if path.exists() else pd.DataFrame()
    except (OSError, ValueError) as error:  # not UTF-8, not a table, or empty
        _leave_out(path, error)
        return pd.DataFrame()


def _metrics(directory: Path) -> dict[str, Any]:
    path = directory / METRICS
    try:
        found = read_json(path) if path.exists() else {}
    except (OSError, RunError) as error:
        _leave_out(path, error)
        return {}
    if not isinstance(found, dict):
        _leave_out(path, f"it holds {type(found).__name__}, not an object")
        return {}
    return found


def _leave_out(path: Path, reason: object) -> None:
    """Warns that figures of the training are left out, which predictions do not need."""
    said = f"{path} is damaged ({str(reason).strip()}): its figures are left out. Restore it, or remove it."
    warnings.warn(RunWarning(said), stacklevel=4)


def digest(state: State) -> str:
    """SHA-256 of a vocabulary or scaler. It is stored with the weights, which fit any other one of the same size."""
    return hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()


def write_config(directory: Path, recipe: Recipe[Any], state: State, **extra: Any) -> None:
    """Writes the options to config.json, and the vocabulary or scaler. Other entries of config.json are kept."""
    path = directory / CONFIG
    kept = read_json(path) if path.exists() else {}
    facts = {"format": FORMAT, "fastgru": fastgru.__version__, "recipe": recipe.name, "options": asdict(recipe)}
    write_json(directory / recipe.state_file, state)
    write_json(path, {**kept, **facts, **extra})


def read_config(directory: Path, kind: type[Recipe[Any]] | None = None) -> tuple[Recipe[Any], State]:
    """Reads the recipe of a run directory, and its vocabulary or scaler."""
    if not (directory / CONFIG).exists():
        raise RunError(f"{directory} is not a run directory: it has no {CONFIG}. Make one with fastgru train.")
    config = read_facts(directory)
    if config.get("format", 0) > FORMAT:
        raise RunError(f"{directory} was written by fastgru {config.get('fastgru')}, newer than this one. Upgrade.")
    if config.get("format", FORMAT) < FORMAT:
        raise RunError(
            f"{directory} was written by an earlier version, whose networks differ. Train again, or use that version."
        )
    if config.get("recipe") not in ([*RECIPES] if kind is None else [kind.name]):
        known = ", ".join(RECIPES) if kind is None else kind.name
        raise RunError(f"{directory / CONFIG} names the recipe {config.get('recipe')!r}. Expected: {known}.")
    kind = kind or recipe_class(config["recipe"])
    try:
        with spoken("python"):  # a file names options as Python does
            recipe = kind(**config.get("options", {}))
    except TypeError as error:
        raise RunError(f"{directory / CONFIG} holds options that {kind.name} does not have: {error}") from error
    except ArgumentError as error:
        raise RunError(f"{directory / CONFIG}: {error}") from error
    return recipe, read_json(directory / recipe.state_file)


def read_facts(directory: Path) -> dict[str, Any]:
    """Reads all entries of a run's config.json."""
    config = read_json(directory / CONFIG)
    if not isinstance(config, dict) or not isinstance(config.get("format", 0), int):
        raise RunError(f"{directory / CONFIG} is not a config of a run: it was changed. Restore it from a copy.")
    return config


def write_json(path: Path, facts: Any) -> None:
    """Writes a JSON file atomically."""
    with atomic_write(path) as partial:
        content = json.dumps(defined(facts), indent=2, ensure_ascii=False) + "\n"
        # Paths may contain bytes that are not UTF-8; they are written as escapes.
        partial.write_bytes(content.encode("utf-8", errors="backslashreplace"))


def defined(facts: Any) -> Any:
    """The facts with None for NaN, which JSON does not have."""
    if isinstance(facts, dict):
        return {name: defined(value) for name, value in facts.items()}
    return None if isinstance(facts, float) and math.isnan(facts) else facts


def read_json(path: Path) -> Any:
    """Reads a JSON file.

    Raises:
        RunError: if it is missing or damaged.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise RunError(f"{path} is missing: {path.parent} is not a complete run directory.") from error
    except ValueError as error:
        raise RunError(f"{path} is not a valid JSON file ({error}). It was changed or is damaged.") from error
