"""The recipe `classify` as a scikit-learn estimator."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin
from sklearn.utils.validation import validate_data

from fastgru_recipes.classify.read_labelled import Labelled
from fastgru_recipes.errors import DataError
from fastgru_recipes.estimators import inputs
from fastgru_recipes.estimators.base import Fitting, Init
from fastgru_recipes.estimators.options.classify import ClassifyOptions

if TYPE_CHECKING:
    from typing_extensions import Self

    from fastgru_recipes.estimators.inputs import SequencesLike


class SequenceClassifier(ClassifierMixin, ClassifyOptions):  # type: ignore[misc]
    """Classification of texts and series.

    X is a list of texts, a list of arrays or tables (T_i, F), which are series with F features, or one array (N, T, F).
    Series of one feature may have no last dimension: a list of arrays (T_i,), or one array or table (N, T), whose T
    must be the same in `predict`. y has N labels: texts, numbers or booleans.

    Attributes:
        classes_: (K,), the labels.

    Example:
        >>> from fastgru_recipes import SequenceClassifier
        >>> texts, labels = ["aab", "aba", "bba", "bab"] * 10, ["a", "a", "b", "b"] * 10
        >>> classifier = SequenceClassifier(hidden=8, epochs=20, rate=0.02, validation=0.0).fit(texts, labels)
        >>> classifier.predict(["abb", "baa"]).tolist()
        ['a', 'b']
    """

    def fit(
        self,
        X: SequencesLike,
        y: Any,
        directory: Path | str | None = None,
        progress: bool = False,
        sample_weight: Any = None,
        *,
        validation_data: Any = None,
        init: Init = None,
        resume: bool = False,
    ) -> Self:
        """Trains on sequences and labels.

        Args:
            X: N texts or series.
            y: (N,), their labels, of at least two classes.
            directory: the run directory to make, for `load` and the commands. Default: nothing is kept.
            progress: show progress bars.
            sample_weight: (N,), how much each sequence counts in the loss. Only the ratios matter. Default: all the
                same. The option `class_weight` multiplies them.
            validation_data: (sequences, labels), which choose the best epoch. Default: a fraction of X.
            init: a fitted classifier, or a run directory. Training begins with its weights and vocabulary; its
                options replace those that have their defaults.
            resume: continue the interrupted training in `directory`.

        Returns:
            The estimator.

        Raises:
            DataError: a ValueError, for sequences, labels or weights that cannot be used.
            ArgumentError: a ValueError, for an option outside its bounds.
            RunError: if the directory exists and is not empty, or if `init` has another network.
        """
        data = self._labelled(X, y, reset=True)
        if sample_weight is not None:
            data = replace(data, weights=inputs.weights(sample_weight, len(data.sequences)))
        validation = inputs.validation(validation_data, lambda X, y: self._labelled(X, y, reset=False))
        self._fit(data, Fitting(directory, progress, validation, init, resume))
        self._restore()
        return self

    def score_table(self, X: SequencesLike, y: Any) -> pd.DataFrame:
        """The scores of the classifier and of simple baselines, a row each.

        Args:
            X: N sequences, in a form that `fit` takes.
            y: (N,), their labels.

        Raises:
            NotFittedError: before `fit`.
            ArgumentError: a ValueError, for a loaded classifier: the baselines need the training data.
        """
        return self._table(self._labelled(X, y, reset=False))

    def _restore(self) -> None:
        self.classes_ = np.array(self.trained_.state["labels"])

    def _labelled(self, X: SequencesLike, y: Any, reset: bool) -> Labelled:
        """Sequences and as many labels. `reset`: an array may have another width than earlier ones."""
        labels = inputs.labels(y)
        data = replace(self._data(X, reset), labels=labels)
        if len(labels) != len(data.sequences):
            raise DataError(f"y has {len(labels)} labels; {len(data.sequences)} sequences need one each.")
        return data

    def _data(self, X: SequencesLike, reset: bool = False) -> Labelled:
        """The data for the recipe. scikit-learn checks the width of a single array of numbers."""
        learns_from = reset or hasattr(self, "n_features_in_")  # an array, if possible
        given = None if learns_from and inputs.is_rows(X) else inputs.sequences(X)
        if given is None:
            found = validate_data(self, X, reset=reset, dtype=[np.float64, np.float32])
            return Labelled(list(found[..., None]), None)
        if reset:
            for name in ("n_features_in_", "feature_names_in_"):  # of earlier arrays
                self.__dict__.pop(name, None)
        return given

    def predict(self, X: SequencesLike) -> NDArray[Any]:
        """The most probable labels.

        Args:
            X: N sequences, in a form that `fit` takes.

        Returns:
            (N,), of the type of the learned labels.

        Raises:
            NotFittedError: before `fit`.
            DataError: for sequences of another kind than the training data, or with other features.
        """
        probabilities = self.predict_proba(X)  # raises before `fit`
        labels: NDArray[Any] = self.classes_[probabilities.argmax(1)]
        return labels

    def predict_proba(self, X: SequencesLike) -> NDArray[np.float32]:
        """The probability of each label, (N, K) float32, in the order of `classes_`. Raises the errors of `predict`."""
        recipe, model, state = self._parts()
        table = recipe.predict(model, state, self._data(X))
        probabilities: NDArray[np.float32] = table.iloc[:, 1:].to_numpy()
        return probabilities
