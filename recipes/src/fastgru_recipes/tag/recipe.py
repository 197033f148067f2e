"""Sequence tagging: a bidirectional GRU reads a sentence and predicts a tag for each token.

    characters of each word -> embedding -> bidirectional GRU -> its final states
    first and last 2 and 3 characters, shape -> embeddings
    tokens (B, T) -> embedding, concatenated with both -> bidirectional GRU -> linear -> tags (B, T, K)

The first GRU reads the characters of a word, so that unknown words get a vector from their spelling. It reads every
distinct word of a batch once. A long text is cut into windows. Each window also reads some tokens of its neighbours, so
that every tag is learned and predicted with context on both sides. With `crf` the tags of a window are scored together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics.functional.classification import multiclass_confusion_matrix, multiclass_f1_score

from fastgru.errors import ArgumentError
from fastgru_recipes import read_files, read_table
from fastgru_recipes.errors import DataError
from fastgru_recipes.file_options import TextOptions
from fastgru_recipes.option_names import given
from fastgru_recipes.plots.matrices import confusion
from fastgru_recipes.ranked import ranked
from fastgru_recipes.recipe import Batch, Loss, Recipe, State, option, several
from fastgru_recipes.tag import read_tagged
from fastgru_recipes.tag.crf import CRF
from fastgru_recipes.tag.entities import are_entities, entity_f1
from fastgru_recipes.tag.network import TagNetwork
from fastgru_recipes.tag.read_tagged import Tagged
from fastgru_recipes.tag.spelling import FIRST_ID, SHAPES, Spelling, learned_affixes, spellings
from fastgru_recipes.text.vocabulary import UNKNOWN_ID
from fastgru_recipes.training.batching import answers, padded

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NO_TAG = -100  # the target that torch's cross entropy ignores


class TagWindow(NamedTuple):
    """A part of a sentence, with tokens of its neighbours on both sides.

    Attributes:
        tokens: T tokens.
        words: (T,), the numbers of the tokens.
        tags: (T,), the numbers of the true tags; NO_TAG for tokens of the neighbours.
        own: the steps that do not belong to a neighbour.
        spelled: the spelling of each distinct token of the data.
    """

    tokens: Sequence[str]
    words: Tensor
    tags: Tensor
    own: slice
    spelled: Mapping[str, Spelling]


@dataclass(frozen=True, kw_only=True)
class Tag(TextOptions, Recipe[Tagged]):
    """A tag for each token of a text."""

    name: ClassVar[str] = "tag"
    metric: ClassVar[str] = "micro_f1"
    higher_is_better: ClassVar[bool] = True
    advice: ClassVar[str] = "Try more steps, more dropout, or more sentences; or use the baseline."
    loss_name: ClassVar[str] = "negative log likelihood (nats per token)"
    of_network: ClassVar[tuple[str, ...]] = (
        *Recipe.of_network, "tokens", "least", "embedding", "spelling", "affix", "crf", "plain"
    )  # fmt: skip

    tokens: int = option(20000, "Largest number of words with an embedding.", least=1)
    least: int = option(2, "How often a word must occur to have an embedding.", least=1)
    embedding: int = option(96, "Size of a word's vector.", least=1)
    spelling: int = option(32, "Size of a character's vector, and of the state of the GRU over characters.", least=1)
    affix: int = option(
        16, "Size of the vectors of a word's first and last 2 and 3 characters, and of its shape; 0: none.", least=0
    )
    crf: bool = option(False, "Also score pairs of adjacent tags, with a conditional random field.")
    window: int = option(64, "Number of tokens of the windows into which longer sentences and texts are cut.", least=1)
    overlap: int = option(16, "Number of tokens that a window reads of each neighbour.", least=0)
    hidden: int = option(128, "Size of the GRU's state.", least=1)
    dropout: float = option(0.5, "Probability of zeroing an element of the inputs and outputs.", least=0, most=1)
    retrain_below: int = option(
        500, "With fewer windows than this, train again on all of them after validation; 0: never.", least=0
    )
    plain: str = option("", "The tag that F1 does not count. Default: the most frequent tag.")

    columns: tuple[str, ...] = option(
        (), "Columns of tokens and tags, by number from 1 (-1 is the last one), or by CoNLL-U's name: form,xpos."
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "columns", several(self.columns, "columns", str))
        if len(self.columns) not in (0, 2) or len({*self.columns}) < len(self.columns):
            raise ArgumentError(
                f"{given('columns', self.columns)} does not name two columns, such as 1,4 or form,xpos."
            )

    def read(self, path: Path | str) -> Tagged:
        return read_tagged.read(path, True, self.columns, self.encoding)

    def read_inputs(self, path: Path | str) -> Tagged:
        return read_tagged.read(path, False, self.columns, self.encoding)

    def from_text(self, text: str, state: State) -> Tagged:
        """A sentence: running text for a run that learned it, and else tokens separated by spaces."""
        text = read_files.require_texts([text], "text")[0]
        return read_tagged.from_text([text], with_tags=False) if state["is_text"] else Tagged([text.split()], None)

    def split(self, data: Tagged) -> tuple[Tagged, Tagged]:
        return read_tagged.split(data, self.validation)

    def learn_state(self, data: Tagged) -> State:
        words = Counter(token for sentence in data.tokens for token in sentence)
        tags = Counter(tag for sentence in data.tags or () for tag in sentence)
        if len(tags) < 2:
            raise DataError(f"the data have {len(tags)} tag: {list(tags)}. A tagger needs two or more.")
        plain = self.plain or tags.most_common(1)[0][0]
        if plain not in tags:
            raise DataError(f"{given('plain', plain)} is not a tag of the data: {', '.join(sorted(tags))}.")
        if data.is_text:  # other texts may have marks that this one lacks
            tags.update(dict.fromkeys(read_tagged.TEXT_TAGS, 0))
        known = [word for word, count in words.most_common(self.tokens) if count >= self.least]
        letters = sorted({letter for word in words for letter in word})
        return {
            "words": known,
            "characters": letters,
            "affixes": learned_affixes(words, self.least),
            "tags": sorted(tags),
            "plain": plain,
            "is_text": data.is_text,
        }

    def examples(self, data: Tagged, state: State) -> list[TagWindow]:
        if data.is_text and not state["is_text"]:
            raise DataError("the data are running text, but training was on columns. Give one token on each line.")
        words = {word: number for number, word in enumerate(state["words"], start=FIRST_ID)}
        tags = {tag: number for number, tag in enumerate(state["tags"])}
        distinct = {token for sentence in data.tokens for token in sentence}
        spelled = spellings(distinct, state["words"], state["characters"], state["affixes"])
        found = []
        for index, sentence in enumerate(data.tokens):
            right = data.tags[index] if data.tags is not None else ()
            if unknown := [tag for tag in right if tag not in tags]:
                raise DataError(f"tag {unknown[0]!r} is not among the learned ones: {', '.join(tags)}.")
            numbers = torch.tensor([words.get(token, UNKNOWN_ID) for token in sentence])
            answers = torch.tensor([tags[tag] for tag in right] or [NO_TAG] * len(numbers))
            for begin in range(0, len(sentence), self.window):
                seen = slice(max(0, begin - self.overlap), begin + self.window + self.overlap)
                own = slice(begin - seen.start, min(begin + self.window, len(sentence)) - seen.start)
                own_tags = torch.full_like(answers[seen], NO_TAG)
                own_tags[own] = answers[seen][own]
                found.append(TagWindow(sentence[seen], numbers[seen], own_tags, own, spelled))
        return found

    def length(self, example: TagWindow) -> int:
        return len(example.tokens)

    def collate(self, examples: Sequence[TagWindow]) -> Batch:
        distinct = {token: window.spelled[token] for window in examples for token in window.tokens}
        place = {token: number for number, token in enumerate(distinct)}
        spelled = [*distinct.values()]
        characters, spelling_lengths = padded([each.characters for each in spelled])
        words, lengths = padded([window.words for window in examples])
        which, _ = padded([torch.tensor([place[token] for token in window.tokens]) for window in examples])
        tags, _ = padded([window.tags for window in examples], NO_TAG)
        return {
            "words": words,
            "lengths": lengths,
            "spellings": characters,
            "spelling_lengths": spelling_lengths,
            "marks": torch.stack([each.marks for each in spelled]),
            "which": which,
            "distinct": torch.tensor([each.word for each in spelled]),
            "tags": tags,
        }

    def build(self, state: State) -> TagNetwork:
        return TagNetwork(
            self.recurrent,
            words=len(state["words"]) + FIRST_ID,
            characters=len(state["characters"]) + FIRST_ID,
            tags=len(state["tags"]),
            embedding=self.embedding,
            spelling=self.spelling,
            marks=[*(len(affixes) + FIRST_ID for affixes in state["affixes"]), len(SHAPES)],
            affix=self.affix,
            crf=self.crf,
        )

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        scores, tags = model(batch), batch["tags"]
        terms = int((tags != NO_TAG).sum())
        if self.crf:
            return Loss(_crf(model).loss(scores, tags, batch["lengths"]).sum(), terms)
        return Loss(F.cross_entropy(scores.flatten(0, 1), tags.flatten(), ignore_index=NO_TAG, reduction="sum"), terms)

    def _likeliest(self, model: nn.Module, batch: Batch) -> Tensor:
        scores: Tensor = model(batch)
        return _crf(model).decode(scores, batch["lengths"]) if self.crf else scores.argmax(-1)

    def _shares(self, model: nn.Module, batch: Batch) -> Tensor:
        scores: Tensor = model(batch)
        return _crf(model).marginals(scores, batch["lengths"]) if self.crf else scores.softmax(-1)

    def _found(self, model: nn.Module, state: State, data: Tagged) -> tuple[Tensor, Tensor]:
        """The numbers of the predicted tags (N,) and of the true tags (N,), for all tokens of all sentences."""
        windows = self.examples(data, state)
        rows = answers(self, windows, lambda batch: self._likeliest(model, batch))
        likeliest = [row[window.own] for row, window in zip(rows, windows, strict=True)]
        nothing = torch.zeros(0, dtype=torch.int64)
        return torch.cat([nothing, *likeliest]), torch.cat([nothing, *(window.tags[window.own] for window in windows)])

    def tags(self, model: nn.Module, state: State, tokens: Sequence[Sequence[str]]) -> list[list[str]]:
        """The predicted tag of each token."""
        return self._tags(model, state, Tagged(tokens, None))

    def _tags(self, model: nn.Module, state: State, data: Tagged) -> list[list[str]]:
        likeliest, _ = self._found(model, state, data)
        return _by_sentence([state["tags"][number] for number in likeliest.tolist()], data)

    def probabilities(self, model: nn.Module, state: State, tokens: Sequence[Sequence[str]]) -> list[Tensor]:
        """The probability (T, K) of each tag, in the order of the state's `tags`, for the tokens of each sentence."""
        every = self._probabilities(model, state, Tagged(tokens, None))
        return [*torch.split(every, [len(sentence) for sentence in tokens])]

    def score(self, model: nn.Module, state: State, data: Tagged) -> dict[str, float]:
        """Micro- and macro-F1 of tags and their accuracy, and the F1 of entities where the tags mark entities."""
        found, right = self._found(model, state, data)
        ours, theirs = ([state["tags"][number] for number in numbers.tolist()] for numbers in (found, right))
        scores = {
            "micro_f1": micro_f1(ours, theirs, state["plain"]),
            "macro_f1": float(multiclass_f1_score(found, right, len(state["tags"]), average="macro")),
            "accuracy": float((found == right).double().mean()),
        }
        if are_entities(state["tags"]):
            scores["entity_f1"] = entity_f1(_by_sentence(ours, data), _by_sentence(theirs, data))
        return scores

    def _probabilities(self, model: nn.Module, state: State, data: Tagged) -> Tensor:
        """The probabilities (N, K) of the tags, for all tokens of all sentences."""
        windows = self.examples(data, state)
        rows = answers(self, windows, lambda batch: self._shares(model, batch))
        own = [row[window.own] for row, window in zip(rows, windows, strict=True)]
        return torch.cat([torch.zeros(0, len(state["tags"]), dtype=self.dtype), *own])

    def predict(
        self, model: nn.Module, state: State, data: Tagged, probabilities: bool = False, best: int = 0
    ) -> pd.DataFrame:
        """A table with one row for each token; with `probabilities` also with a column for each tag.

        With `best` it has that many tags of each token with their probabilities instead, each by itself.

        Raises:
            ArgumentError: for more tags than were learned.
        """
        known = Tagged(data.tokens, None, data.is_text)
        tokens = _numbered(data)
        if best:
            shares = self._probabilities(model, state, known)
            table = ranked(tokens, state["tags"], shares.float().numpy(), best, "tag")
        else:
            table = tokens.assign(tag=[tag for tags in self._tags(model, state, known) for tag in tags])
        if probabilities and not best:
            shares = self._probabilities(model, state, known)
            names = [f"probability of {tag}" if tag in table else tag for tag in state["tags"]]
            table = pd.concat([table, pd.DataFrame(shares.float().numpy(), columns=names)], axis=1)
        return read_table.beside(None if data.keys is None else data.keys.loc[table["sentence"] - 1], table)

    def restore(self, model: nn.Module, state: State, texts: Sequence[str]) -> list[str]:
        """The texts with predicted capitals and punctuation. For a network that was trained on running text."""
        data = read_tagged.from_text(texts, with_tags=False)
        pairs = zip(data.tokens, self._tags(model, state, data), strict=True)
        return [read_tagged.restored_text(tokens, tags) for tokens, tags in pairs]

    def plots(self, model: nn.Module, state: State, data: Tagged, part: str) -> dict[str, Figure]:
        found, right = self._found(model, state, data)
        counts = multiclass_confusion_matrix(found, right, len(state["tags"])).double().numpy()
        title = f"tag: tags of the {len(right):,} tokens of the {part}"
        return {"confusion": confusion(counts, state["tags"], "tag", title)}


def _crf(model: nn.Module) -> CRF:
    field: CRF = model.crf  # type: ignore[assignment]
    return field


def _numbered(data: Tagged) -> pd.DataFrame:
    """A row for each token, with the number of its sentence."""
    rows = [(number, token) for number, sentence in enumerate(data.tokens, start=1) for token in sentence]
    return pd.DataFrame(rows, columns=["sentence", "token"])


def _by_sentence(tags: Sequence[str], data: Tagged) -> list[list[str]]:
    """The tags of all tokens as one list for each sentence."""
    ends = [*accumulate(map(len, data.tokens))]
    return [[*tags[begin:end]] for begin, end in pairwise([0, *ends])]


def micro_f1(found: Sequence[str], right: Sequence[str], plain: str) -> float:
    """F1 over all tags except `plain`: 2 * hits / (predicted + true)."""
    hits = sum(a == b != plain for a, b in zip(found, right, strict=True))
    counted = sum(tag != plain for tag in found) + sum(tag != plain for tag in right)
    return 2 * hits / max(1, counted)
