"""The network of `classify`: it maps sequences (B, T) or (B, T, F) to scores of the labels (B, K)."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from fastgru_recipes.classify.front import Front
from fastgru_recipes.classify.linear_path import LinearPath
from fastgru_recipes.classify.ngrams import Ngrams
from fastgru_recipes.dropout import Dropout
from fastgru_recipes.recurrent_layers import HiddenState, RecurrentOptions, recurrent, summary, valid_steps

Pooling = Literal["auto", "last", "mean", "max", "all"]
PARTS: dict[str, tuple[str, ...]] = {
    "last": ("last",),
    "mean": ("mean",),
    "max": ("max",),
    "all": ("last", "mean", "max"),
}
LOWEST = -1e9  # of padding, where the largest step counts


def mean_step(steps: Tensor, lengths: Tensor) -> Tensor:
    """The mean (B, C) over the steps of (B, T, C) with lengths (B,)."""
    valid = valid_steps(steps.shape[1], lengths)[..., None]
    return (steps * valid).sum(1) / lengths[:, None].to(steps.dtype)


def largest_step(steps: Tensor, lengths: Tensor) -> Tensor:
    """The largest value (B, C) over the steps of (B, T, C) with lengths (B,)."""
    return steps.masked_fill(~valid_steps(steps.shape[1], lengths)[..., None], LOWEST).amax(1)


def pooled(kind: Pooling, output: Tensor, state: HiddenState, lengths: Tensor) -> list[Tensor]:
    """One or three vectors (B, 2*H) for each sequence, from the output and the state of a bidirectional layer."""
    of = {
        "last": lambda: summary(state, directions=2),
        "mean": lambda: mean_step(output, lengths),
        "max": lambda: largest_step(output, lengths),
    }
    return [of[part]() for part in PARTS[kind]]


class Inputs(NamedTuple):
    """What the network reads.

    Attributes:
        tokens: size of the vocabulary; 0 if sequences are numbers, which need no embedding.
        width: size of the embedding, or numbers of each step.
        statistics: numbers about the whole sequence, S; 0 for texts.
        ngrams: n-grams that the linear path knows; 0 without a linear path.
    """

    tokens: int
    width: int
    statistics: int = 0
    ngrams: int = 0


class ClassifyNetwork(nn.Module):
    """An embedding or convolutions, a bidirectional GRU, and a linear layer on what is pooled of it.

    With a linear path the scores are those of the path and what the linear layer changes of them, which is 0 at first.

    Args:
        layer: options of the recurrent layer.
        inputs: what is read.
        labels: how many labels there are, K.
        pooling: what is taken of the GRU: its final states, the mean or the largest output, or all three.
        filters: channels of the convolutions; 0 for none. What is pooled of them goes to the linear layer too.
        stride: how many steps the convolutions make one, a power of two.
    """

    def __init__(
        self, layer: RecurrentOptions, inputs: Inputs, labels: int, pooling: Pooling, filters: int, stride: int
    ) -> None:
        super().__init__()
        self.pooling = pooling
        self.embedding = nn.Embedding(inputs.tokens, inputs.width, padding_idx=0) if inputs.tokens else None
        self.front = Front(inputs.width, filters, stride) if filters else None
        self.gru = recurrent(layer, filters or inputs.width, bidirectional=True)
        self.dropout = Dropout(layer.dropout)
        self.head = nn.Linear(2 * layer.hidden * len(PARTS[pooling]) + 2 * filters + inputs.statistics, labels)
        self.linear: nn.Module | None = LinearPath(inputs.ngrams, labels) if inputs.ngrams else None
        if self.linear is not None:
            nn.init.zeros_(self.head.weight)
            nn.init.zeros_(self.head.bias)

    def forward(
        self, sequences: Tensor, lengths: Tensor, statistics: Tensor | None = None, ngrams: Ngrams | None = None
    ) -> Tensor:
        """Scores (B, K) of the labels.

        Args:
            sequences: tokens (B, T) or steps (B, T, F).
            lengths: (B,).
            statistics: (B, S) of series.
            ngrams: of texts, for the linear path.
        """
        steps = sequences if self.embedding is None else self.embedding(sequences)
        beside: list[Tensor] = []
        if self.front is None:
            steps = self.dropout(steps)
        else:
            steps, lengths = self.front(steps, lengths)
            beside = [mean_step(steps, lengths), largest_step(steps, lengths)]
        output, state = self.gru(steps, lengths=lengths)
        seen = self.dropout(torch.cat([*pooled(self.pooling, output, state, lengths), *beside], -1))
        scores: Tensor = self.head(seen if statistics is None else torch.cat([seen, statistics], -1))
        return scores if self.linear is None else self.linear(ngrams, scores)
