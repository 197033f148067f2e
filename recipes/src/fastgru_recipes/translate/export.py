"""The network of `translate` for export: the encoder of a sentence, and the decoder of its translation."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from fastgru_recipes.recipe import State
from fastgru_recipes.text.vocabulary import END_ID, START_ID
from fastgru_recipes.training.export import Format, Part, refused
from fastgru_recipes.translate.network import Memory, TranslateNetwork
from fastgru_recipes.translate.recipe import Translate

LEFT_OUT = (
    "Sentences become tokens by state.source, and tokens become translations by state.target, both tokenizers in the "
    f"format of the package tokenizers. A translation begins with the token {START_ID} and the state of the encoder, "
    f"and ends with the token {END_ID}. The search for the best tokens, by beam search in predict, is up to the caller."
)
ABOUT = {
    "sources": "the numbers of the tokens, 0 past the lengths",
    "lengths": "how many tokens each sentence has, at least 1",
    "memory": "what the decoder attends to, from the encoder",
    "is_padding": "which tokens of the sentence are padding, from the encoder",
    "state": "the state of the decoder before the first token",
    "targets": "the numbers of the tokens that were written last",
    "scores": "for each of them a score of each token that may follow it",
    "next_state": "the state of the decoder after them",
}


class _Encoder(nn.Module):
    def __init__(self, network: TranslateNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, sources: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        memory, state = self.network.encode(sources, lengths)
        return memory.outputs, memory.is_padding, state


class _Decoder(nn.Module):
    def __init__(self, network: TranslateNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, targets: Tensor, state: Tensor, memory: Tensor, is_padding: Tensor) -> tuple[Tensor, Tensor]:
        scores, state, _ = self.network.decode(targets, state, Memory(memory, is_padding))
        return scores, state


def parts(recipe: Translate, model: nn.Module, state: State, format: Format) -> list[Part]:
    """The encoder and the decoder."""
    assert isinstance(model, TranslateNetwork)
    if format == "fastgru":
        raise refused(recipe, "the runtime has no attention")
    network, encoder = model, _Encoder(model)

    def sentences(rows: int, steps: int) -> tuple[Tensor, ...]:
        lengths = torch.tensor([max(1, steps - row) for row in range(rows)])
        tokens = torch.randint(1, network.source_embedding.num_embeddings, (rows, steps))
        return tokens * (torch.arange(steps) < lengths[:, None]), lengths

    def translations(rows: int, steps: int) -> tuple[Tensor, ...]:
        with torch.no_grad():
            memory, is_padding, before = encoder(*sentences(rows, steps))
        tokens = torch.randint(1, network.target_embedding.num_embeddings, (rows, steps + 2))
        return tokens, before, memory, is_padding

    steps, size = ("batch", "steps"), recipe.hidden
    of_encoder: dict[str, tuple[Any, ...]] = {"sources": steps, "lengths": ("batch",)}
    of_decoder: dict[str, tuple[Any, ...]] = {
        "targets": ("batch", "written"),
        "state": (recipe.layers, "batch", size),
        "memory": (*steps, 2 * size),
        "is_padding": steps,
    }
    return [
        Part("encoder", encoder, of_encoder, sentences, ["memory", "is_padding", "state"], ABOUT),
        Part("decoder", _Decoder(model), of_decoder, translations, ["scores", "next_state"], ABOUT),
    ]
