"""Training that begins with the weights of an earlier run: with its network, and with its vocabulary or scaler."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from torch import nn

from fastgru_recipes.errors import RunError
from fastgru_recipes.option_names import given
from fastgru_recipes.recipe import Recipe
from fastgru_recipes.training.run_directory import Trained

# Options that say how long and how to train. Each training has its own.
OF_TRAINING = (
    *("steps", "epochs", "batch", "rate", "clip", "patience", "validation", "retrain_below", "precision"),
    *("seed", "dropout"),
)


def continued(recipe: Recipe[Any], earlier: Recipe[Any]) -> Recipe[Any]:
    """The recipe with the options of an earlier one in the place of those that have their defaults.

    Options of the training itself are its own.

    Raises:
        RunError: if another value was given for an option on which the network or its vocabulary or scaler depends.

    Example:
        >>> from fastgru_recipes import recipe_class
        >>> from fastgru_recipes.training.continued import continued
        >>> classify = recipe_class("classify")
        >>> again = continued(classify(rate=1e-3), classify(hidden=8, rate=1e-2))
        >>> again.hidden, again.rate
        (8, 0.001)
    """
    if recipe.name != earlier.name:
        raise RunError(f"the earlier run is one of {earlier.name}, not of {recipe.name}. Give one of {recipe.name}.")
    taken = {}
    for each in fields(recipe):
        now, then = getattr(recipe, each.name), getattr(earlier, each.name)
        if each.name in OF_TRAINING or now == then:
            continue
        if now == each.default:
            taken[each.name] = then
        elif each.name in recipe.of_network:
            there = f"the earlier run, which has {given(each.name, then)}"
            raise RunError(f"{given(each.name, now)} does not fit {there}. Leave it out, or train anew.")
    return replace(recipe, **taken)


def load_weights(model: nn.Module, earlier: Trained) -> None:
    """Gives a network the weights of an earlier run.

    Raises:
        RunError: if they are for another network, such as one with other columns.
    """
    theirs, ours = earlier.model.state_dict(), model.state_dict()
    different = [name for name in ours if name not in theirs or theirs[name].shape != ours[name].shape]
    different += [name for name in theirs if name not in ours]
    if different:
        name = different[0]
        sizes = " and ".join(str(tuple(each[name].shape)) if name in each else "absent" for each in (ours, theirs))
        raise RunError(
            f"the weights of the earlier run do not fit: {name} is {sizes}, here and there. Give data with the same "
            "columns, or train anew."
        )
    model.load_state_dict(theirs)
