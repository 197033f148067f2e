"""Sentences into sentences: `recipe.py` is the start, and its first lines say how it works."""

from fastgru_recipes.translate.recipe import Pairs, Translate

__all__ = ["Pairs", "Translate"]
