"""A label for each text or series: `recipe.py` is the start, and its first lines say how it works."""

from fastgru_recipes.classify.read_labelled import Labelled
from fastgru_recipes.classify.recipe import Classify

__all__ = ["Classify", "Labelled"]
