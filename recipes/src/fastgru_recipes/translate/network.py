"""The network of `translate`: an encoder of sources, and a decoder of targets that looks back at them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from fastgru_recipes.recurrent_layers import HiddenState, hidden, recurrent, starting
from fastgru_recipes.text.vocabulary import PAD_ID

if TYPE_CHECKING:
    from fastgru_recipes.translate.recipe import Translate


class Memory(NamedTuple):
    """What the decoder looks back at: the encoder's outputs (B, S, 2H), and which of them are padding (B, S)."""

    outputs: Tensor
    is_padding: Tensor


class TranslateNetwork(nn.Module):
    """Encoder, decoder, attention."""

    def __init__(self, recipe: Translate, sources: int, targets: int) -> None:
        super().__init__()
        self.layer = recipe.layer
        size, stacked = recipe.hidden, {"num_layers": recipe.layers, "dropout": recipe.dropout}
        self.dropout = nn.Dropout(recipe.dropout)
        self.source_embedding = nn.Embedding(sources, recipe.embedding, padding_idx=PAD_ID)
        self.encoder = recurrent(recipe.layer, recipe.embedding, size, bidirectional=True, **stacked)
        self.bridge = nn.Linear(2 * size, size)
        self.target_embedding = nn.Embedding(targets, recipe.embedding, padding_idx=PAD_ID)
        self.decoder = recurrent(recipe.layer, recipe.embedding, size, **stacked)
        self.query = nn.Linear(size, 2 * size, bias=False)
        self.combine = nn.Linear(3 * size, size)
        self.head = nn.Linear(size, targets)

    def encode(self, sources: Tensor, lengths: Tensor) -> tuple[Memory, HiddenState]:
        """The memory, and the decoder's first state: of each layer both directions' last states, combined."""
        outputs, state = self.encoder(self.dropout(self.source_embedding(sources)), lengths=lengths)
        h_n = hidden(state)
        h_n = h_n.view(-1, 2, *h_n.shape[1:]).transpose(1, 2).flatten(2)  # (layers, B, 2H)
        memory = Memory(outputs, torch.arange(sources.shape[1]) >= lengths[:, None])
        return memory, starting(self.layer, self.bridge(h_n).tanh())

    def decode(self, targets: Tensor, state: HiddenState, memory: Memory) -> tuple[Tensor, HiddenState, Tensor]:
        """Scores of each next token (B, T, V), the state after the last, and the attention (B, T, S)."""
        outputs, state = self.decoder(self.dropout(self.target_embedding(targets)), state)
        match = self.query(outputs) @ memory.outputs.transpose(1, 2) / memory.outputs.shape[-1] ** 0.5
        attention = match.masked_fill(memory.is_padding[:, None], float("-inf")).softmax(-1)
        combined = self.combine(torch.cat([outputs, attention @ memory.outputs], -1)).tanh()
        return self.head(self.dropout(combined)), state, attention
