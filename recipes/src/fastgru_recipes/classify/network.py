"""The network of `classify`: sequences (B, T) or (B, T, F) in, scores of labels (B, K) out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from fastgru_recipes.recurrent_layers import recurrent, summary

if TYPE_CHECKING:
    from fastgru_recipes.classify.recipe import Classify


class ClassifyNetwork(nn.Module):
    """Embedding or numbers as they are, a bidirectional GRU, and a linear layer on its last states."""

    def __init__(self, recipe: Classify, tokens: int, features: int, labels: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(tokens, recipe.embedding, padding_idx=0) if tokens else None
        self.gru = recurrent(
            recipe.layer,
            recipe.embedding if tokens else features,
            recipe.hidden,
            num_layers=recipe.layers,
            dropout=recipe.dropout,
            bidirectional=True,
        )
        self.dropout = nn.Dropout(recipe.dropout)
        self.head = nn.Linear(2 * recipe.hidden, labels)

    def forward(self, sequences: Tensor, lengths: Tensor) -> Tensor:
        """(B, T) or (B, T, F) to (B, labels)."""
        inputs = sequences if self.embedding is None else self.embedding(sequences)
        _, state = self.gru(self.dropout(inputs), lengths=lengths)
        scores: Tensor = self.head(self.dropout(summary(state, directions=2)))
        return scores
