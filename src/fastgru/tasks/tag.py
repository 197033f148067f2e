"""A tag for each token: a bidirectional GRU reads a sentence and says at each step what it is.

    characters of each word -> embedding -> bidirectional GRU -> its last states
    tokens (B, T) -> embedding, beside them -> bidirectional GRU -> linear -> tags (B, T, K)

The first GRU spells: what a word that was never learned is, its letters tell. It reads every distinct word of a batch
once, so that frequent words cost nothing twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics.functional.classification import multiclass_confusion_matrix, multiclass_f1_score

from fastgru.errors import DataError
from fastgru.tasks import layers, plots, tagged
from fastgru.tasks.batching import answers, padded
from fastgru.tasks.recipe import Batch, Example, Loss, Recipe, State, option
from fastgru.tasks.tagged import Tagged

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAD, UNKNOWN = 0, 1  # numbers of tokens and characters; those that were learned follow
NO_TAG = -100  # as torch's cross entropy calls what it does not look at


class Tagger(nn.Module):
    """Spelling, words, context."""

    def __init__(self, recipe: Tag, words: int, characters: int, tags: int) -> None:
        super().__init__()
        self.dropout = nn.Dropout(recipe.dropout)
        self.words = nn.Embedding(words, recipe.embedding, padding_idx=PAD)
        self.characters = nn.Embedding(characters, recipe.spelling, padding_idx=PAD)
        self.speller = layers.recurrent(recipe.layer, recipe.spelling, recipe.spelling, bidirectional=True)
        self.gru = layers.recurrent(
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
        spelled = layers.summary(state, directions=2)[batch["which"]]
        inputs = torch.cat([self.words(batch["words"]), spelled], -1)
        output, _ = self.gru(self.dropout(inputs), lengths=batch["lengths"])
        scores: Tensor = self.head(self.dropout(output))
        return scores


@dataclass(frozen=True, kw_only=True)
class Tag(Recipe[Tagged]):
    """A tag for each token of a text."""

    name: ClassVar[str] = "tag"
    metric: ClassVar[str] = "micro_f1"
    higher_is_better: ClassVar[bool] = True

    tokens: int = option(20000, "Largest number of words with a vector of their own.", least=1)
    least: int = option(2, "How often a word must occur to have one.", least=1)
    embedding: int = option(96, "Size of a word's vector.", least=1)
    spelling: int = option(32, "Size of a character's vector, and of the state of the GRU that spells.", least=1)
    hidden: int = option(128, "Size of the GRU's state.", least=1)
    dropout: float = option(0.3, "Probability of zeroing an element of inputs and outputs.", least=0, most=1)
    plain: str = option("", "The tag that F1 does not count; the most frequent one when left out.")

    def read(self, path: Path) -> Tagged:
        return tagged.read(path, with_tags=True)

    def read_inputs(self, path: Path) -> Tagged:
        return tagged.read(path, with_tags=False)

    def split(self, data: Tagged) -> tuple[Tagged, Tagged]:
        """The last sentences are held out: neighbours in a text are too much alike to be parted at random."""
        cut = len(data.tokens) - int(len(data.tokens) * self.validation)
        return data.part(range(cut)), data.part(range(cut, len(data.tokens)))

    def learn_state(self, data: Tagged) -> State:
        words = Counter(token for sentence in data.tokens for token in sentence)
        tags = Counter(tag for sentence in data.tags or () for tag in sentence)
        if len(tags) < 2:
            raise DataError(f"the data have {len(tags)} tag: {list(tags)}. A tagger needs two or more.")
        plain = self.plain or tags.most_common(1)[0][0]
        if plain not in tags:
            raise DataError(f"plain={plain!r} is no tag of the data: {', '.join(sorted(tags))}.")
        known = [word for word, count in words.most_common(self.tokens) if count >= self.least]
        letters = sorted({letter for word in words for letter in word})
        return {"words": known, "characters": letters, "tags": sorted(tags), "plain": plain}

    def examples(self, data: Tagged, state: State) -> list[Example]:
        words = {word: number for number, word in enumerate(state["words"], start=2)}
        letters = {letter: number for number, letter in enumerate(state["characters"], start=2)}
        tags = {tag: number for number, tag in enumerate(state["tags"])}
        distinct = {token for sentence in data.tokens for token in sentence}
        spelled = {word: torch.tensor([letters.get(letter, UNKNOWN) for letter in word]) for word in distinct}
        found = []
        for index, sentence in enumerate(data.tokens):
            numbers = torch.tensor([words.get(token, UNKNOWN) for token in sentence])
            right = data.tags[index] if data.tags is not None else ()
            if unknown := [tag for tag in right if tag not in tags]:
                raise DataError(f"tag {unknown[0]!r} is not among those learned: {', '.join(tags)}.")
            found.append(
                (numbers, sentence, spelled, torch.tensor([tags[tag] for tag in right] or [NO_TAG] * len(numbers)))
            )
        return found

    def length(self, example: Example) -> int:
        return len(example[0])

    def collate(self, examples: Sequence[Example]) -> Batch:
        distinct = {token: 0 for _, sentence, _, _ in examples for token in sentence}
        place = {token: number for number, token in enumerate(distinct)}
        spellings, spelling_lengths = padded([examples[0][2][token] for token in distinct])
        words, lengths = padded([numbers for numbers, *_ in examples])
        which, _ = padded([torch.tensor([place[token] for token in sentence]) for _, sentence, _, _ in examples])
        tags, _ = padded([right for *_, right in examples], NO_TAG)
        return {
            "words": words,
            "lengths": lengths,
            "spellings": spellings,
            "spelling_lengths": spelling_lengths,
            "which": which,
            "tags": tags,
        }

    def build(self, state: State) -> Tagger:
        return Tagger(self, len(state["words"]) + 2, len(state["characters"]) + 2, len(state["tags"]))

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        scores = model(batch).flatten(0, 1)
        total = F.cross_entropy(scores, batch["tags"].flatten(), ignore_index=NO_TAG, reduction="sum")
        return Loss(total, int(batch["lengths"].sum()))

    def _found(self, model: nn.Module, state: State, data: Tagged) -> list[list[int]]:
        def numbers(batch: Batch) -> list[list[int]]:
            rows = model(batch).argmax(-1).tolist()
            return [row[:length] for row, length in zip(rows, batch["lengths"].tolist(), strict=True)]

        return answers(self, self.examples(data, state), numbers)

    def tags(self, model: nn.Module, state: State, tokens: Sequence[Sequence[str]]) -> list[list[str]]:
        """The likeliest tag of each token."""
        found = self._found(model, state, Tagged(tokens, None))
        return [[state["tags"][number] for number in sentence] for sentence in found]

    def _compared(self, model: nn.Module, state: State, data: Tagged) -> tuple[Tensor, Tensor]:
        right = torch.cat([tags for *_, tags in self.examples(data, state)])
        return torch.tensor([number for sentence in self._found(model, state, data) for number in sentence]), right

    def score(self, model: nn.Module, state: State, data: Tagged) -> dict[str, float]:
        found, right = self._compared(model, state, data)
        names = state["tags"]
        return {
            "micro_f1": micro_f1([names[i] for i in found], [names[i] for i in right], state["plain"]),
            "macro_f1": float(multiclass_f1_score(found, right, len(names), average="macro")),
            "accuracy": float((found == right).double().mean()),
        }

    def predict(self, model: nn.Module, state: State, data: Tagged) -> pd.DataFrame:
        """A row for each token."""
        rows = zip(data.tokens, self.tags(model, state, data.tokens), strict=True)
        return pd.DataFrame(
            [
                (number, token, tag)
                for number, (sentence, tags) in enumerate(rows, start=1)
                for token, tag in zip(sentence, tags, strict=True)
            ],
            columns=["sentence", "token", "tag"],
        )

    def restore(self, model: nn.Module, state: State, lines: Sequence[str]) -> list[str]:
        """Lines of plain words, with the capitals and marks that a network for running text has learned."""
        tokens = tagged.from_text(lines, with_tags=False).tokens
        tags = self.tags(model, state, tokens)
        return [tagged.restored(*pair) for pair in zip(tokens, tags, strict=True)]

    def plots(self, model: nn.Module, state: State, data: Tagged) -> dict[str, Figure]:
        found, right = self._compared(model, state, data)
        counts = multiclass_confusion_matrix(found, right, len(state["tags"]), normalize="true").double().numpy()
        return {"confusion": plots.matrix(counts, state["tags"], state["tags"], ("true tag", "predicted tag"))}


def micro_f1(found: Sequence[str], right: Sequence[str], plain: str) -> float:
    """F1 over all tokens that have, or were given, another tag than the plain one: 2 hits / (found + right)."""
    hits = sum(a == b != plain for a, b in zip(found, right, strict=True))
    counted = sum(tag != plain for tag in found) + sum(tag != plain for tag in right)
    return 2 * hits / counted if counted else float(np.nan)
