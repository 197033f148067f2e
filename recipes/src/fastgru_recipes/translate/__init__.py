"""Translation of sentences. Start with `recipe.py`, whose docstring explains the model."""

from fastgru_recipes.translate.read_pairs import Pairs
from fastgru_recipes.translate.recipe import Translate

__all__ = ["Pairs", "Translate"]
