"""The next values of time series: `recipe.py` is the start, and its first lines say how it works."""

from fastgru_recipes.forecast.read_series import Panel
from fastgru_recipes.forecast.recipe import Forecast

__all__ = ["Forecast", "Panel"]
