"""A second training, on all examples, where the first one has held out a part of few."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, NamedTuple

from torch import nn

from fastgru_recipes.errors import TrainingInterrupted
from fastgru_recipes.option_names import again
from fastgru_recipes.training.learner import fit, fresh
from fastgru_recipes.training.prepared import Prepared


class Retrained(NamedTuple):
    """The result of a second training.

    Attributes:
        model: the network.
        examples: how many it has learned from.
        seconds: how long that took.
    """

    model: nn.Module
    examples: int
    seconds: float


def on_all_of_few(ready: Prepared, first: nn.Module, directory: Path | None, **options: Any) -> Retrained | None:
    """Trains a new network on the training and the validation part together; None if they are not few.

    It takes as many steps as the first one had planned, and keeps the last epoch, as without validation.

    Args:
        ready: the recipe and its parts. The validation part was taken from the data.
        first: the network of the first training.
        directory: the run directory, for messages. The second training leaves nothing in it.
        **options: `progress` and `say` of `fit`.

    Raises:
        TrainingInterrupted: on Ctrl-C or SIGTERM.
    """
    recipe, everything = ready.recipe, [*ready.examples["training"], *ready.examples["validation"]]
    if len(everything) >= recipe.retrain_below or not ready.examples["validation"]:
        return None
    if (say := options.get("say")) is not None:
        say(f"Now on all {len(everything)} examples, those of the validation part too:")
    model, since = fresh(recipe, ready.state), time.perf_counter()
    recipe.start(model, ready.state, ready.data)
    try:
        model, _ = fit(recipe, model, everything, [], **options)
    except TrainingInterrupted as error:
        remedy = f"{again('resume', True)} to do so in {directory}." if directory else "Nothing was kept."
        said = "The first training has ended, but not the second one on all examples."
        raise TrainingInterrupted(f"{said} {remedy}") from error
    recipe.follow(model, first)
    return Retrained(model, len(everything), time.perf_counter() - since)
