"""The recipe `classify` with scikit-learn's habits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin
from sklearn.utils.validation import validate_data

from fastgru_recipes.classify.read_labelled import Labelled
from fastgru_recipes.errors import DataError
from fastgru_recipes.estimators import inputs
from fastgru_recipes.estimators.base import Estimator

if TYPE_CHECKING:
    from typing_extensions import Self

    from fastgru_recipes.estimators.inputs import SequencesLike


class SequenceClassifier(ClassifierMixin, Estimator, recipe="classify"):  # type: ignore[misc]
    """A label for each text or series.

    X is a list of texts; or a list of arrays or tables (T_i, F), series of F features and any lengths; or one array
    (N, T, F). For series of one feature F may be left out: a list of arrays (T_i,), or one array or table (N, T), whose
    T must stay the same. y is N labels: texts, numbers or truth values.

    Attributes:
        classes_: (K,), the labels.

    Example:
        >>> from fastgru_recipes import SequenceClassifier
        >>> texts, labels = ["aab", "aba", "bba", "bab"] * 10, ["a", "a", "b", "b"] * 10
        >>> classifier = SequenceClassifier(hidden=8, epochs=20, rate=0.02, validation=0.0).fit(texts, labels)
        >>> classifier.predict(["abb", "baa"]).tolist()
        ['a', 'b']
    """

    def fit(self, X: SequencesLike, y: Any, directory: Path | str | None = None, progress: bool = False) -> Self:
        """Learns from sequences and labels.

        Args:
            X: N texts or series, numbers of any type.
            y: (N,), their labels, of two classes at least.
            directory: becomes a run directory, which `load` and the commands read; nothing is kept when left out.
            progress: show bars.

        Returns:
            The estimator.

        Raises:
            DataError: a ValueError, for sequences or labels that cannot be learned from.
            ArgumentError: a ValueError, for an option outside its bounds.
            RunError: for a directory that exists and is not empty.
        """
        data = self._data(X, inputs.labels(y))
        if len(data.labels or ()) != len(data.sequences):
            raise DataError(f"y has {len(data.labels or ())} labels; {len(data.sequences)} sequences need one each.")
        self._fit(data, directory, progress)
        self._restore()
        return self

    def _restore(self) -> None:
        self.classes_ = np.array(self.trained_.state["labels"])

    def _data(self, X: SequencesLike, labels: list[Any] | None = None) -> Labelled:
        """What the recipe reads; one array of numbers has its width checked by scikit-learn."""
        learns_from = labels is not None or hasattr(self, "n_features_in_")  # an array, if it can be one
        given = None if learns_from and inputs.is_rows(X) else inputs.sequences(X)
        if given is None:
            found = validate_data(self, X, reset=labels is not None, dtype=[np.float64, np.float32])
            given = Labelled(list(found[..., None]), None)
        elif labels is not None:
            for name in ("n_features_in_", "feature_names_in_"):  # of arrays that were learned from before
                self.__dict__.pop(name, None)
        return replace(given, labels=labels)

    def predict(self, X: SequencesLike) -> NDArray[Any]:
        """The most probable labels.

        Args:
            X: N sequences, in a form that `fit` takes.

        Returns:
            (N,), of the type of the labels that were learned.

        Raises:
            NotFittedError: before `fit`.
            DataError: for sequences of another kind than those of training, or other features.
        """
        probabilities = self.predict_proba(X)  # which raises where there is nothing fitted
        labels: NDArray[Any] = self.classes_[probabilities.argmax(1)]
        return labels

    def predict_proba(self, X: SequencesLike) -> NDArray[np.float32]:
        """The probability of each label: (N, K) float32, in the order of `classes_`. Errors are those of `predict`."""
        recipe, model, state = self._parts()
        table = recipe.predict(model, state, self._data(X))
        probabilities: NDArray[np.float32] = table.iloc[:, 1:].to_numpy()
        return probabilities
