"""The network of `forecast` for export: quantiles of the next steps, from scaled values and calendar."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from fastgru_recipes.forecast.network import ForecastNetwork
from fastgru_recipes.forecast.recipe import Forecast
from fastgru_recipes.recipe import State
from fastgru_recipes.training.export import Format, Part, refused

LEFT_OUT = (
    "Values are transformed (option transform) and scaled by state.scales of the series; the calendar columns are sine "
    "and cosine of the positions in state.calendar; other columns are scaled by state.covariates and state.known. "
    "Categories are their places in state.categories, from 1, and 0 for any other one; the future has those that are "
    "known in advance. The result is scaled back in the same way; counts are rounded, and not below zero. The "
    "recalibration of the outer quantiles by recent errors (option recent) is not part of the network: predict does "
    "it, so only the median is the same without it."
)


def parts(recipe: Forecast, model: nn.Module, state: State, format: Format) -> list[Part]:
    """The whole network as one part, for any number of rows; context and horizon are fixed."""
    assert isinstance(model, ForecastNetwork)
    if format == "fastgru":
        raise refused(recipe, "the runtime has neither the scaling of single windows nor the sorting of quantiles")
    read = _columns(recipe, model, state)
    axes: dict[str, tuple[Any, ...]] = {
        "past": ("batch", recipe.context, read["past"].width),
        "future": ("batch", recipe.horizon, read["future"].width),
    }
    about = {
        "past": "scaled value, covariates, what is known in advance, and codes of categories, of each past step",
        "future": "what is known in advance of each future step: calendar, the columns of the option known, codes",
        "numbers": "the number of each series in state.scales, from 1; 0 for a new one",
        "quantiles": f"the scaled quantiles {', '.join(map(str, recipe.quantiles))} of each future step",
    }
    if recipe.embedding:
        axes["numbers"] = ("batch",)

    def example(rows: int, steps: int) -> tuple[Tensor, ...]:
        lengths = {"past": recipe.context, "future": recipe.horizon}
        found = [read[name].drawn(rows, length, recipe.dtype) for name, length in lengths.items()]
        if recipe.embedding:
            found.append(torch.arange(rows) % (1 + len(state["scales"])))
        return tuple(found)

    return [Part("", _Quantiles(model), axes, example, ["quantiles"], about)]


class _Columns(NamedTuple):
    """Columns of numbers, and after them the number of values of each column of categories."""

    numbers: int
    categories: list[int]

    @property
    def width(self) -> int:
        return self.numbers + len(self.categories)

    def drawn(self, rows: int, steps: int, dtype: torch.dtype) -> Tensor:
        """Random numbers and categories (rows, steps, width)."""
        codes = [torch.randint(0, 1 + values, (rows, steps, 1)).to(dtype) for values in self.categories]
        return torch.cat([torch.randn(rows, steps, self.numbers, dtype=dtype), *codes], -1)


def _columns(recipe: Forecast, model: ForecastNetwork, state: State) -> dict[str, _Columns]:
    """The columns of the inputs past and future."""
    values = {each: len(state["categories"][each.name]) for each in recipe.columns.categorical}
    ahead = [count for each, count in values.items() if each.known == "ahead"]
    inputs = model.inputs
    return {"past": _Columns(inputs.numbers, [*values.values()]), "future": _Columns(inputs.numbers_ahead, ahead)}


class _Quantiles(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, past: Tensor, future: Tensor, numbers: Tensor | None = None) -> Tensor:
        if numbers is None:  # which a network without embedding does not read
            numbers = torch.zeros(past.shape[0], dtype=torch.int64)
        quantiles: Tensor = self.network(past, future, numbers)
        return quantiles
