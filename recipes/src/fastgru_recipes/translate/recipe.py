"""Translation of sentences: an encoder GRU reads the source, and a decoder GRU with attention writes the target.

    source (B, S) -> embedding -> bidirectional GRU -> memory (B, S, 2H), and h_n, from which the decoder starts
    target (B, T) -> embedding -> GRU -> attention over the memory -> linear -> scores of the next tokens (B, T, V)

Attention is applied to the decoder's outputs (Luong et al. 2015, "general") and is not fed back into the decoder. So
training reads a target sentence in one call of the layer, and only generation goes step by step. The scores of the
attention are divided by the square root of the vector size (Vaswani et al. 2017); without this, the softmax saturates
and gradients vanish.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from torch import Tensor, nn

from fastgru.errors import ArgumentError
from fastgru_recipes import read_files, read_table
from fastgru_recipes.errors import DataError
from fastgru_recipes.file_options import TableOptions
from fastgru_recipes.option_names import given
from fastgru_recipes.plots.matrices import attention as attention_plot
from fastgru_recipes.recipe import Batch, Example, Loss, Recipe, State, option, several
from fastgru_recipes.recurrent_layers import HiddenState, selected
from fastgru_recipes.text import vocabulary
from fastgru_recipes.text.beam_search import search
from fastgru_recipes.text.vocabulary import END_ID, PAD_ID, START_ID, UNKNOWN_ID
from fastgru_recipes.training.batching import answers, cut, padded
from fastgru_recipes.translate import read_pairs
from fastgru_recipes.translate.network import Memory, TranslateNetwork
from fastgru_recipes.translate.read_pairs import Pairs

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, kw_only=True)
class Translate(TableOptions, Recipe[Pairs]):
    """Translation of sentences, learned from pairs."""

    name: ClassVar[str] = "translate"
    metric: ClassVar[str] = "chrF"
    higher_is_better: ClassVar[bool] = True
    loss_name: ClassVar[str] = "cross-entropy (nats per token), smoothed in training"
    of_network: ClassVar[tuple[str, ...]] = (*Recipe.of_network, "unit", "tokens", "embedding")

    unit: vocabulary.Unit = option("bpe", "Unit of the tokens of sentences.")
    tokens: int = option(8000, "Largest size of each language's vocabulary.", least=5)
    embedding: int = option(128, "Size of a token's vector.", least=1)
    hidden: int = option(256, "Size of the GRU's state.", least=1)
    dropout: float = option(0.2, "Probability of zeroing an element of the inputs and outputs.", least=0, most=1)
    smoothing: float = option(
        0.1, "Label smoothing: fraction of the target distribution spread over all tokens.", least=0, most=0.9
    )
    beam: int = option(4, "Number of candidates of the beam search.", least=1)
    longest_source: int = option(
        1000, "Largest number of tokens that are read; a warning reports longer sentences.", least=1
    )
    longest: int = option(200, "Largest number of tokens of a translation.", least=1)
    columns: tuple[str, ...] = option(
        (), "Columns of the sentence and its translation in a table, by name or by number from 1: source,target."
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "columns", several(self.columns, "columns", str))
        if len(self.columns) not in (0, 2) or len({*self.columns}) < len(self.columns):
            raise ArgumentError(f"{given('columns', self.columns)} does not name two columns, such as source,target.")

    def read(self, path: Path | str) -> Pairs:
        return read_pairs.read(path, self.columns, True, self.table_format)

    def read_inputs(self, path: Path | str) -> Pairs:
        return read_pairs.read(path, self.columns, False, self.table_format)

    def from_text(self, text: str, state: State) -> Pairs:
        return Pairs(read_files.require_texts([text], "text"), None)

    def split(self, data: Pairs) -> tuple[Pairs, Pairs]:
        order = np.random.default_rng(self.seed).permutation(len(data.sources)).tolist()
        cut = int(len(order) * self.validation)
        return part(data, sorted(order[cut:])), part(data, sorted(order[:cut]))

    def learn_state(self, data: Pairs) -> State:
        if len(data.sources) < 2:
            raise DataError(f"there are {len(data.sources)} pairs to learn from. Give more, thousands if possible.")
        source = vocabulary.learn(data.sources, self.unit, self.tokens)
        target = vocabulary.learn(data.targets or (), self.unit, self.tokens)
        return {"source": vocabulary.to_state(source), "target": vocabulary.to_state(target)}

    def examples(self, data: Pairs, state: State) -> list[Example]:
        sources = vocabulary.from_state(state["source"]).encode_batch(list(data.sources))
        targets = data.targets if data.targets is not None else [""] * len(sources)
        encoded = vocabulary.from_state(state["target"]).encode_batch(list(targets))
        return [
            (torch.tensor(source or [UNKNOWN_ID]), torch.tensor([START_ID, *target, END_ID]))
            for source, target in zip(
                cut([each.ids for each in sources], self.longest_source, "sentences", "longest_source"),
                cut([each.ids for each in encoded], self.longest_source, "translations", "longest_source"),
                strict=True,
            )
        ]

    def length(self, example: Example) -> int:
        return len(example[0])

    def size(self, example: Example) -> int:
        """The numbers of the layers, and the scores and the attention of each target token."""
        read, written = map(len, example)
        return 14 * self.layers * self.hidden * (read + written) + 3 * written * (self.tokens + read)

    def collate(self, examples: Sequence[Example]) -> Batch:
        sources, lengths = padded([source for source, _ in examples], PAD_ID)
        targets, _ = padded([target for _, target in examples], PAD_ID)
        return {"sources": sources, "lengths": lengths, "targets": targets}

    def build(self, state: State) -> TranslateNetwork:
        sources, targets = (vocabulary.from_state(state[side]).get_vocab_size() for side in ("source", "target"))
        return TranslateNetwork(self.recurrent, sources=sources, targets=targets, embedding=self.embedding)

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        assert isinstance(model, TranslateNetwork)
        memory, state = model.encode(batch["sources"], batch["lengths"])
        scores, _, _ = model.decode(batch["targets"][:, :-1], state, memory)
        targets = batch["targets"][:, 1:]
        total = F.cross_entropy(
            scores.flatten(0, 1),
            targets.flatten(),
            ignore_index=PAD_ID,
            reduction="sum",
            label_smoothing=self.smoothing if model.training else 0.0,
        )
        return Loss(total, int((targets != PAD_ID).sum()))

    def translations(self, model: nn.Module, state: State, sources: Sequence[str]) -> list[str]:
        """The best translation of each sentence that beam search finds."""
        return [found[0][0] for found in self.candidates(model, state, sources)]

    def candidates(self, model: nn.Module, state: State, sources: Sequence[str]) -> list[list[tuple[str, float]]]:
        """The translations of each sentence that beam search finds, and their mean log probabilities, best first.

        They are at most `beam`, and fewer if different tokens spell the same text.
        """
        assert isinstance(model, TranslateNetwork)
        tokenizer = vocabulary.from_state(state["target"])

        def write(batch: Batch) -> list[list[tuple[str, float]]]:
            memory, start = model.encode(batch["sources"], batch["lengths"])
            rows = torch.arange(len(batch["lengths"])).repeat_interleave(self.beam)
            seen = Memory(*(each[rows] for each in memory))

            def step(tokens: Tensor, hidden: HiddenState) -> tuple[Tensor, HiddenState]:
                scores, hidden, _ = model.decode(tokens[:, None], hidden, seen)
                return scores[:, 0], hidden

            found = search(step, selected(start, rows), len(batch["lengths"]), self.beam, self.longest)
            texts = [[(str(tokenizer.decode(each.tokens)), each.score) for each in ranked] for ranked in found]
            return [list({text: (text, score) for text, score in reversed(each)}.values())[::-1] for each in texts]

        return answers(self, self.examples(Pairs(sources, None), state), write)

    def score(self, model: nn.Module, state: State, data: Pairs) -> dict[str, float]:
        targets = list(data.targets or ())
        return judged(self.translations(model, state, data.sources), targets)

    def predict(self, model: nn.Module, state: State, data: Pairs, best: int = 0) -> pd.DataFrame:
        """A table with the translation of each sentence; or, with `best`, with that many and their probabilities.

        The probability is the geometric mean of those of the tokens, so that long sentences compare with short ones.

        Raises:
            ArgumentError: for more translations than the beam has candidates.
        """
        if best > self.beam:
            raise ArgumentError(f"{given('best', best)} is more than the {self.beam} candidates of the beam search.")
        found = self.candidates(model, state, data.sources)
        if not best:
            table = pd.DataFrame({"source": list(data.sources), "translation": [each[0][0] for each in found]})
            return read_table.beside(data.keys, table)
        rows = [
            (source, rank, text, math.exp(score))
            for source, each in zip(data.sources, found, strict=True)
            for rank, (text, score) in enumerate(each[:best], start=1)
        ]
        counts = [len(each[:best]) for each in found]
        keys = None if data.keys is None else data.keys.loc[data.keys.index.repeat(counts)]
        return read_table.beside(keys, pd.DataFrame(rows, columns=["source", "rank", "translation", "probability"]))

    @torch.inference_mode()
    def attention(
        self, model: nn.Module, state: State, source: str, target: str
    ) -> tuple[Tensor, list[str], list[str]]:
        """The attention weights (T, S) of a translation, and the tokens of target and source."""
        assert isinstance(model, TranslateNetwork)
        batch = self.collate(self.examples(Pairs([source], [target]), state))
        memory, start = model.encode(batch["sources"], batch["lengths"])
        _, _, attention = model.decode(batch["targets"][:, :-1], start, memory)
        names = [vocabulary.pieces(state[side], text) for side, text in (("target", target), ("source", source))]
        return attention[0], [*names[0], "end"], names[1]

    def plots(self, model: nn.Module, state: State, data: Pairs, part: str) -> dict[str, Figure]:
        source = min(data.sources, key=lambda text: abs(len(text) - 40))
        found = self.translations(model, state, [source])[0]
        attention, written, read = self.attention(model, state, source, found)
        title = f"translate: what each written token looks at, in a sentence of the {part}"
        return {"attention": attention_plot(attention.double().numpy(), written, read, title)}


def part(data: Pairs, indices: Sequence[int]) -> Pairs:
    """The pairs at `indices`."""
    targets = None if data.targets is None else [data.targets[index] for index in indices]
    keys = None if data.keys is None else data.keys.iloc[list(indices)].reset_index(drop=True)
    return Pairs([data.sources[index] for index in indices], targets, keys)


def judged(found: Sequence[str], targets: Sequence[str]) -> dict[str, float]:
    """ChrF and BLEU by sacrebleu, from 0 to 100, and the fraction of exact matches."""
    return {
        "chrF": CHRF().corpus_score(list(found), [list(targets)]).score,
        "BLEU": BLEU().corpus_score(list(found), [list(targets)]).score,
        "exact": float(np.mean([a == b for a, b in zip(found, targets, strict=True)])),
    }
