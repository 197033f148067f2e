"""Text generation. Start with `recipe.py`, whose docstring explains the model."""

from fastgru_recipes.generate.recipe import Generate

__all__ = ["Generate"]
