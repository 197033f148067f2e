"""The recipe `tag` with scikit-learn's habits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fastgru_recipes.estimators import inputs
from fastgru_recipes.estimators.base import Scored

if TYPE_CHECKING:
    from typing_extensions import Self


class Tagger(Scored, recipe="tag"):
    """A tag for each token of sentences.

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
    ) -> Self:
        """Learns from sentences of tokens.

        Args:
            X: N sentences, each a list of tokens.
            y: N lists of as many tags.
            directory: becomes a run directory; nothing is kept when left out.
            progress: show bars.

        Raises:
            DataError: a ValueError, for what is no text, or tokens without tags.
            RunError: for a directory that exists and is not empty.
        """
        return self._fit(inputs.tagged(X, y), directory, progress)

    def predict(self, X: Sequence[Sequence[str]]) -> list[list[str]]:
        """The tags of each sentence."""
        recipe, model, state = self._parts()
        found: list[list[str]] = recipe.tags(model, state, inputs.tokens(X, "token"))
        return found

    def score(self, X: Sequence[Sequence[str]], y: Sequence[Sequence[str]]) -> float:
        """Micro-F1 of all tags but the plain one."""
        return self._score(inputs.tagged(X, y))
