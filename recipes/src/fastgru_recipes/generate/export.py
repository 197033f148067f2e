"""The network of `generate` for export: scores of each next token. In ONNX the state is an input."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from fastgru_recipes.generate.network import GenerateNetwork
from fastgru_recipes.generate.recipe import Generate
from fastgru_recipes.recipe import State
from fastgru_recipes.text.vocabulary import START_ID
from fastgru_recipes.training.export import Format, Part

LEFT_OUT = (
    "Text becomes tokens by state.tokenizer, a tokenizer in the format of the package tokenizers. A text begins with "
    f"the token {START_ID} and a state of zeros. The draw of the next token is up to the caller: the softmax of its "
    "scores, without the first four tokens."
)
ABOUT = {
    "tokens": "the numbers of the tokens",
    "state": "the state before the first token, zeros at the beginning of a text",
    "scores": "for each token a score of each token that may follow it",
    "next_state": "the state after the last token",
}


class _Scores(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, tokens: Tensor) -> Tensor:
        scores: Tensor = self.network(tokens)[0]
        return scores


class _WithState(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, tokens: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        scores, state = self.network(tokens, state)
        return scores, state


def parts(recipe: Generate, model: nn.Module, state: State, format: Format) -> list[Part]:
    """The whole network as one part."""
    assert isinstance(model, GenerateNetwork)

    def example(rows: int, steps: int) -> tuple[Tensor, ...]:
        tokens = torch.randint(0, model.embedding.num_embeddings, (rows, steps))
        before = torch.randn(recipe.layers, rows, recipe.hidden, dtype=recipe.dtype)
        return (tokens, before) if format == "onnx" else (tokens,)

    axes: dict[str, tuple[Any, ...]] = {"tokens": ("batch", "steps")}
    if format == "fastgru":
        return [Part("", _Scores(model), axes, example, ["scores"], ABOUT)]
    axes["state"] = (recipe.layers, "batch", recipe.hidden)
    return [Part("", _WithState(model), axes, example, ["scores", "next_state"], ABOUT)]
