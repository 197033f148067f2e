"""Text like a text: `recipe.py` is the start, and its first lines say how it works."""

from fastgru_recipes.generate.recipe import Generate

__all__ = ["Generate"]
