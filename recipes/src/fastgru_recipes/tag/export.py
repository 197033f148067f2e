"""The network of `tag` for export: scores of the tags of each token, from words and their spellings."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from fastgru_recipes.option_names import given
from fastgru_recipes.recipe import State
from fastgru_recipes.tag.network import TagNetwork
from fastgru_recipes.tag.recipe import Tag
from fastgru_recipes.tag.spelling import SHAPES
from fastgru_recipes.training.export import Format, Part, refused

LEFT_OUT = (
    "Tokens, characters and affixes have numbers by their places in state.words, state.characters and state.affixes, "
    "from 2; 1 is an unknown one and 0 padding. Long sentences are cut into windows (options window and overlap). The "
    "tag is the largest score, in the order of state.tags."
)
ABOUT = {
    "words": "the numbers of the words, 0 past the lengths",
    "lengths": "how many tokens each row has, at least 1",
    "spellings": "the numbers of the characters of each distinct word, at most 32, 0 past the end",
    "spelling_lengths": "how many characters each distinct word has, at least 1",
    "marks": "numbers of the first 2 and 3 and the last 2 and 3 characters of each distinct word, and of its shape",
    "which": "the place of each token among the distinct words",
    "distinct": "the numbers of the distinct words",
    "scores": "a score of each tag for each token",
}
AXES: dict[str, tuple[Any, ...]] = {
    "words": ("batch", "steps"),
    "lengths": ("batch",),
    "spellings": ("distinct", "letters"),
    "spelling_lengths": ("distinct",),
    "marks": ("distinct", 5),
    "which": ("batch", "steps"),
    "distinct": ("distinct",),
}


class _Scores(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(
        self,
        words: Tensor,
        lengths: Tensor,
        spellings: Tensor,
        spelling_lengths: Tensor,
        marks: Tensor,
        which: Tensor,
        distinct: Tensor,
    ) -> Tensor:
        given = (words, lengths, spellings, spelling_lengths, marks, which, distinct)
        scores: Tensor = self.network(dict(zip(AXES, given, strict=True)))
        return scores


def parts(recipe: Tag, model: nn.Module, state: State, format: Format) -> list[Part]:
    """The whole network as one part."""
    assert isinstance(model, TagNetwork)
    if recipe.crf:
        raise refused(
            recipe,
            "the search for the best tags of a CRF is not part of the network",
            f"Train with {given('crf', False)}",
        )
    if format == "fastgru":
        raise refused(recipe, "the runtime cannot look up the spelling of a token among the distinct words")
    if not recipe.affix:
        raise refused(recipe, "without affixes some of its inputs are not read", f"Train without {given('affix', 0)}")

    def example(rows: int, steps: int) -> tuple[Tensor, ...]:
        words, letters = rows + steps, 3 + steps
        lengths = torch.tensor([max(1, steps - row) for row in range(rows)])
        spelled = torch.tensor([max(1, letters - word) for word in range(words)])
        known, characters = model.words.num_embeddings, model.characters.num_embeddings
        affixes = [torch.randint(1, 2 + len(each), (words,)) for each in state["affixes"]]
        valid = torch.arange(steps) < lengths[:, None]
        return (
            torch.randint(1, known, (rows, steps)) * valid,
            lengths,
            torch.randint(1, characters, (words, letters)) * (torch.arange(letters) < spelled[:, None]),
            spelled,
            torch.stack([*affixes, torch.randint(0, len(SHAPES), (words,))], 1),
            torch.randint(0, words, (rows, steps)) * valid,
            torch.randint(1, known, (words,)),
        )

    return [Part("", _Scores(model), AXES, example, ["scores"], ABOUT)]
