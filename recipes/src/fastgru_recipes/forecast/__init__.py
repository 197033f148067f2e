"""Time-series forecasting. Start with `recipe.py`, whose docstring explains the model."""

from fastgru_recipes.forecast.read_series import Panel
from fastgru_recipes.forecast.recipe import Forecast

__all__ = ["Forecast", "Panel"]
