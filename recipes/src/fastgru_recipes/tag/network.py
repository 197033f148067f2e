"""The network of `tag`: it maps words and their spellings to scores of each token's tags (B, T, K)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fastgru_recipes.dropout import Dropout
from fastgru_recipes.recipe import Batch
from fastgru_recipes.recurrent_layers import RecurrentOptions, recurrent, summary, valid_steps
from fastgru_recipes.tag.crf import CRF
from fastgru_recipes.text.vocabulary import PAD_ID

SMALL = 0.1  # deviation of the first vectors of marks, beside which context still counts
NEIGHBOURS = (0, 4)  # the word and its last three characters are scored for both neighbours too


def _vectors(count: int, size: int, deviation: float) -> nn.Embedding:
    """An embedding whose first vectors have this deviation."""
    embedding = nn.Embedding(count, size)
    nn.init.normal_(embedding.weight, std=deviation)
    return embedding


class Direct(nn.Module):
    """Scores of tags by what a linear model of each token sees: the token, its marks, and its two neighbours.

    Args:
        counts: of words, and of each mark, how many there are.
        tags: how many tags there are, K.
    """

    def __init__(self, counts: Sequence[int], tags: int) -> None:
        super().__init__()
        self.here = nn.ModuleList(_vectors(count, tags, 0.0) for count in counts)
        self.before = nn.ModuleList(_vectors(counts[kind], tags, 0.0) for kind in NEIGHBOURS)
        self.after = nn.ModuleList(_vectors(counts[kind], tags, 0.0) for kind in NEIGHBOURS)

    def forward(self, batch: Batch) -> Tensor:
        """Scores (B, T, K)."""
        facts = torch.cat([batch["distinct"][:, None], batch["marks"]], 1)
        near = facts[:, NEIGHBOURS]
        which = batch["which"]
        valid = valid_steps(which.shape[1], batch["lengths"])[..., None]
        here, before, after = (
            sum(table(numbers) for table, numbers in zip(tables, of.unbind(1), strict=True))[which] * valid
            for tables, of in ((self.here, facts), (self.before, near), (self.after, near))
        )
        scores: Tensor = here + F.pad(before[:, :-1], (0, 0, 1, 0)) + F.pad(after[:, 1:], (0, 0, 0, 1))
        return scores


class TagNetwork(nn.Module):
    """A bidirectional GRU over the characters of each word, and another one over the words.

    The second one also reads vectors of the word's affixes and shape.

    Args:
        layer: options of the recurrent layer over the words.
        words: number of words with an embedding.
        characters: number of characters with an embedding.
        tags: how many tags there are, K.
        embedding: size of a word's vector.
        spelling: size of a character's vector, and of the state of the GRU over characters.
        marks: for each mark of a word, how many there are.
        affix: size of a mark's vector; 0 for none.
        crf: whether tags that follow each other have scores too.
    """

    def __init__(
        self,
        layer: RecurrentOptions,
        *,
        words: int,
        characters: int,
        tags: int,
        embedding: int,
        spelling: int,
        marks: Sequence[int] = (),
        affix: int = 0,
        crf: bool = False,
    ) -> None:
        super().__init__()
        self.dropout = Dropout(layer.dropout)
        self.words = nn.Embedding(words, embedding, padding_idx=PAD_ID)
        self.characters = nn.Embedding(characters, spelling, padding_idx=PAD_ID)
        self.speller = recurrent(RecurrentOptions(layer.name, spelling), spelling, bidirectional=True)
        self.marks = nn.ModuleList(_vectors(count, affix, SMALL) for count in marks if affix)
        self.gru = recurrent(layer, embedding + 2 * spelling + affix * len(marks), bidirectional=True)
        self.head = nn.Linear(2 * layer.hidden, tags)
        self.crf = CRF(tags) if crf else None
        self.direct = Direct([words, *marks], tags) if affix else None

    def forward(self, batch: Batch) -> Tensor:
        """Scores of each token's tags (B, T, K), for a batch of `Tag.collate`."""
        _, state = self.speller(self.characters(batch["spellings"]), lengths=batch["spelling_lengths"])
        marks = [vectors(numbers) for vectors, numbers in zip(self.marks, batch["marks"].unbind(1), strict=False)]
        spelled = torch.cat([summary(state, directions=2), *marks], -1)[batch["which"]]
        inputs = torch.cat([self.words(batch["words"]), spelled], -1)
        output, _ = self.gru(self.dropout(inputs), lengths=batch["lengths"])
        scores: Tensor = self.head(self.dropout(output))
        return scores if self.direct is None else scores + self.direct(batch)
