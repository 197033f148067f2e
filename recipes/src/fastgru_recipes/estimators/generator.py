"""The recipe `generate` with scikit-learn's habits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastgru_recipes import read_files
from fastgru_recipes.estimators import inputs
from fastgru_recipes.estimators.base import Scored

if TYPE_CHECKING:
    from typing_extensions import Self


class Generator(Scored, recipe="generate"):
    """Text like a text.

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
    ) -> Self:
        """Learns from a text, or from texts that are joined by newlines.

        Args:
            X: the text or texts.
            y: there for scikit-learn alone.
            directory: becomes a run directory; nothing is kept when left out.
            progress: show bars.

        Raises:
            DataError: a ValueError, for what is no text, or too little of it.
            RunError: for a directory that exists and is not empty.
        """
        return self._fit(inputs.one_text(X), directory, progress)

    def generate(self, prompt: str = "", length: int = 500, **drawing: Any) -> str:
        """Goes on from a prompt.

        Args:
            prompt: may be empty.
            length: tokens to write.
            **drawing: temperature, top_k, top_p and seed, as `Generate.sample` has them.

        Returns:
            What was written, without the prompt.

        Raises:
            ArgumentError: a ValueError, for a value that makes no sense.
        """
        recipe, model, state = self._parts()
        return "".join(recipe.sample(model, state, prompt, length, **drawing))

    def predict(self, X: Sequence[str], length: int = 100, **drawing: Any) -> list[str]:
        """What follows each prompt."""
        self._parts()  # which raises where there is nothing fitted
        return [self.generate(prompt, length, **drawing) for prompt in read_files.require_texts(X, "prompt")]

    def score(self, X: str | Sequence[str], y: None = None) -> float:
        """Minus the bits per character of a text."""
        return self._score(inputs.one_text(X))
