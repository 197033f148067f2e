"""The recipe `translate` as a scikit-learn estimator."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from fastgru_recipes import read_files
from fastgru_recipes.estimators import inputs
from fastgru_recipes.estimators.base import Fitting, Init, Scored
from fastgru_recipes.estimators.options.translate import TranslateOptions

if TYPE_CHECKING:
    from typing_extensions import Self


class Translator(Scored, TranslateOptions):
    """Translation of sentences.

    Example:
        >>> from fastgru_recipes import Translator
        >>> translator = Translator(unit="characters", hidden=8, embedding=8, epochs=1, longest=5)
        >>> translations = translator.fit(["ab", "ba"] * 20, ["AB", "BA"] * 20).predict(["ab"])
        >>> len(translations)
        1
    """

    def fit(
        self,
        X: Sequence[str],
        y: Sequence[str],
        directory: Path | str | None = None,
        progress: bool = False,
        *,
        validation_data: Any = None,
        init: Init = None,
        resume: bool = False,
    ) -> Self:
        """Trains on sentences and their translations.

        Args:
            X: N sentences.
            y: N translations.
            directory: the run directory to make. Default: nothing is kept.
            progress: show progress bars.
            validation_data: (sentences, translations), which choose the best epoch. Default: a fraction of X.
            init: a fitted translator, or a run directory. Training begins with its weights and vocabulary; its
                options replace those that have their defaults.
            resume: continue the interrupted training in `directory`.

        Raises:
            DataError: a ValueError, for sentences that are empty, not texts, or without a translation.
            RunError: if the directory exists and is not empty, or if `init` has another network.
        """
        data, validation = inputs.pairs(X, y), inputs.validation(validation_data, inputs.pairs)
        return self._fit(data, Fitting(directory, progress, validation, init, resume))

    def predict(self, X: Sequence[str]) -> list[str]:
        """The translation of each sentence."""
        recipe, model, state = self._parts()
        found: list[str] = recipe.translations(model, state, read_files.require_texts(X, "sentence"))
        return found

    def score(self, X: Sequence[str], y: Sequence[str]) -> float:
        """The chrF score, from 0 to 100."""
        return self._score(inputs.pairs(X, y))

    def score_table(self, X: Sequence[str], y: Sequence[str]) -> pd.DataFrame:
        """The scores of the translator and of simple baselines, a row each.

        Args:
            X: N sentences.
            y: their N translations.

        Raises:
            NotFittedError: before `fit`.
            ArgumentError: a ValueError, for a loaded translator: the baselines need the training data.
        """
        return self._table(inputs.pairs(X, y))
