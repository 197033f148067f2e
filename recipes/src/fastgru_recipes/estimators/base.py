"""The base class of the estimators: options in the constructor, fit, save and load."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Union

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from fastgru.errors import ArgumentError
from fastgru_recipes import recipe_class
from fastgru_recipes.errors import RunError, TrainingInterrupted
from fastgru_recipes.estimators.signature import RANDOM_STATE, constructor, parameter
from fastgru_recipes.judgement import baseline_scores
from fastgru_recipes.recipe import Recipe
from fastgru_recipes.training.run_directory import Trained
from fastgru_recipes.training.train import check_directory, train

if TYPE_CHECKING:
    from typing_extensions import Self


Init = Union["Estimator", Path, str, None]  # from whose weights training begins
LARGEST_SEED = 2**31


class Estimator(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Base class of the estimators. The keyword arguments of the constructor are the fields of the recipe.

    The option `seed` has scikit-learn's name, `random_state`: an integer, a RandomState, or None for another result
    each time.

    Attributes:
        trained_: the result of `fit`: recipe, state, model, history, metrics.
    """

    recipe: ClassVar[type[Recipe[Any]]]
    trained_: Trained

    def __init_subclass__(cls, recipe: str = "", **options: Any) -> None:
        super().__init_subclass__(**options)
        if recipe:
            cls.recipe = recipe_class(recipe)
            cls.__init__ = constructor(cls.recipe)  # type: ignore[method-assign]

    def _configured(self) -> Recipe[Any]:
        """The recipe with the options of this estimator. Raises for an option out of bounds."""
        options = self.get_params()
        seed = _seed(options.pop(RANDOM_STATE))
        return self.recipe(**options, seed=seed)

    def _fit(self, data: Any, how: Fitting) -> Self:
        recipe, earlier = self._configured(), self._earlier(how.init)
        try:
            self.trained_ = train(
                recipe,
                data,
                validation=how.validation,
                directory=how.directory,
                resume=how.resume,
                init=earlier,
                progress=how.progress,
            )
        except TrainingInterrupted as error:  # a search continues after an error, but must stop on Ctrl-C
            raise KeyboardInterrupt(str(error)) from error
        self._training = data
        return self

    def _earlier(self, init: Init) -> Trained | None:
        """The run or estimator from whose weights training begins."""
        if init is None:
            return None
        found = init.trained_ if isinstance(init, Estimator) and init._parts() else Trained.load(_path(init))
        if not isinstance(found.recipe, self.recipe):
            names = f"{found.recipe.name}; {type(self).__name__} needs one of {self.recipe.name}"
            raise RunError(f"init is a run of {names}.")
        return found

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
        estimator = cls(**{parameter(name): value for name, value in asdict(trained.recipe).items()})
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


class Fitting(NamedTuple):
    """How `fit` trains.

    Attributes:
        directory: the run directory to make; None: nothing is kept.
        progress: show progress bars.
        validation: the data that choose the best epoch; None: a fraction of the training data.
        init: a fitted estimator or a run directory, from whose weights training begins; None: new weights.
        resume: continue the interrupted run in the directory.
    """

    directory: Path | str | None = None
    progress: bool = False
    validation: Any = None
    init: Init = None
    resume: bool = False


def _seed(given: Any) -> int:
    """The seed that a random state stands for."""
    if given is None or isinstance(given, np.random.RandomState):
        return int(check_random_state(given).randint(LARGEST_SEED))
    if isinstance(given, bool) or not isinstance(given, (int, np.integer)) or not 0 <= given <= LARGEST_SEED:
        raise ArgumentError(
            f"{RANDOM_STATE}={given!r} is not an integer from 0 to {LARGEST_SEED}, a RandomState or None. Give one."
        )
    return int(given)


def _path(init: Any) -> Path:
    if not isinstance(init, (str, Path)):
        raise ArgumentError(f"init={init!r} is neither a run directory nor a fitted estimator. Give one of them.")
    return Path(init)
