"""The network of `translate`: an encoder of source sentences, and a decoder with attention over its outputs."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from fastgru_recipes.dropout import Dropout
from fastgru_recipes.recurrent_layers import HiddenState, RecurrentOptions, hidden, recurrent, starting
from fastgru_recipes.text.vocabulary import PAD_ID


class Memory(NamedTuple):
    """The encoder's outputs (B, S, 2H) that the decoder attends to, and which of them are padding (B, S)."""

    outputs: Tensor
    is_padding: Tensor


class TranslateNetwork(nn.Module):
    """A bidirectional encoder, a decoder, and attention between them.

    Args:
        layer: options of both recurrent layers.
        sources: size of the vocabulary of the source language.
        targets: size of the vocabulary of the target language, V.
        embedding: size of a token's vector.
    """

    def __init__(self, layer: RecurrentOptions, *, sources: int, targets: int, embedding: int) -> None:
        super().__init__()
        self.layer, size = layer.name, layer.hidden
        self.dropout = Dropout(layer.dropout)
        self.source_embedding = nn.Embedding(sources, embedding, padding_idx=PAD_ID)
        self.encoder = recurrent(layer, embedding, bidirectional=True)
        self.bridge = nn.Linear(2 * size, size)
        self.target_embedding = nn.Embedding(targets, embedding, padding_idx=PAD_ID)
        self.decoder = recurrent(layer, embedding)
        self.query = nn.Linear(size, 2 * size, bias=False)
        self.combine = nn.Linear(3 * size, size)
        self.head = nn.Linear(size, targets)

    def encode(self, sources: Tensor, lengths: Tensor) -> tuple[Memory, HiddenState]:
        """The memory, and the decoder's initial state: a combination of both directions' final states, by layer."""
        outputs, state = self.encoder(self.dropout(self.source_embedding(sources)), lengths=lengths)
        h_n = hidden(state)
        h_n = h_n.view(-1, 2, *h_n.shape[1:]).transpose(1, 2).flatten(2)  # (layers, B, 2H)
        memory = Memory(outputs, torch.arange(sources.shape[1]) >= lengths[:, None])
        return memory, starting(self.layer, self.bridge(h_n).tanh())

    def decode(self, targets: Tensor, state: HiddenState, memory: Memory) -> tuple[Tensor, HiddenState, Tensor]:
        """Scores of each next token (B, T, V), the state after the last token, and the attention (B, T, S)."""
        outputs, state = self.decoder(self.dropout(self.target_embedding(targets)), state)
        match = self.query(outputs) @ memory.outputs.transpose(1, 2) / memory.outputs.shape[-1] ** 0.5
        attention = match.masked_fill(memory.is_padding[:, None], float("-inf")).softmax(-1)
        combined = self.combine(torch.cat([outputs, attention @ memory.outputs], -1)).tanh()
        return self.head(self.dropout(combined)), state, attention
