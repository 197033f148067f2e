"""The network of `tag`: it maps words and their spellings to scores of each token's tags (B, T, K)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fastgru_recipes.recipe import Batch
from fastgru_recipes.recurrent_layers import RecurrentOptions, recurrent, summary
from fastgru_recipes.text.vocabulary import PAD_ID


class TagNetwork(nn.Module):
    """A bidirectional GRU over the characters of each word, and another one over the words.

    Args:
        layer: options of the recurrent layer over the words.
        words: number of words with an embedding.
        characters: number of characters with an embedding.
        tags: how many tags there are, K.
        embedding: size of a word's vector.
        spelling: size of a character's vector, and of the state of the GRU over characters.
    """

    def __init__(
        self, layer: RecurrentOptions, *, words: int, characters: int, tags: int, embedding: int, spelling: int
    ) -> None:
        super().__init__()
        self.dropout = nn.Dropout(layer.dropout)
        self.words = nn.Embedding(words, embedding, padding_idx=PAD_ID)
        self.characters = nn.Embedding(characters, spelling, padding_idx=PAD_ID)
        self.speller = recurrent(RecurrentOptions(layer.name, spelling), spelling, bidirectional=True)
        self.gru = recurrent(layer, embedding + 2 * spelling, bidirectional=True)
        self.head = nn.Linear(2 * layer.hidden, tags)

    def forward(self, batch: Batch) -> Tensor:
        """Scores of each token's tags (B, T, K), for a batch of `Tag.collate`."""
        _, state = self.speller(self.characters(batch["spellings"]), lengths=batch["spelling_lengths"])
        spelled = summary(state, directions=2)[batch["which"]]
        inputs = torch.cat([self.words(batch["words"]), spelled], -1)
        output, _ = self.gru(self.dropout(inputs), lengths=batch["lengths"])
        scores: Tensor = self.head(self.dropout(output))
        return scores
