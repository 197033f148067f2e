"""Translation of sentences. Start with `recipe.py`, whose docstring explains the model."""

from fastgru_recipes.translate.recipe import Pairs, Translate

__all__ = ["Pairs", "Translate"]
