"""The recipe `generate` as a scikit-learn estimator."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from fastgru_recipes import read_files
from fastgru_recipes.estimators import inputs
from fastgru_recipes.estimators.base import Fitting, Init, Scored
from fastgru_recipes.estimators.options.generate import GenerateOptions

if TYPE_CHECKING:
    from typing_extensions import Self


class Generator(Scored, GenerateOptions):
    """Generation of text in the style of a text.

    Example:
        >>> from fastgru_recipes import Generator
        >>> generator = Generator(hidden=8, embedding=8, window=16, epochs=1).fit("to be or not to be " * 50)
        >>> len(generator.generate("to be", length=10))
        10
    """

    def fit(
        self,
        X: str | Sequence[str],
        y: None = None,
        directory: Path | str | None = None,
        progress: bool = False,
        *,
        validation_data: Any = None,
        init: Init = None,
        resume: bool = False,
    ) -> Self:
        """Trains on a text, or on texts that are joined by newlines.

        Args:
            X: the text or texts.
            y: ignored; it exists for scikit-learn.
            directory: the run directory to make. Default: nothing is kept.
            progress: show progress bars.
            validation_data: a text or texts, which choose the best epoch. Default: a fraction of X.
            init: a fitted generator, or a run directory. Training begins with its weights and vocabulary; its
                options replace those that have their defaults.
            resume: continue the interrupted training in `directory`.

        Raises:
            DataError: a ValueError, for values that are not texts, or for too little text.
            RunError: if the directory exists and is not empty, or if `init` has another network.
        """
        with read_files.about("validation_data"):
            validation = None if validation_data is None else inputs.one_text(validation_data)
        return self._fit(inputs.one_text(X), Fitting(directory, progress, validation, init, resume))

    def generate(self, prompt: str = "", length: int = 500, **drawing: Any) -> str:
        """Generates text after a prompt.

        Args:
            prompt: the text to continue; may be empty.
            length: the number of tokens to generate.
            **drawing: `temperature`, `top_k`, `top_p` and `seed` of `Generate.sample`.

        Returns:
            The generated text, without the prompt.

        Raises:
            ArgumentError: a ValueError, for a value outside its range.
        """
        recipe, model, state = self._parts()
        return "".join(recipe.sample(model, state, prompt, length, **drawing))

    def predict(self, X: Sequence[str], length: int = 100, **drawing: Any) -> list[str]:
        """The text generated after each prompt."""
        self._parts()  # raises before `fit`
        return [self.generate(prompt, length, **drawing) for prompt in read_files.require_texts(X, "prompt")]

    def score(self, X: str | Sequence[str], y: None = None) -> float:
        """Minus the bits per character of a text."""
        return self._score(inputs.one_text(X))

    def score_table(self, X: str | Sequence[str]) -> pd.DataFrame:
        """The scores of the generator and of simple baselines, a row each.

        Args:
            X: a text, or lines.

        Raises:
            NotFittedError: before `fit`.
            ArgumentError: a ValueError, for a loaded generator: the baselines need the training data.
        """
        return self._table(inputs.one_text(X))
