"""Classification of texts and series. Start with `recipe.py`, whose docstring explains the model."""

from fastgru_recipes.classify.read_labelled import Labelled
from fastgru_recipes.classify.recipe import Classify

__all__ = ["Classify", "Labelled"]
