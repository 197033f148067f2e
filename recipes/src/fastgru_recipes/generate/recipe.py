"""Text generation: a stacked GRU reads characters or byte pairs and predicts the next one.

    tokens (B, T) -> embedding -> GRU -> linear to the embedding's size -> the embedding again, as output weights

The weights of the output layer are those of the embedding (Press and Wolf 2017). Training sees windows of the text.
Scoring and generation carry the state through the text, so that no context is lost at the edge of a window.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fastgru.errors import ArgumentError
from fastgru_recipes import interruption, read_files, read_table
from fastgru_recipes.errors import DataError
from fastgru_recipes.file_options import TextOptions
from fastgru_recipes.generate.network import GenerateNetwork
from fastgru_recipes.option_names import given, named
from fastgru_recipes.plots.costs import token_costs
from fastgru_recipes.read_table import TableFormat
from fastgru_recipes.recipe import Batch, Example, Loss, Recipe, State, option
from fastgru_recipes.text import vocabulary
from fastgru_recipes.text.vocabulary import PAD_ID, START_ID, UNKNOWN_ID

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from tokenizers import Tokenizer

CODE_POINTS = 0x110000  # in Unicode
PLOTTED = 70  # characters of a text whose costs are drawn
PIECE = 2048  # tokens in one call of the layer when a text is scored or read


@dataclass(frozen=True, kw_only=True)
class Generate(TextOptions, Recipe[str]):
    """Text in the style of a file."""

    name: ClassVar[str] = "generate"
    metric: ClassVar[str] = "bits_per_character"
    higher_is_better: ClassVar[bool] = False
    loss_name: ClassVar[str] = "cross-entropy (nats per token)"
    of_network: ClassVar[tuple[str, ...]] = (*Recipe.of_network, "unit", "tokens", "embedding")

    unit: Literal["characters", "bpe"] = option("characters", "Unit of the tokens.")
    tokens: int = option(4000, "Largest size of the vocabulary.", least=5)
    embedding: int = option(128, "Size of a token's vector.", least=1)
    window: int = option(128, "Number of tokens in a training example.", least=2)
    hidden: int = option(384, "Size of the GRU's state.", least=1)
    text_column: str = option("text", "Key of the text in JSON lines.")

    def read(self, path: Path | str) -> str:
        """Reads a text file as it is. Of JSON lines it reads the texts, each followed by a newline."""
        if read_files.kind(path) not in read_files.JSON_LINES:
            return read_files.text(path, self.encoding)
        found = read_table.table(path, TableFormat(encoding=self.encoding), texts=(self.text_column,))
        read_table.require_columns(path, found, [self.text_column], f"Name it with {named('text_column')}.")
        with read_files.about(path):
            return "\n".join([*read_files.require_texts(found[self.text_column], "text"), ""])

    def from_text(self, text: str, state: State) -> str:
        return read_files.require_texts([text], "text")[0]

    def split(self, data: str) -> tuple[str, str]:
        """Holds out the end of the text, from the start of a line if there is one."""
        held_out = int(len(data) * self.validation)
        cut = len(data) - held_out
        cut = data.rfind("\n", cut - held_out // 2, cut) + 1 or cut
        return data[:cut], data[cut:]

    def learn_state(self, data: str) -> State:
        tokenizer = vocabulary.learn(data.splitlines(keepends=True), self.unit, self.tokens)
        if len(tokenizer.encode(data).ids) <= self.window:
            raise DataError(
                f"the training part has {len(data)} characters, not more than a window of {self.window} tokens. "
                "Give more text, or a smaller window."
            )
        return {"tokenizer": vocabulary.to_state(tokenizer)}

    def examples(self, data: str, state: State) -> list[Example]:
        """Consecutive windows. Each has one more token than the network reads, the target of the last one."""
        ids = torch.tensor([START_ID, *vocabulary.from_state(state["tokenizer"]).encode(data).ids])
        return [ids[start : start + self.window + 1] for start in range(0, len(ids) - 1, self.window)]

    def length(self, example: Example) -> int:
        return len(example)

    def size(self, example: Example) -> int:
        """The numbers of the layers, and the scores of all tokens at each step."""
        return (14 * self.layers * self.hidden + 3 * self.tokens) * len(example)

    def collate(self, examples: Sequence[Example]) -> Batch:
        return {"tokens": nn.utils.rnn.pad_sequence(list(examples), batch_first=True, padding_value=PAD_ID)}

    def build(self, state: State) -> GenerateNetwork:
        tokens = vocabulary.from_state(state["tokenizer"]).get_vocab_size()
        return GenerateNetwork(self.recurrent, tokens=tokens, embedding=self.embedding)

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        tokens = batch["tokens"]
        scores, _ = model(tokens[:, :-1])
        targets = tokens[:, 1:]
        total = F.cross_entropy(scores.flatten(0, 1), targets.flatten(), ignore_index=PAD_ID, reduction="sum")
        return Loss(total, int((targets != PAD_ID).sum()))

    @torch.inference_mode()
    def surprise(self, model: nn.Module, state: State, text: str) -> tuple[Tensor, list[tuple[int, int]], float]:
        """The cost of each token of a text in bits, given all tokens before it.

        Returns:
            The bits (N,), the position of each token in the text as (begin, end), and the fraction of tokens that were
            predicted as the most probable one. An unknown character costs the unknown token and the choice among all
            characters outside the vocabulary, as it does in the baselines.
        """
        tokenizer = vocabulary.from_state(state["tokenizer"])
        encoding = tokenizer.encode(text)
        ids = torch.tensor([START_ID, *encoding.ids])
        costs, hits, hidden = [], 0, None
        for start in range(0, len(ids) - 1, PIECE):
            interruption.check()
            read, targets = ids[start : start + PIECE][: len(ids) - 1 - start], ids[start + 1 : start + 1 + PIECE]
            scores, hidden = model(read[None], hidden)
            costs.append(F.cross_entropy(scores[0].float(), targets, reduction="none") / math.log(2))
            hits += int((scores[0].argmax(-1) == targets).sum())
        bits = torch.cat(costs)
        bits[ids[1:] == UNKNOWN_ID] += math.log2(CODE_POINTS - tokenizer.get_vocab_size() + len(vocabulary.SPECIAL))
        return bits, encoding.offsets, hits / len(bits)

    def score(self, model: nn.Module, state: State, data: str) -> dict[str, float]:
        bits, _, accuracy = self.surprise(model, state, data)
        return {
            "bits_per_character": float(bits.double().sum()) / len(data),
            "perplexity_per_token": float(2 ** bits.double().mean()),
            "next_token_accuracy": accuracy,
        }

    def predict(self, model: nn.Module, state: State, data: str) -> pd.DataFrame:
        """The cost of each line in bits per character, which is high for unusual lines."""
        bits, places, _ = self.surprise(model, state, data)
        lines = data.split("\n")
        starts = torch.tensor([0] + [len(line) + 1 for line in lines]).cumsum(0)
        which = torch.searchsorted(starts, torch.tensor([begin for begin, _ in places]), right=True) - 1
        total = torch.zeros(len(lines), dtype=torch.float64).index_add_(0, which, bits.double())
        lengths = torch.tensor([max(1, len(line)) for line in lines])
        table = pd.DataFrame({"line": range(1, len(lines) + 1), "text": lines})
        table["bits_per_character"] = (total / lengths).numpy()
        return table[table["text"] != ""].reset_index(drop=True)

    def plots(self, model: nn.Module, state: State, data: str, part: str) -> dict[str, Figure]:
        bits, places, _ = self.surprise(model, state, begun := data[:PLOTTED])
        texts = [begun[begin:end] for begin, end in places]
        title = f"generate: what each token costs, in the first {len(begun)} characters of the {part}"
        return {"surprise": token_costs(bits.double().numpy(), texts, title)}

    def sample(
        self,
        model: nn.Module,
        state: State,
        prompt: str = "",
        length: int = 500,
        *,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
        seed: int = 0,
    ) -> Iterator[str]:
        """Generates text after a prompt, piece by piece.

        Args:
            model: the network.
            state: the vocabulary.
            prompt: the text to continue.
            length: the number of tokens to generate.
            temperature: divides the scores; with 0 the most probable token is always taken.
            top_k: draw from this many of the most probable tokens; 0 for all.
            top_p: draw from the fewest tokens with this total probability (Holtzman et al. 2020).
            seed: the seed of the draws.

        Yields:
            Pieces of the text, without the prompt.

        Raises:
            ArgumentError: for a value outside its range; nothing has been generated then.
        """
        limits: dict[str, tuple[Any, float, float]] = {
            **{"length": (length, 0, 2**31), "temperature": (temperature, 0, 1e30), "top_k": (top_k, 0, 2**31)},
            **{"top_p": (top_p, 0, 1), "seed": (seed, 0, 2**63 - 1)},
        }
        for name, (value, least, most) in limits.items():
            kind: Any = Real if name in ("temperature", "top_p") else Integral
            if not isinstance(value, kind):
                raise ArgumentError(f"{given(name, value)} is not {'a number' if kind is Real else 'an integer'}.")
            if not least <= value <= most:
                raise ArgumentError(f"{given(name, value)} is not between {least} and {most:g}.")
        if not isinstance(prompt, str):
            raise ArgumentError(f"{given('prompt', prompt)} is {type(prompt).__name__}; give a text.")
        read_files.require_letters(prompt, "the prompt")
        return self._pieces(
            model, state, prompt, length, (torch.Generator().manual_seed(int(seed)), temperature, top_k, top_p)
        )

    @torch.inference_mode()
    def _pieces(self, model: nn.Module, state: State, prompt: str, length: int, drawing: Any) -> Iterator[str]:
        tokenizer = vocabulary.from_state(state["tokenizer"])
        hidden = None
        for piece in torch.split(torch.tensor([START_ID, *tokenizer.encode(prompt).ids]), PIECE):
            scores, hidden = model(piece[None], hidden)
        written: list[int] = []
        shown = ""
        for _ in range(length):
            token = draw_token(scores[0, -1], *drawing)
            written.append(token)
            if (text := _decoded(tokenizer, written)) != shown and not text.endswith("\ufffd"):
                yield text[len(shown) :]
                written, shown = ([], "") if len(text) > 64 else (written, text)
            scores, hidden = model(torch.tensor([[token]]), hidden)


def draw_token(scores: Tensor, generator: torch.Generator, temperature: float, top_k: int, top_p: float) -> int:
    """Draws a token from scores (V,). Special tokens are never drawn."""
    scores = scores.to(torch.float64, copy=True)
    scores[: len(vocabulary.SPECIAL)] = -math.inf
    if temperature == 0:
        return int(scores.argmax())
    shares, order = ((scores - scores.max()) / temperature).softmax(-1).sort(descending=True)
    if top_k:
        shares[top_k:] = 0
    shares[1:][shares.cumsum(0)[:-1] >= top_p] = 0
    return int(order[torch.multinomial(shares, 1, generator=generator)])


def _decoded(tokenizer: Tokenizer, ids: list[int]) -> str:
    text: Any = tokenizer.decode(ids)
    return str(text)
