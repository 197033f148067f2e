"""Sequence tagging. Start with `recipe.py`, whose docstring explains the model."""

from fastgru_recipes.tag.read_tagged import Tagged
from fastgru_recipes.tag.recipe import Tag

__all__ = ["Tag", "Tagged"]
