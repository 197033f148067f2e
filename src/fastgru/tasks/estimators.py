"""The recipes with scikit-learn's habits: options in the constructor, fit, predict, score, get_params, clone, pickle."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from fastgru.errors import DataError, RunError
from fastgru.tasks import recipe_class, work
from fastgru.tasks.labelled import Labelled
from fastgru.tasks.recipe import Recipe
from fastgru.tasks.runs import Trained

if TYPE_CHECKING:
    from typing_extensions import Self

Sequences = Sequence[str] | Sequence[NDArray[Any]] | NDArray[Any]


class _Estimator(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """What the estimators share. The options of the constructor are the fields of the recipe, by keyword.

    Attributes:
        trained_: what `fit` learned: recipe, state, model, history, metrics.
    """

    recipe: ClassVar[type[Recipe[Any]]]
    trained_: Trained

    def __init_subclass__(cls, recipe: str, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls.recipe = recipe_class(recipe)
        cls.__init__ = _constructor(cls.recipe)  # type: ignore[method-assign]

    def _fit(self, data: Any, directory: Path | str | None, progress: bool) -> Self:
        place = None if directory is None else Path(directory)
        self.trained_ = work.train(self.recipe(**self.get_params()), data, directory=place, progress=progress)
        return self

    def _parts(self) -> tuple[Any, Any, Any]:
        """Recipe, network and state, once there are any."""
        check_is_fitted(self, "trained_")
        return self.trained_.recipe, self.trained_.model, self.trained_.state

    @property
    def history_(self) -> pd.DataFrame:
        """A row of figures for each epoch."""
        return self.trained_.history

    def save(self, directory: Path | str) -> None:
        """Writes a run directory, which the commands of `fastgru` take too; nothing in it is a pickle."""
        self._parts()
        work.check_directory(Path(directory), resume=False)
        self.trained_.save(Path(directory))

    @classmethod
    def load(cls, directory: Path | str) -> Self:
        """Reads a run directory, of `save` or of the command line."""
        trained = Trained.load(Path(directory))
        if not isinstance(trained.recipe, cls.recipe):
            raise RunError(f"{directory} is a run of {trained.recipe.name}; {cls.__name__} is for {cls.recipe.name}.")
        estimator = cls(**asdict(trained.recipe))
        estimator.trained_ = trained
        estimator._restore()
        return estimator

    def _restore(self) -> None:
        """Sets what `fit` sets besides `trained_`."""


def _constructor(recipe: type[Recipe[Any]]) -> Any:
    """An `__init__` that keeps the recipe's options as they come: scikit-learn has them checked by `fit`."""
    defaults = {each.name: each.default for each in fields(recipe)}

    def __init__(self: _Estimator, **options: Any) -> None:  # noqa: N807
        unknown = [name for name in options if name not in defaults]
        if unknown:
            raise TypeError(f"{type(self).__name__} has no option {unknown[0]!r}. Options: {', '.join(defaults)}.")
        self.__dict__.update({**defaults, **options})

    keyword = inspect.Parameter.KEYWORD_ONLY
    own = [inspect.Parameter(name, keyword, default=default) for name, default in defaults.items()]
    signature = inspect.Signature([inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD), *own])
    __init__.__signature__ = signature  # type: ignore[attr-defined]
    return __init__


class SequenceClassifier(ClassifierMixin, _Estimator, recipe="classify"):  # type: ignore[misc]
    """A label for each text or series.

    X is a list of texts; or a list of arrays (T_i, F), series of F features and any lengths; or one array (N, T, F), or
    (N, T) for series of one feature. y is N labels: texts, numbers or booleans.

    Attributes:
        classes_: (K,), the labels.

    Example:
        >>> from fastgru.tasks import SequenceClassifier
        >>> texts, labels = ["aab", "aba", "bba", "bab"] * 10, ["a", "a", "b", "b"] * 10
        >>> classifier = SequenceClassifier(hidden=8, epochs=20, rate=0.02, validation=0.0).fit(texts, labels)
        >>> classifier.predict(["abb", "baa"]).tolist()
        ['a', 'b']
    """

    def fit(self, X: Sequences, y: Any, directory: Path | str | None = None, progress: bool = False) -> Self:  # noqa: N803
        """Learns from sequences and labels; keeps a run directory where one is named."""
        sequences = self._sequences(X, reset=True)
        check_classification_targets(y)
        labels = np.asarray(y)
        if labels.shape != (len(sequences),):
            raise DataError(f"y has the shape {labels.shape}; {len(sequences)} sequences need one label each.")
        self._fit(Labelled(sequences, labels.tolist()), directory, progress)
        self._restore()
        return self

    def _restore(self) -> None:
        self.classes_ = np.array(self.trained_.state["labels"])

    def _sequences(self, X: Sequences, reset: bool = False) -> Any:  # noqa: N803
        if isinstance(X, (list, tuple, pd.Series)) and len(X) and isinstance(next(iter(X)), str):
            return list(X)
        if isinstance(X, (list, tuple)) and len(X) and np.ndim(X[0]) == 2:
            return [np.asarray(series, np.float32) for series in X]
        found = validate_data(self, X, reset=reset, allow_nd=True, dtype=np.float32)
        return list(found[..., None] if found.ndim == 2 else found)

    def predict(self, X: Sequences) -> NDArray[Any]:  # noqa: N803
        """The most probable labels (N,)."""
        labels: NDArray[Any] = self.classes_[self.predict_proba(X).argmax(1)]
        return labels

    def predict_proba(self, X: Sequences) -> NDArray[np.float32]:  # noqa: N803
        """Probabilities (N, K), in the order of `classes_`."""
        recipe, model, state = self._parts()
        table = recipe.predict(model, state, Labelled(self._sequences(X), None))
        probabilities: NDArray[np.float32] = table.drop(columns="label").to_numpy()
        return probabilities
