"""A trained recipe, and the directory it is kept in."""

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
from fastgru_recipes.plots import learning_curve, save
from fastgru_recipes.recipe import Recipe, State
from fastgru_recipes.training import checkpoints

FORMAT = 1
CONFIG, WEIGHTS, METRICS, HISTORY, PLOTS = "config.json", "weights.safetensors", "metrics.json", "metrics.csv", "plots"


@dataclass(frozen=True)
class Trained:
    """A recipe with everything that training gave it.

    Attributes:
        recipe: its options.
        state: vocabulary or scaler.
        model: the network of the best epoch, in evaluation mode.
        history: a row per epoch: losses, norms of gradients before clipping, seconds.
        metrics: scores and seconds, by name.
    """

    recipe: Recipe[Any]
    state: State
    model: nn.Module
    history: pd.DataFrame
    metrics: dict[str, Any] = field(default_factory=dict)

    def save(self, directory: Path | str) -> None:
        """Writes config, state, weights, the learning curve and metrics, each file whole or not at all.

        The metrics come last: a run that has them is finished.
        """
        directory = Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        write_config(directory, self.recipe, self.state)
        with atomic_write(directory / WEIGHTS) as partial:
            weights = {name: value.contiguous() for name, value in self.model.state_dict().items()}
            partial.write_bytes(serialized(weights, {"state": digest(self.state)}))
        with atomic_write(directory / HISTORY) as partial:
            self.history.to_csv(partial, index=False)
        save(learning_curve(self.history), directory / PLOTS / "learning.png")
        write_json(directory / METRICS, self.metrics)

    @classmethod
    def load(cls, directory: Path | str, kind: type[Recipe[Any]] | None = None) -> Trained:
        """Reads what `save` wrote.

        Args:
            directory: of the run.
            kind: the recipe, where it is one of your own; fastgru finds its own by their names.

        Raises:
            RunError: when a file is missing, damaged, or of another run.

        Warns:
            RunWarning: when figures of the training are damaged; and when the weights come from a checkpoint.
        """
        directory = Path(directory)
        recipe, state = read_config(directory, kind)
        path = directory / WEIGHTS
        weights = _weights(path, directory / recipe.state_file, state) if path.is_file() else _best(directory)
        if not all(value.isfinite().all() for value in weights.values()):
            raise RunError(f"{path} has numbers that are none (nan). Train again, with a smaller rate.")
        try:
            model = recipe.network(state)
            model.load_state_dict(weights)
        except Exception as error:  # whatever a state of another recipe breaks
            raise RunError(
                f"{path} does not fit {recipe.state_file} and {CONFIG} beside it: they are of different runs. Bring "
                "back those of one run."
            ) from error
        return cls(recipe, state, model.eval(), _history(directory), _metrics(directory))


def _weights(path: Path, state_file: Path, state: State) -> dict[str, Tensor]:
    try:
        with safe_open(path, "pt") as file:
            belongs_to = (file.metadata() or {}).get("state")
        weights: dict[str, Tensor] = load_file(path)
    except (SafetensorError, OSError) as error:
        kept = path.parent / checkpoints.DIRECTORY / checkpoints.BEST
        remedy = f"Remove it, and {kept} serves instead" if kept.exists() else "Train again"
        raise RunError(f"{path} is damaged ({error}). {remedy}, or bring it back from a copy.") from error
    if belongs_to not in (None, digest(state)):
        raise RunError(f"{state_file} is not what {path.name} was trained with. Bring it back.")
    return weights


def _best(directory: Path) -> dict[str, Tensor]:
    """The weights of the best epoch from its checkpoint, for a finished run that has lost its own file of them."""
    path, place = directory / WEIGHTS, directory / checkpoints.DIRECTORY
    if not (directory / METRICS).exists():
        raise RunError(f"{path} is missing: this run was not finished. Go on with fastgru train … --resume.")
    kept = next((place / name for name in (checkpoints.BEST, checkpoints.LAST) if (place / name).exists()), None)
    found = {} if kept is None else checkpoints.read_checkpoint(kept, "state_dict")
    chosen_by_validation = any("validation_loss" in key for key in found.get("callbacks", ()))
    if kept is None or (kept.name == checkpoints.LAST and chosen_by_validation):
        raise RunError(
            f"{path} is missing, and {place / checkpoints.BEST} too. Bring one of them back from a copy, or train "
            "again with another --out."
        )
    warnings.warn(RunWarning(f"{path} is missing; {kept}, which has the same weights, serves instead."), stacklevel=3)
    return {name.removeprefix("model."): value for name, value in found["state_dict"].items() if name[:6] == "model."}


