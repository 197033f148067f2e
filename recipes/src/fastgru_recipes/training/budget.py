"""How long a recipe is trained: a number of optimizer steps, whatever the amount of data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from fastgru_recipes.recipe import Recipe
from fastgru_recipes.training.batching import loader

LEAST, MOST = 1_000, 20_000  # steps that are chosen
PASSES = 10  # over the examples, where that is between them
EPOCHS = 20  # of the chosen steps: after each the validation part is scored


class Budget(NamedTuple):
    """The length of a training.

    Attributes:
        epochs: how often the validation part is scored.
        steps: optimizer steps of an epoch.
        batch: the examples of a step.
    """

    epochs: int
    steps: int
    batch: int

    @property
    def total(self) -> int:
        """Optimizer steps in all."""
        return self.epochs * self.steps

    def __str__(self) -> str:
        return f"{_counted(self.total, 'step')} of {_counted(self.batch, 'example')}"


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def budget(recipe: Recipe[Any], examples: Sequence[Any], passes: int = 0) -> Budget:
    """The length of training on these examples: by the options `epochs` or `steps`, or by the number of examples.

    With `passes` that many over the examples are chosen.
    """
    batches: Any = loader(recipe, examples).sampler
    a_pass, size = len(batches), min(batches.size, len(examples))
    if recipe.epochs:
        return Budget(recipe.epochs, a_pass, size)
    steps = recipe.steps or passes * a_pass or min(MOST, max(LEAST, PASSES * a_pass))
    epochs = min(EPOCHS, steps)
    return Budget(epochs, -(-steps // epochs), size)
