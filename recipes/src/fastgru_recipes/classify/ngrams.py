"""Character n-grams of texts, weighted by how rare they are (tf-idf), for the linear path of `classify`."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from torch import Tensor

LENGTHS = (1, 4)  # characters
MOST = 20_000  # n-grams that are learned, the most frequent ones
FOLDS = 5  # parts of the texts, each scored in training by a linear model of the others


class Ngrams(NamedTuple):
    """The n-grams of a text, or of a batch of texts.

    Attributes:
        numbers: (N,) or (B, N), which ones, in the order of the learned names.
        values: (N,) or (B, N), how much each counts; 0 for padding.
        fold: () or (B,), the part of the texts to which a text belongs, the same for equal texts.
    """

    numbers: Tensor
    values: Tensor
    fold: Tensor


def vectorizer(names: Sequence[str] | None = None) -> TfidfVectorizer:
    """Scikit-learn's counter of n-grams within words, in lower case; with `names` only of these.

    A text is a vector of length 1, whose numbers grow with the logarithm of the counts.
    """
    return TfidfVectorizer(
        analyzer="char_wb", ngram_range=LENGTHS, sublinear_tf=True, max_features=MOST, vocabulary=names
    )


def learned(texts: Sequence[str]) -> dict[str, Any] | None:
    """Names and weights of the n-grams of texts, for a recipe's state; None if there are none.

    Example:
        >>> from fastgru_recipes.classify.ngrams import learned
        >>> learned(["ab", "a"])["names"][:4]
        [' ', ' a', ' a ', ' ab']
    """
    if not any(map(str.strip, texts)):
        return None
    found = vectorizer().fit(texts)
    return {"names": found.get_feature_names_out().tolist(), "idf": found.idf_.tolist()}


def matrix(texts: Sequence[str], known: Mapping[str, Any]) -> Any:
    """The texts as a sparse matrix (len(texts), N) of the `known` n-grams."""
    fitted = vectorizer(known["names"])
    fitted.idf_ = np.asarray(known["idf"])
    return fitted.transform(texts)


def folds(texts: Sequence[str]) -> NDArray[np.int64]:
    """The fold of each text, by a checksum of it."""
    return np.array([zlib.crc32(text.encode("utf-8", "surrogatepass")) % FOLDS for text in texts], np.int64)


def encoded(texts: Sequence[str], known: Mapping[str, Any], dtype: torch.dtype) -> Iterator[Ngrams]:
    """The n-grams of each text."""
    rows, parts = matrix(texts, known), folds(texts)
    for row, fold in zip(np.split(np.arange(rows.nnz), rows.indptr[1:-1]), parts, strict=True):
        numbers = torch.from_numpy(rows.indices[row].astype(np.int64))
        yield Ngrams(numbers, torch.from_numpy(rows.data[row]).to(dtype), torch.tensor(fold))


def batched(each: Sequence[Ngrams]) -> Ngrams:
    """The n-grams of several texts, padded to at least one."""
    most = max(1, *(len(one.numbers) for one in each))
    numbers, values = (torch.zeros(len(each), most, dtype=kind) for kind in (torch.int64, each[0].values.dtype))
    for row, one in enumerate(each):
        numbers[row, : len(one.numbers)], values[row, : len(one.values)] = one.numbers, one.values
    return Ngrams(numbers, values, torch.stack([one.fold for one in each]))
