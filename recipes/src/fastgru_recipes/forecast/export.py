"""The network of `forecast` for export: quantiles of the next steps, from scaled values and calendar."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

import fastgru
from fastgru_recipes.forecast.network import ForecastNetwork
from fastgru_recipes.forecast.recipe import Forecast
from fastgru_recipes.recipe import State
from fastgru_recipes.training.export import Format, Part, refused

LEFT_OUT = (
    "Values are transformed (option transform) and scaled by state.scales of the series; the calendar columns are sine "
    "and cosine of the positions in state.calendar; other columns are scaled by state.covariates and state.known. The "
    "result is scaled back in the same way. The recalibration of the outer quantiles by recent errors (option recent) "
    "is not part of the network: predict does it, so only the median is the same without it."
)


def parts(recipe: Forecast, model: nn.Module, state: State, format: Format) -> list[Part]:
    """The whole network as one part, for any number of rows; context and horizon are fixed."""
    assert isinstance(model, ForecastNetwork)
    if format == "fastgru":
        raise refused(recipe, "the runtime has neither the scaling of single windows nor the sorting of quantiles")
    first = model.head[0]
    assert isinstance(model.gru, fastgru.GRU)
    assert isinstance(first, nn.Linear)
    width, ahead = model.gru.input_size - 1, first.in_features - recipe.width  # without what the network adds
    axes: dict[str, tuple[Any, ...]] = {
        "past": ("batch", recipe.context, width),
        "future": ("batch", recipe.horizon, ahead),
    }
    about = {
        "past": "scaled value, covariates, and what is known in advance, of each past step",
        "future": "what is known in advance of each future step: calendar, then the columns of the option known",
        "numbers": "the number of each series in state.scales, from 1; 0 for a new one",
        "quantiles": f"the scaled quantiles {', '.join(map(str, recipe.quantiles))} of each future step",
    }
    if recipe.embedding:
        axes["numbers"] = ("batch",)

    def example(rows: int, steps: int) -> tuple[Tensor, ...]:
        shapes = [(rows, *axes[name][1:]) for name in ("past", "future")]
        numbers = torch.arange(rows) % (1 + len(state["scales"]))
        found = [torch.randn(shape, dtype=recipe.dtype) for shape in shapes]
        return (*found, numbers) if recipe.embedding else tuple(found)

    return [Part("", _Quantiles(model), axes, example, ["quantiles"], about)]


class _Quantiles(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, past: Tensor, future: Tensor, numbers: Tensor | None = None) -> Tensor:
        if numbers is None:  # which a network without embedding does not read
            numbers = torch.zeros(past.shape[0], dtype=torch.int64)
        quantiles: Tensor = self.network(past, future, numbers)
        return quantiles
