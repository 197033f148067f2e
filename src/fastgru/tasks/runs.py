"""A trained recipe, and the directory it is kept in."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import nn

import fastgru
from fastgru.errors import ArgumentError, RunError
from fastgru.files import whole
from fastgru.tasks import RECIPES, recipe_class
from fastgru.tasks.plots import learning_curve, save
from fastgru.tasks.recipe import Recipe, State

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
        with whole(directory / WEIGHTS) as partial:
            weights = {name: value.contiguous() for name, value in self.model.state_dict().items()}
            save_file(weights, partial, {"state": digest(self.state)})
        with whole(directory / HISTORY) as partial:
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
        """
        directory = Path(directory)
        recipe, state = read_config(directory, kind)
        path = directory / WEIGHTS
        if not path.is_file():
            raise RunError(f"{path} is missing: this run was not finished. Go on with fastgru train … --resume.")
        try:
            with safe_open(path, "pt") as file:
                belongs_to = (file.metadata() or {}).get("state")
            weights = load_file(path)
        except (SafetensorError, OSError) as error:
            raise RunError(f"{path} is damaged ({error}). Train again, or bring it back from a copy.") from error
        if not all(value.isfinite().all() for value in weights.values()):
            raise RunError(f"{path} has numbers that are none (nan). Train again, with a smaller rate.")
        if belongs_to not in (None, digest(state)):
            raise RunError(f"{directory / recipe.state_file} is not what {path.name} was trained with. Bring it back.")
        try:
            model = recipe.network(state)
            model.load_state_dict(weights)
        except Exception as error:  # whatever a state of another recipe breaks
            raise RunError(
                f"{path} does not fit {recipe.state_file} and {CONFIG} beside it: they are of different runs. Bring "
                "back those of one run."
            ) from error
        return cls(recipe, state, model.eval(), _history(directory), read_json(directory / METRICS))


def _history(directory: Path) -> pd.DataFrame:
    path = directory / HISTORY
    if not path.exists():
        return pd.DataFrame()
    try:
        return pd.read_csv(path)
    except ValueError as error:  # no UTF-8, no table, nothing at all
        raise RunError(f"{path} is damaged ({str(error).strip()}). Bring it back from a copy, or remove it.") from error


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
    with whole(path) as partial:
        partial.write_text(json.dumps(defined(facts), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


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
