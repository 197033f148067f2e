"""What training needs of a recipe and its data: options, state, parts and examples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fastgru_recipes import read_files
from fastgru_recipes.errors import DataError
from fastgru_recipes.recipe import Data, Example, Recipe, State


@dataclass(frozen=True)
class Prepared:
    """A recipe that is ready to be trained.

    Attributes:
        recipe: the recipe, with the options that were left to the data.
        data: the training data, before a validation part was taken from them.
        state: what it has learned from the training part before the network.
        parts: the parts that there are: training, validation, test, in this order.
        examples: those of each part; an empty list where there is no such part.
    """

    recipe: Recipe[Any]
    data: Any
    state: State
    parts: dict[str, Any]
    examples: dict[str, Sequence[Example]]


def prepare(
    recipe: Recipe[Data],
    data: Data,
    validation: Data | None = None,
    test: Data | None = None,
    facts: dict[str, Any] | None = None,
    earlier: State | None = None,
) -> Prepared:
    """Splits data, learns the state, and makes the examples.

    Args:
        recipe: the recipe with its options.
        data: the training data.
        validation: the data that choose the best epoch. Default: the fraction `recipe.validation` of `data`.
        test: the data that are scored once.
        facts: entries of config.json, which name the files for messages.
        earlier: the state of an earlier run, which is used in the place of a new one.

    Raises:
        DataError: for data that the recipe cannot learn from.
    """
    facts = facts or {}
    learned, held_out = data, validation
    with read_files.about(_place("training", facts)):
        recipe = recipe.resolved(data)
        if validation is None and recipe.validation:
            learned, held_out = recipe.split(data)
        state = recipe.learn_state(learned) if earlier is None else earlier
    parts = {"training": learned, "validation": held_out, "test": test}
    examples = {name: _examples(recipe, state, name, part, facts) for name, part in parts.items()}
    return Prepared(recipe, data, state, {name: part for name, part in parts.items() if part is not None}, examples)


def _place(name: str, facts: dict[str, Any]) -> str:
    """The name of a part of the data in messages: its file, if that is known and has only this part."""
    fact = {"training": "data", "validation": "validation_data", "test": "test_data"}[name]
    return str(facts[fact]["path"]) if isinstance(facts.get(fact), dict) else f"the {name} part"


def _examples(
    recipe: Recipe[Data], state: State, name: str, part: Data | None, facts: dict[str, Any]
) -> Sequence[Example]:
    """The examples of a part. The test part is checked before training too, and not an hour later."""
    if part is None:
        return []
    with read_files.about(_place(name, facts)):
        found = recipe.examples(part, state)
    if not len(found):
        raise DataError(
            f"the {name} part is empty: a fraction of {recipe.validation:g} of so few data has no example. Give more "
            "data, or set validation to 0."
        )
    return found
