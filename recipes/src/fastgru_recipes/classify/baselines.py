"""Baselines for classification: of any data, of series, of texts.

The most frequent label; the nearest series; a linear model and a random forest on statistics of series; naive Bayes and
a linear model on character n-grams.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import MultinomialNB
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fastgru_recipes.classify import linear_path, ngrams
from fastgru_recipes.classify.read_labelled import Labelled
from fastgru_recipes.classify.statistics import statistics
from fastgru_recipes.recipe import State

if TYPE_CHECKING:
    from fastgru_recipes.classify.recipe import Classify


MOST_CELLS = 2**31  # of all tables of 1-NN: about a minute
MOST_CHARACTERS = 5_000_000  # of all texts of the linear model: about a minute


def compared(
    recipe: Classify, training: Labelled | None, test: Labelled, state: State | None = None
) -> dict[str, dict[str, float]]:
    """Accuracy of each baseline that suits the data, if it takes no longer than about a minute.

    All of them learn from the training data: without them there is none.
    """
    if training is None:
        return {}
    found = {"majority": majority(training, test)}
    if training.is_text:
        found["naive Bayes"] = naive_bayes(training, test)
        size = sum(map(len, training.texts))
        if size <= MOST_CHARACTERS and any(map(str.strip, training.texts)):
            found["linear, on n-grams"] = linear_by_ngrams(training, test)
    else:
        found["linear, on statistics"] = linear(training, test)
        if sum(map(len, training.sequences)) * sum(map(len, test.sequences)) <= MOST_CELLS:
            found["1-NN, DTW"] = nearest(training, test)
    return {name: {"accuracy": score} for name, score in found.items()}


def accuracy(predicted: Sequence[object], data: Labelled) -> float:
    """Fraction of correct labels."""
    return float(np.mean([a == b for a, b in zip(predicted, data.labels or (), strict=True)]))


def majority(training: Labelled, test: Labelled) -> float:
    """Accuracy of always predicting the most frequent label."""
    most = Counter(training.labels or ()).most_common(1)[0][0]
    return accuracy([most] * len(test.sequences), test)


def nearest(training: Labelled, test: Labelled, steps: int | None = None) -> float:
    """Accuracy of 1-nearest-neighbour classification by dynamic time warping.

    With `steps`, longer series are averaged to about that many steps first: the time grows with their square.
    """
    labels = training.labels or ()
    known, asked = ([_shorter(np.asarray(series), steps) for series in part.sequences] for part in (training, test))
    distances = [warped_distances(series, known) for series in asked]
    return accuracy([labels[int(row.argmin())] for row in distances], test)


def _shorter(series: NDArray[Any], steps: int | None) -> NDArray[Any]:
    block = 1 if steps is None else -(-len(series) // steps)
    starts = np.arange(0, len(series), block)
    sums: NDArray[Any] = np.add.reduceat(series, starts, axis=0)
    return sums / np.diff([*starts, len(series)])[:, None]


def nearest_by_steps(training: Labelled, test: Labelled) -> float:
    """Accuracy of 1-nearest-neighbour classification by Euclidean distance, with all series stretched to one length."""
    labels = training.labels or ()
    length = max(len(series) for series in training.sequences)
    known, asked = (
        np.stack([_stretched(np.asarray(each), length) for each in part.sequences]) for part in (training, test)
    )
    found = NearestNeighbors(n_neighbors=1).fit(known).kneighbors(asked, return_distance=False)[:, 0]
    return accuracy([labels[index] for index in found], test)


def _stretched(series: NDArray[Any], length: int) -> NDArray[np.float64]:
    """The series (T, F) interpolated at `length` steps, as one row."""
    places = np.linspace(0, len(series) - 1, length)
    return np.concatenate([np.interp(places, np.arange(len(series)), feature) for feature in series.T])


def linear(training: Labelled, test: Labelled) -> float:
    """Accuracy of logistic regression on the statistics of each series."""
    return _by_statistics(make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)), training, test)


def forest(training: Labelled, test: Labelled) -> float:
    """Accuracy of a random forest on the statistics of each series."""
    return _by_statistics(RandomForestClassifier(200, random_state=0), training, test)


def _by_statistics(model: Any, training: Labelled, test: Labelled) -> float:
    known, asked = (np.stack([statistics(np.asarray(each)) for each in part.sequences]) for part in (training, test))
    return accuracy(list(model.fit(known, training.labels).predict(asked)), test)


def warped_distances(series: NDArray[Any], others: Sequence[NDArray[Any]]) -> NDArray[np.float64]:
    """Dynamic-time-warping distances (N,) between a series (T, F) and each of N series (U_i, F).

    The smallest sum of squared distances along a warping path (Sakoe and Chiba 1978), without a window. The cells of an
    antidiagonal are independent, so each antidiagonal of all N tables is one step, and only the last three are kept.
    """
    rows, lengths = len(series), np.array([len(other) for other in others])
    columns = lengths.max()
    padded = np.zeros((len(others), columns, series.shape[1]))
    for row, other in zip(padded, others, strict=True):
        row[: len(other)] = other
    found = np.empty(len(others))
    last = np.full((len(others), rows + 1), np.inf)  # the total at row i of an antidiagonal is at i + 1
    before_last = last.copy()
    before_last[:, 0] = 0
    for diagonal in range(rows + columns - 1):
        i = np.arange(max(0, diagonal - columns + 1), min(rows, diagonal + 1))
        costs = ((series[i].astype(np.float64) - padded[:, diagonal - i]) ** 2).sum(-1)
        total = np.full_like(last, np.inf)
        total[:, i + 1] = costs + np.minimum(np.minimum(last[:, i], last[:, i + 1]), before_last[:, i])
        ends = lengths + rows - 2 == diagonal
        found[ends] = total[ends, rows]
        before_last, last = last, total
    return found


def naive_bayes(training: Labelled, test: Labelled) -> float:
    """Accuracy of multinomial naive Bayes on character n-grams of one to four characters."""
    counts = CountVectorizer(analyzer="char", ngram_range=(1, 4), lowercase=False)
    model = make_pipeline(counts, MultinomialNB(alpha=0.1)).fit(training.sequences, training.labels)
    return accuracy(list(model.predict(test.sequences)), test)


def linear_by_ngrams(training: Labelled, test: Labelled) -> float:
    """Accuracy of logistic regression on weighted character n-grams, the linear path of texts."""
    counter = ngrams.vectorizer()
    model = linear_path.regression(counter.fit_transform(training.texts), training.labels)
    return accuracy(list(model.predict(counter.transform(test.texts))), test)
