"""The recipe `tag` as a scikit-learn estimator."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fastgru_recipes.estimators import inputs
from fastgru_recipes.estimators.base import Fitting, Init, Scored
from fastgru_recipes.estimators.options.tag import TagOptions

if TYPE_CHECKING:
    from typing_extensions import Self


class Tagger(Scored, TagOptions):
    """Tagging of the tokens of sentences.

    Example:
        >>> from fastgru_recipes import Tagger
        >>> sentences, tags = [["a", "dog"], ["the", "cat", "sat"]] * 20, [["D", "N"], ["D", "N", "V"]] * 20
        >>> Tagger(hidden=8, embedding=8, epochs=10, rate=0.02).fit(sentences, tags).predict([["the", "dog"]])
        [['D', 'N']]
    """

    def fit(
        self,
        X: Sequence[Sequence[str]],
        y: Sequence[Sequence[str]],
        directory: Path | str | None = None,
        progress: bool = False,
        *,
        validation_data: Any = None,
        init: Init = None,
        resume: bool = False,
    ) -> Self:
        """Trains on sentences of tokens.

        Args:
            X: N sentences, each a list of tokens.
            y: N lists of tags, one for each token.
            directory: the run directory to make. Default: nothing is kept.
            progress: show progress bars.
            validation_data: (sentences, tags), which choose the best epoch. Default: a fraction of X.
            init: a fitted tagger, or a run directory. Training begins with its weights and vocabulary; its
                options replace those that have their defaults.
            resume: continue the interrupted training in `directory`.

        Raises:
            DataError: a ValueError, for values that are not texts, or for tokens without tags.
            RunError: if the directory exists and is not empty, or if `init` has another network.
        """
        data, validation = inputs.tagged(X, y), inputs.validation(validation_data, inputs.tagged)
        return self._fit(data, Fitting(directory, progress, validation, init, resume))

    def predict(self, X: Sequence[Sequence[str]]) -> list[list[str]]:
        """The tags of each sentence."""
        recipe, model, state = self._parts()
        found: list[list[str]] = recipe.tags(model, state, inputs.tokens(X, "token"))
        return found

    def predict_proba(self, X: Sequence[Sequence[str]]) -> list[NDArray[np.float32]]:
        """The probability of each tag, (T_i, K) for the T_i tokens of each sentence, in the order of `classes_`."""
        recipe, model, state = self._parts()
        return [each.numpy() for each in recipe.probabilities(model, state, inputs.tokens(X, "token"))]

    @property
    def classes_(self) -> NDArray[Any]:
        """The K tags. Raises NotFittedError before `fit`."""
        return np.array(self._parts()[2]["tags"])

    def score(self, X: Sequence[Sequence[str]], y: Sequence[Sequence[str]]) -> float:
        """Micro-F1 of all tags except the plain one."""
        return self._score(inputs.tagged(X, y))

    def score_table(self, X: Sequence[Sequence[str]], y: Sequence[Sequence[str]]) -> pd.DataFrame:
        """The scores of the tagger and of simple baselines, a row each.

        Args:
            X: N sentences, each a list of tokens.
            y: N lists of tags, one for each token.

        Raises:
            NotFittedError: before `fit`.
            ArgumentError: a ValueError, for a loaded tagger: the baselines need the training data.
        """
        return self._table(inputs.tagged(X, y))