def _history(directory: Path) -> pd.DataFrame:
    path = directory / HISTORY
    try:
        return pd.read_csv(path) if path.exists() else pd.DataFrame()
    except (OSError, ValueError) as error:  # no UTF-8, no table, nothing at all
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
        _leave_out(path, f"it holds {type(found).__name__}, no object")
        return {}
    return found


def _leave_out(path: Path, reason: object) -> None:
    """Figures of the training: answers do not need them."""
    said = f"{path} is damaged ({str(reason).strip()}): its figures are left out. Bring it back, or remove it."
    warnings.warn(RunWarning(said), stacklevel=4)


def digest(state: State) -> str:
    """SHA-256 of a vocabulary or scaler: weights keep it, as another one of the same size would fit them too."""
    return hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()


def write_config(directory: Path, recipe: Recipe[Any], state: State, **extra: Any) -> None:
    """Writes the options, and the vocabulary or scaler beside them; what the file says already is kept."""
    path = directory / CONFIG
    kept = read_json(path) if path.exists() else {}
    facts = {"format": FORMAT, "fastgru": fastgru.__version__, "recipe": recipe.name, "options": asdict(recipe)}
    write_json(directory / recipe.state_file, state)
    write_json(path, {**kept, **facts, **extra})


def read_config(directory: Path, kind: type[Recipe[Any]] | None = None) -> tuple[Recipe[Any], State]:
    """The recipe of a run directory, and its vocabulary or scaler."""
    if not (directory / CONFIG).exists():
        raise RunError(f"{directory} is no run directory: it has no {CONFIG}. Make one with fastgru train.")
    config = read_facts(directory)
    if config.get("format", 0) > FORMAT:
        raise RunError(f"{directory} was written by fastgru {config.get('fastgru')}, newer than this one. Upgrade.")
    if config.get("recipe") not in ([*RECIPES] if kind is None else [kind.name]):
        known = ", ".join(RECIPES) if kind is None else kind.name
        raise RunError(f"{directory / CONFIG} names the recipe {config.get('recipe')!r}; there is {known}.")
    kind = kind or recipe_class(config["recipe"])
    try:
        recipe = kind(**config.get("options", {}))
    except TypeError as error:
        raise RunError(f"{directory / CONFIG} holds options that {kind.name} does not have: {error}") from error
    except ArgumentError as error:
        raise RunError(f"{directory / CONFIG}: {error}") from error
    return recipe, read_json(directory / recipe.state_file)


def read_facts(directory: Path) -> dict[str, Any]:
    """All that a run's config.json says."""
    config = read_json(directory / CONFIG)
    if not isinstance(config, dict) or not isinstance(config.get("format", 0), int):
        raise RunError(f"{directory / CONFIG} is not what a run writes: it was changed. Bring it back from a copy.")
    return config


def write_json(path: Path, facts: Any) -> None:
    """Writes a JSON file, whole or not at all."""
    with atomic_write(path) as partial:
        content = json.dumps(defined(facts), indent=2, ensure_ascii=False) + "\n"
        # Paths may have bytes that are no UTF-8; JSON has an escape for what Python makes of them.
        partial.write_bytes(content.encode("utf-8", errors="backslashreplace"))


def defined(facts: Any) -> Any:
    """The same with null for figures that are undefined: JSON has no nan."""
    if isinstance(facts, dict):
        return {name: defined(value) for name, value in facts.items()}
    return None if isinstance(facts, float) and math.isnan(facts) else facts


def read_json(path: Path) -> Any:
    """Reads one; a `RunError` tells of a missing or damaged file."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise RunError(f"{path} is missing: {path.parent} is not a whole run directory.") from error
    except ValueError as error:
        raise RunError(f"{path} is no JSON file ({error}). It was changed or is damaged.") from error
