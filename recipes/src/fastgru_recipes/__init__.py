"""Recipes that train GRUs on a user's file, and estimators with the interface of scikit-learn.

    from fastgru_recipes import Forecaster

    forecaster = Forecaster(context=96, horizon=24).fit(table)
    forecaster.predict(table)

Each recipe is a small folder that can be read and copied: `forecast`, `generate`, `translate`, `classify` and `tag`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from fastgru.errors import ArgumentError, not_installed

if TYPE_CHECKING:
    from fastgru_recipes.estimators import Forecaster, Generator, SequenceClassifier, Tagger, Translator
    from fastgru_recipes.forecast.backtest import backtest
    from fastgru_recipes.recipe import Recipe
    from fastgru_recipes.training.export import export

# Recipe -> its dataclass, in the folder of the same name, and its description on the command line.
RECIPES = {
    "forecast": ("Forecast", "forecasting of one or many time series, with quantiles"),
    "generate": ("Generate", "generation of text in the style of a file"),
    "translate": ("Translate", "translation of sentences, learned from pairs"),
    "classify": ("Classify", "classification of texts or multivariate series"),
    "tag": ("Tag", "tagging of the tokens of a text"),
}

PLACES = {"backtest": "forecast.backtest", "export": "training.export"}  # of functions; classes are estimators

__all__ = [
    "RECIPES",
    "Forecaster",
    "Generator",
    "SequenceClassifier",
    "Tagger",
    "Translator",
    "backtest",
    "export",
    "recipe_class",
]


def recipe_class(name: str) -> type[Recipe[Any]]:
    """The dataclass of the recipe `name`.

    Raises:
        ArgumentError: if there is no such recipe.
        MissingExtra: if a package that it needs is not installed.

    Example:
        >>> from fastgru_recipes import recipe_class
        >>> recipe_class("classify").name
        'classify'
    """
    if name not in RECIPES:
        raise ArgumentError(f"there is no recipe {name!r}. Recipes: {', '.join(RECIPES)}.")
    try:
        module = import_module(f"fastgru_recipes.{name}")
    except ModuleNotFoundError as missing:
        raise _named(missing, f"recipe {name}") from missing
    kind: type[Recipe[Any]] = getattr(module, RECIPES[name][0])
    return kind


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'fastgru_recipes' has no attribute {name!r}")
    try:
        return getattr(import_module(f"fastgru_recipes.{PLACES.get(name, 'estimators')}"), name)
    except ModuleNotFoundError as missing:
        raise _named(missing, f"fastgru_recipes.{name}") from missing


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])


def _named(missing: ModuleNotFoundError, purpose: str) -> Exception:
    package = missing.name or ""
    return missing if package.startswith("fastgru") else not_installed(package, "fastgru-recipes", purpose)
