"""The data that a run was trained on, read again: what baselines learn from when the run is scored on other data."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from fastgru_recipes import read_files
from fastgru_recipes.errors import FilledWarning
from fastgru_recipes.recipe import Recipe
from fastgru_recipes.training.run_directory import read_facts

FILE = "data"  # the entry of config.json


def reread(directory: Path, recipe: Recipe[Any]) -> tuple[Any, str]:
    """The training data of a run.

    Args:
        directory: the run directory.
        recipe: the recipe of the run, which reads files as it did then.

    Returns:
        The data and "", or None and the reason why there are none: a run from Python, a file that was moved or changed.
    """
    fact = read_facts(directory).get(FILE)
    if not isinstance(fact, dict) or not isinstance(fact.get("path"), str):
        return None, "the run does not name its training file"
    path = Path(fact["path"])
    if read_files.is_stdin(path) or not path.exists():
        place = "was the standard input" if read_files.is_stdin(path) else f"{path} is not there"
        return None, f"the training file {place}"
    if read_files.fingerprint(path) != fact.get("sha256"):
        return None, f"the training file {path} has changed"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FilledWarning)  # which the training has told
        return recipe.read(path), ""


def is_same_file(directory: Path, path: Path) -> bool:
    """Whether a file has the content that a run was trained on."""
    fact = read_facts(directory).get(FILE)
    known = fact.get("sha256") if isinstance(fact, dict) else None
    return known is not None and known == read_files.fingerprint(path)
