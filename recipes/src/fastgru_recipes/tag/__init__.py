"""A tag for each token: `recipe.py` is the start, and its first lines say how it works."""

from fastgru_recipes.tag.read_tagged import Tagged
from fastgru_recipes.tag.recipe import Tag

__all__ = ["Tag", "Tagged"]
