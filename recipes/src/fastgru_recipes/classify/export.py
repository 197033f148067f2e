"""The network of `classify` for export: scores of the labels, from tokens or from scaled steps and statistics."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fastgru_recipes.classify import linear_path
from fastgru_recipes.classify.front import Convolution
from fastgru_recipes.classify.linear_path import LinearPath
from fastgru_recipes.classify.network import ClassifyNetwork
from fastgru_recipes.classify.recipe import Classify
from fastgru_recipes.classify.statistics import scales
from fastgru_recipes.option_names import given
from fastgru_recipes.recipe import State
from fastgru_recipes.training.export import Format, Part, refused

LEFT_OUT = (
    "Texts become tokens by state.tokenizer, a tokenizer in the format of the package tokenizers, and n-grams by "
    "TfidfVectorizer of scikit-learn (analyzer char_wb, ngram_range 1 to 4, sublinear_tf) with the vocabulary "
    "state.ngrams.names and idf_ state.ngrams.idf; series are scaled by "
    "state.mean and state.deviation (option normalize), and their statistics by state.statistics. The label is the "
    "largest score, and the probabilities are the softmax of the scores, in the order of state.labels."
)
ABOUT = {
    "tokens": "the numbers of the tokens, 0 past the lengths",
    "steps": "the scaled numbers of each step, 0 past the lengths",
    "lengths": "how many tokens or steps each row has, at least 1",
    "ngrams": "how much each of the learned n-grams counts",
    "statistics": "the scaled statistics of the whole series",
    "scores": "a score for each label",
}


class _Texts(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        scores: Tensor = self.network(tokens, lengths)
        return scores


class _TextsWithNgrams(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, tokens: Tensor, lengths: Tensor, ngrams: Tensor) -> Tensor:
        scores: Tensor = self.network(tokens, lengths, None, ngrams)
        return scores


class _DensePath(nn.Module):
    """The linear path for vectors of all n-grams (B, V)."""

    def __init__(self, path: LinearPath) -> None:
        super().__init__()
        self.scores = nn.Linear(*path.weight.shape)
        self.scores.weight, self.scores.bias = nn.Parameter(path.weight.T.contiguous()), nn.Parameter(path.bias)

    def forward(self, ngrams: Tensor, changes: Tensor) -> Tensor:
        scores: Tensor = self.scores(ngrams) + changes
        return scores


class _Series(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, steps: Tensor, lengths: Tensor, statistics: Tensor) -> Tensor:
        scores: Tensor = self.network(steps, lengths, statistics)
        return scores


class _Gathered(Convolution):
    """The convolution with windows by their places: torch cannot export slices whose number of steps is free."""

    def _windows(self, steps: Tensor) -> Tensor:
        around = self.kernel // 2
        padded = F.pad(steps, (0, 0, around, around))
        count = (steps.shape[1] - 1) // self.stride + 1
        return padded[:, torch.arange(count)[:, None] * self.stride + torch.arange(self.kernel)].flatten(2)


def parts(recipe: Classify, model: nn.Module, state: State, format: Format) -> list[Part]:
    """The whole network as one part."""
    assert isinstance(model, ClassifyNetwork)
    if format == "fastgru" and model.pooling != "last":
        raise refused(recipe, f"the runtime has no mean or maximum over time ({given('pooling', model.pooling)})")
    if format == "fastgru" and model.front is not None:
        raise refused(recipe, "the runtime has no convolutions over time")
    for convolution in () if model.front is None else model.front.convolutions:
        convolution.__class__ = _Gathered  # of a copy: the same weights
    return [_texts(model, state) if "tokenizer" in state else _series(recipe, model, state)]


def _texts(model: ClassifyNetwork, state: State) -> Part:
    assert model.embedding is not None
    tokens, path = model.embedding.num_embeddings, linear_path.of(model)

    def example(rows: int, steps: int) -> tuple[Tensor, ...]:
        lengths = _lengths(rows, steps)
        given = torch.randint(1, tokens, (rows, steps)) * (torch.arange(steps) < lengths[:, None]), lengths
        return given if path is None else (*given, torch.rand(rows, len(path.weight), dtype=path.weight.dtype))

    axes: dict[str, tuple[Any, ...]] = {"tokens": ("batch", "steps"), "lengths": ("batch",)}
    if path is None:
        return Part("", _Texts(model), axes, example, ["scores"], ABOUT)
    for each in model.head.parameters():  # of a copy: the changes count by their share
        each.data *= path.share
    model.linear = _DensePath(path)
    return Part(
        "", _TextsWithNgrams(model), {**axes, "ngrams": ("batch", len(path.weight))}, example, ["scores"], ABOUT
    )


def _series(recipe: Classify, model: ClassifyNetwork, state: State) -> Part:
    width = len(state["mean"]) * scales(recipe.normalize)
    statistics = 2 * len(state["statistics"]["mean"])

    def example(rows: int, steps: int) -> tuple[Tensor, ...]:
        lengths = _lengths(rows, steps)
        valid = (torch.arange(steps) < lengths[:, None])[..., None]
        numbers = torch.randn(rows, steps, width, dtype=recipe.dtype) * valid
        return numbers, lengths, torch.randn(rows, statistics, dtype=recipe.dtype)

    axes: dict[str, tuple[Any, ...]] = {
        "steps": ("batch", "steps", width),
        "lengths": ("batch",),
        "statistics": ("batch", statistics),
    }
    return Part("", _Series(model), axes, example, ["scores"], ABOUT)


def _lengths(rows: int, steps: int) -> Tensor:
    return torch.tensor([max(1, steps - row) for row in range(rows)])
