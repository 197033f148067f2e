"""The network of `generate`: it maps tokens (B, T) to scores of each next token (B, T, V)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fastgru_recipes.dropout import Dropout
from fastgru_recipes.recurrent_layers import HiddenState, RecurrentOptions, recurrent


class GenerateNetwork(nn.Module):
    """An embedding, a GRU, and an output layer with the weights of the embedding.

    Args:
        layer: options of the recurrent layer.
        tokens: size of the vocabulary, V.
        embedding: size of a token's vector.
    """

    def __init__(self, layer: RecurrentOptions, *, tokens: int, embedding: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(tokens, embedding)
        nn.init.normal_(self.embedding.weight, std=embedding**-0.5)
        self.dropout = Dropout(layer.dropout)
        self.gru = recurrent(layer, embedding)
        self.narrow = nn.Linear(layer.hidden, embedding)
        self.bias = nn.Parameter(torch.zeros(tokens))

    def forward(self, tokens: Tensor, state: HiddenState = None) -> tuple[Tensor, HiddenState]:
        """Scores (B, T, V) of the token after each of the tokens (B, T), and the state after the last one."""
        output, state = self.gru(self.dropout(self.embedding(tokens) * self.embedding.embedding_dim**0.5), state)
        return F.linear(self.narrow(self.dropout(output)), self.embedding.weight, self.bias), state
