"""The network of `tag`: words and their spellings in, scores of each token's tags (B, T, K) out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from fastgru_recipes.recurrent_layers import recurrent, summary

if TYPE_CHECKING:
    from fastgru_recipes.recipe import Batch
    from fastgru_recipes.tag.recipe import Tag

PAD, UNKNOWN = 0, 1  # numbers of tokens and characters; those that were learned follow


class TagNetwork(nn.Module):
    """Spelling, words, context."""

    def __init__(self, recipe: Tag, words: int, characters: int, tags: int) -> None:
        super().__init__()
        self.dropout = nn.Dropout(recipe.dropout)
        self.words = nn.Embedding(words, recipe.embedding, padding_idx=PAD)
        self.characters = nn.Embedding(characters, recipe.spelling, padding_idx=PAD)
        self.speller = recurrent(recipe.layer, recipe.spelling, recipe.spelling, bidirectional=True)
        self.gru = recurrent(
            recipe.layer,
            recipe.embedding + 2 * recipe.spelling,
            recipe.hidden,
            num_layers=recipe.layers,
            dropout=recipe.dropout,
            bidirectional=True,
        )
        self.head = nn.Linear(2 * recipe.hidden, tags)

    def forward(self, batch: Batch) -> Tensor:
        """Scores of each token's tags (B, T, K)."""
        _, state = self.speller(self.characters(batch["spellings"]), lengths=batch["spelling_lengths"])
        spelled = summary(state, directions=2)[batch["which"]]
        inputs = torch.cat([self.words(batch["words"]), spelled], -1)
        output, _ = self.gru(self.dropout(inputs), lengths=batch["lengths"])
        scores: Tensor = self.head(self.dropout(output))
        return scores
