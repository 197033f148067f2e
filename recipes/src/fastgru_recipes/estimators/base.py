"""The base class of the estimators: options in the constructor, fit, save and load."""

from __future__ import annotations

import inspect
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from fastgru.errors import ArgumentError
from fastgru_recipes import recipe_class
from fastgru_recipes.errors import RunError, TrainingInterrupted
from fastgru_recipes.judgement import baseline_scores
from fastgru_recipes.recipe import Recipe
from fastgru_recipes.training.run_directory import Trained
from fastgru_recipes.training.train import check_directory, train

if TYPE_CHECKING:
    from typing_extensions import Self


class Estimator(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Base class of the estimators. The keyword arguments of the constructor are the fields of the recipe.

    Attributes:
        trained_: the result of `fit`: recipe, state, model, history, metrics.
    """

    recipe: ClassVar[type[Recipe[Any]]]
    trained_: Trained

    def __init_subclass__(cls, recipe: str = "", **options: Any) -> None:
        super().__init_subclass__(**options)
        if recipe:
            cls.recipe = recipe_class(recipe)
            cls.__init__ = _constructor(cls.recipe)  # type: ignore[method-assign]

    def _fit(self, data: Any, directory: Path | str | None, progress: bool) -> Self:
        place = None if directory is None else Path(directory)
        try:
            self.trained_ = train(self.recipe(**self.get_params()), data, directory=place, progress=progress)
        except TrainingInterrupted as error:  # a search continues after an error, but must stop on Ctrl-C
            raise KeyboardInterrupt(str(error)) from error
        self._training = data
        return self

    def __getstate__(self) -> dict[str, Any]:
        """Without the training data, which only `score_table` needs."""
        state: dict[str, Any] = super().__getstate__()
        return {name: value for name, value in state.items() if name != "_training"}

    def _table(self, test: Any) -> pd.DataFrame:
        """The scores of the network and of its baselines on data with answers."""
        recipe, model, state = self._parts()
        if not hasattr(self, "_training"):
            raise ArgumentError("a loaded estimator has no training data, which the baselines need: fit it here.")
        found = {type(self).__name__: recipe.score(model, state, test)}
        return pd.DataFrame(found | baseline_scores(recipe, self._training, test, state)).T

    def _parts(self) -> tuple[Any, Any, Any]:
        """Recipe, network and state. Raises NotFittedError before `fit`."""
        check_is_fitted(self, "trained_")
        return self.trained_.recipe, self.trained_.model, self.trained_.state

    @property
    def history_(self) -> pd.DataFrame:
        """A table with one row of figures for each epoch."""
        self._parts()
        return self.trained_.history

    def save(self, directory: Path | str) -> None:
        """Writes a run directory, which the commands of `fastgru` can use too. It contains no pickles."""
        self._parts()
        check_directory(Path(directory), resume=False)
        self.trained_.save(Path(directory))

    @classmethod
    def load(cls, directory: Path | str) -> Self:
        """Reads a run directory that `save` or the command line made."""
        trained = Trained.load(Path(directory))
        if not isinstance(trained.recipe, cls.recipe):
            raise RunError(f"{directory} is a run of {trained.recipe.name}; {cls.__name__} is for {cls.recipe.name}.")
        estimator = cls(**asdict(trained.recipe))
        estimator.trained_ = trained
        estimator._restore()
        return estimator

    def _restore(self) -> None:
        """Sets the attributes that `fit` sets in addition to `trained_`."""


class Scored(Estimator):
    """Base class of estimators whose input is not a numeric array: a table with times, a text, sentences.

    A higher score is better, as scikit-learn requires.
    """

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.string = self.recipe.name != "forecast"
        tags.target_tags.required = self.recipe.name in ("translate", "tag")
        return tags

    def _score(self, data: Any) -> float:
        recipe, model, state = self._parts()
        value = float(recipe.score(model, state, data)[recipe.metric])
        return value if recipe.higher_is_better else -value


def _constructor(recipe: type[Recipe[Any]]) -> Any:
    """An `__init__` that stores the recipe's options unchecked: by scikit-learn's convention `fit` checks them."""
    defaults = {each.name: each.default for each in fields(recipe)}

    def __init__(self: Estimator, **options: Any) -> None:  # noqa: N807
        unknown = [name for name in options if name not in defaults]
        if unknown:
            raise TypeError(f"{type(self).__name__} has no option {unknown[0]!r}. Options: {', '.join(defaults)}.")
        self.__dict__.update({**defaults, **options})

    keyword = inspect.Parameter.KEYWORD_ONLY
    own = [inspect.Parameter(name, keyword, default=default) for name, default in defaults.items()]
    signature = inspect.Signature([inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD), *own])
    __init__.__signature__ = signature  # type: ignore[attr-defined]
    helps = [f"    {each.name}: {each.metadata['help']} Default: {each.default!r}." for each in fields(recipe)]
    __init__.__doc__ = "\n".join(["All options are keyword arguments; `fit` checks them.", "", "Args:", *helps])
    return __init__
