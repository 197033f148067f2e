"""The network of `classify`: it maps sequences (B, T) or (B, T, F) to scores of the labels (B, K)."""

from __future__ import annotations

from torch import Tensor, nn

from fastgru_recipes.recurrent_layers import RecurrentOptions, recurrent, summary


class ClassifyNetwork(nn.Module):
    """An embedding for tokens, a bidirectional GRU, and a linear layer on its final states.

    Args:
        layer: options of the recurrent layer.
        tokens: size of the vocabulary; 0 if sequences are numbers, which need no embedding.
        inputs: size of the embedding, or features of each step.
        labels: how many labels there are, K.
    """

    def __init__(self, layer: RecurrentOptions, *, tokens: int, inputs: int, labels: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(tokens, inputs, padding_idx=0) if tokens else None
        self.gru = recurrent(layer, inputs, bidirectional=True)
        self.dropout = nn.Dropout(layer.dropout)
        self.head = nn.Linear(2 * layer.hidden, labels)

    def forward(self, sequences: Tensor, lengths: Tensor) -> Tensor:
        """Scores (B, K) of sequences (B, T) or (B, T, F) with lengths (B,)."""
        inputs = sequences if self.embedding is None else self.embedding(sequences)
        _, state = self.gru(self.dropout(inputs), lengths=lengths)
        scores: Tensor = self.head(self.dropout(summary(state, directions=2)))
        return scores
