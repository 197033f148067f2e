"""The network of `generate`: tokens (B, T) in, scores of each next token (B, T, V) out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fastgru_recipes.recurrent_layers import HiddenState, recurrent

if TYPE_CHECKING:
    from fastgru_recipes.generate.recipe import Generate


class GenerateNetwork(nn.Module):
    """Embedding, GRU, and the embedding once more as the output layer."""

    def __init__(self, recipe: Generate, tokens: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(tokens, recipe.embedding)
        nn.init.normal_(self.embedding.weight, std=recipe.embedding**-0.5)
        self.dropout = nn.Dropout(recipe.dropout)
        self.gru = recurrent(
            recipe.layer, recipe.embedding, recipe.hidden, num_layers=recipe.layers, dropout=recipe.dropout
        )
        self.narrow = nn.Linear(recipe.hidden, recipe.embedding)
        self.bias = nn.Parameter(torch.zeros(tokens))

    def forward(self, tokens: Tensor, state: HiddenState = None) -> tuple[Tensor, HiddenState]:
        """(B, T) and a state, to scores of each next token (B, T, V) and the state after the last."""
        output, state = self.gru(self.dropout(self.embedding(tokens) * self.embedding.embedding_dim**0.5), state)
        return F.linear(self.narrow(self.dropout(output)), self.embedding.weight, self.bias), state
