"""Scores of baselines beside those of a trained recipe, and a sentence that says which is better."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from math import isclose, isnan
from typing import Any

from fastgru_recipes.recipe import Recipe, State

SAME = 1e-4  # of scores, relative: such a difference is not shown, and on a series without noise it is rounding


def baseline_scores(recipe: Recipe[Any], training: Any, test: Any, state: State) -> dict[str, dict[str, float]]:
    """The scores of the recipe's baselines on `test`, by their names; each has the recipe's metric.

    Args:
        recipe: the recipe with its options.
        training: the data that the baselines learn from. None: only baselines that learn nothing are scored.
        test: data with answers.
        state: what the recipe has learned, by which it is judged: units of errors, the tag that F1 does not count.
    """
    module = import_module(f"{type(recipe).__module__.rpartition('.')[0]}.baselines")
    found: dict[str, dict[str, float]] = module.compared(recipe, training, test, state)
    return found


def verdict(recipe: Recipe[Any], scores: Mapping[str, float], baselines: Mapping[str, Mapping[str, float]]) -> str:
    """A sentence that compares the score with the best baseline; empty if there is nothing to compare.

    Example:
        >>> from fastgru_recipes import recipe_class
        >>> from fastgru_recipes.judgement import verdict
        >>> verdict(recipe_class("classify")(), {"accuracy": 0.9}, {"majority": {"accuracy": 0.5}})
        'The network is better than the best baseline, majority: accuracy 0.9 against 0.5.'
    """
    judged = {name: each[recipe.metric] for name, each in baselines.items() if not isnan(each[recipe.metric])}
    own = scores.get(recipe.metric, float("nan"))
    if not judged or isnan(own):
        return ""
    name = (max if recipe.higher_is_better else min)(judged, key=lambda each: judged[each])
    figures = f"{recipe.metric} {own:.4g} against {judged[name]:.4g}"
    if isclose(own, judged[name], rel_tol=SAME, abs_tol=SAME / 10):
        return f"The network is as good as the best baseline, {name}: {figures}. The baseline is simpler."
    if (own > judged[name]) == recipe.higher_is_better:
        return f"The network is better than the best baseline, {name}: {figures}."
    return f"The network does not beat the baseline {name}: {figures}. {recipe.advice}"
