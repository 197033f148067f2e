"""The linear path of texts: logistic regression on character n-grams, whose scores the GRU changes.

With some hundred texts a linear model on n-grams is hard to beat, and a network that starts at random is far behind
it. So the network starts at zero beside the linear model, and learns what that gets wrong. A linear model is too sure
of the texts that it has learned from. In training each text is therefore scored by a model of the other folds.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from fastgru_recipes.classify.ngrams import FOLDS, Ngrams

INVERSE_PENALTY = 10.0  # C of logistic regression
MOST_ITERATIONS = 100
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)  # of the GRU's changes
USUAL, FEW = 0.5, 40  # the share without validation texts, and how many of these count as much as it
PASSES = 8  # of training over the texts, from which the GRU learns changes: with more it learns them by heart


class LinearPath(nn.Module):
    """Scores of the labels by the n-grams of a text, and what the GRU changes of them.

    Attributes:
        weight: (V, K), of all n-grams, found by `fit` and not trained.
        bias: (K,).
        fold_weight: (FOLDS, V, K), of models that have not seen a fold. They are used in training and not saved.
        fold_bias: (FOLDS, K).
        share: how much of the GRU's changes counts, from 0 to 1.

    Args:
        ngrams: how many n-grams there are, V.
        labels: how many labels there are, K.
    """

    weight: Tensor
    bias: Tensor
    fold_weight: Tensor
    fold_bias: Tensor
    share: Tensor

    def __init__(self, ngrams: int, labels: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.zeros(ngrams, labels))
        self.register_buffer("bias", torch.zeros(labels))
        self.register_buffer("fold_weight", torch.zeros(FOLDS, ngrams, labels), persistent=False)
        self.register_buffer("fold_bias", torch.zeros(FOLDS, labels), persistent=False)
        self.register_buffer("share", torch.ones(()))

    def forward(self, ngrams: Ngrams, changes: Tensor) -> Tensor:
        """Scores (B, K) of a batch with changes (B, K)."""
        numbers, weight, bias = ngrams.numbers, self.weight, self.bias
        if self.training:
            numbers = numbers + ngrams.fold[:, None] * len(weight)
            weight, bias = self.fold_weight.flatten(0, 1), self.fold_bias[ngrams.fold]
        values = ngrams.values.to(weight.dtype)
        return F.embedding_bag(numbers, weight, per_sample_weights=values, mode="sum") + bias + self.share * changes


def of(model: nn.Module) -> LinearPath | None:
    """The linear path of a network, if it has one."""
    path = getattr(model, "linear", None)
    return path if isinstance(path, LinearPath) else None


def regression(rows: Any, labels: Any, importance: Any = None) -> LogisticRegression:
    """Scikit-learn's logistic regression, learned from vectors of n-grams (N, V), which have length 1."""
    with warnings.catch_warnings():
        # With thousands of texts it could go on for hundreds of iterations, and would tell no more texts apart.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return LogisticRegression(C=INVERSE_PENALTY, max_iter=MOST_ITERATIONS).fit(rows, labels, importance)


def keep(path: LinearPath) -> bool:
    """Scores all folds by the weights that an earlier training has found. Returns whether there are such weights."""
    path.fold_weight.copy_(path.weight.expand_as(path.fold_weight))
    path.fold_bias.copy_(path.bias.expand_as(path.fold_bias))
    return bool(path.weight.any())


def fit(path: LinearPath, rows: Any, labels: Sequence[int], importance: Sequence[float], folds: NDArray[Any]) -> None:
    """Finds the weights of all texts, and those without each fold.

    Args:
        path: the linear path.
        rows: a sparse matrix (N, V) of n-grams.
        labels: the number of the label of each text.
        importance: how much each text counts.
        folds: the fold of each text.
    """
    known, shares = np.asarray(labels), np.asarray(importance)
    everything = np.full(len(known), True)
    _set(path.weight, path.bias, rows, known, shares, everything)
    for fold in range(FOLDS):
        _set(path.fold_weight[fold], path.fold_bias[fold], rows, known, shares, folds != fold)


def _set(weight: Tensor, bias: Tensor, rows: Any, labels: NDArray[Any], importance: NDArray[Any], used: Any) -> None:
    """Sets weights (V, K) and biases (K,) by logistic regression on the texts that are `used`.

    A label that none of them has is as probable as the least probable one. With one label all scores are 0.
    """
    weight.zero_()
    bias.zero_()
    if len(np.unique(labels[used])) < 2:
        return
    model = regression(rows[used], labels[used], importance[used])
    scores, intercepts = model.coef_, model.intercept_
    if len(model.classes_) == 2:  # one row is the difference of two
        scores, intercepts = np.concatenate([-scores, scores]) / 2, np.concatenate([-intercepts, intercepts]) / 2
    bias.fill_(float(intercepts.min()))
    weight[:, model.classes_] = torch.from_numpy(scores.T).to(weight.dtype)
    bias[model.classes_] = torch.from_numpy(intercepts).to(bias.dtype)


def losses(path: LinearPath, loss: Callable[[], float]) -> dict[float, float]:
    """The loss with each of `SHARES`. The last one stays."""
    found = {}
    for share in SHARES:
        path.share.fill_(share)
        found[share] = loss()
    return found


def chosen_share(losses: Mapping[float, float], texts: int) -> float:
    """The share of the least loss of that many validation texts, nearer to `USUAL` where these are few.

    Example:
        >>> from fastgru_recipes.classify.linear_path import chosen_share
        >>> chosen_share({0.0: 1.2, 0.5: 0.9, 1.0: 0.8}, texts=40)
        0.75
    """
    best = min(losses, key=lambda share: losses[share])
    return (texts * best + FEW * USUAL) / (texts + FEW)
