"""Checks of the estimators' arguments, and their conversion to the data of recipes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Set
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d

from fastgru_recipes import read_files
from fastgru_recipes.classify.read_labelled import LARGEST_NUMBER, Label, Labelled
from fastgru_recipes.errors import DataError
from fastgru_recipes.tag.read_tagged import Tagged
from fastgru_recipes.translate.read_pairs import Pairs

Found = TypeVar("Found")
SequencesLike = Iterable[str] | Iterable[NDArray[Any]] | NDArray[Any]  # or tables, which have no type hints


def sequences(given: Any) -> Labelled | None:
    """Texts or series. None for one array (N, T) or one table, whose rows are series of equal length.

    Raises:
        DataError: for other values, with the number of the sequence.
    """
    if isinstance(given, (str, bytes)):
        raise DataError(f"X is one {type(given).__name__}; give a list of texts, [X].")
    if isinstance(given, (Mapping, Set)) and not hasattr(given, "shape"):  # a sparse matrix may be one
        raise DataError(f"X is {type(given).__name__}; give a list of texts or of series.")
    if _holds_texts(given):
        return Labelled(read_files.require_texts(given, "text"), None)
    if not hasattr(given, "__iter__") or isinstance(given, pd.DataFrame) or getattr(given, "ndim", 1) in (0, 2):
        return None
    if not (items := list(given)):
        raise DataError("X has no sequences. Give at least one.")
    if any(isinstance(item, str) for item in items):
        return Labelled(read_files.require_texts(items, "text"), None)
    if not all(np.ndim(item) for item in items):
        return None  # one row of numbers, for which scikit-learn raises
    names = [[*map(str, item.columns)] if isinstance(item, pd.DataFrame) else [] for item in items]
    for number, (item, found) in enumerate(zip(items, names, strict=True), start=1):
        if sorted(found) != sorted(names[0]):
            raise DataError(f"series {number} has the columns {found}; the first one has {names[0]}. Give the same.")
        if found != names[0]:
            items[number - 1] = item.iloc[:, [found.index(name) for name in names[0]]]
    return Labelled([_series(item, number) for number, item in enumerate(items, start=1)], None, tuple(names[0]))


def _holds_texts(given: Any) -> bool:
    """Whether this is a table or a two-dimensional array that contains a text."""
    if isinstance(given, pd.DataFrame):
        return any(isinstance(value, str) for name in range(given.shape[1]) for value in given.iloc[:, name])
    return isinstance(given, np.ndarray) and given.ndim == 2 and any(isinstance(value, str) for value in given.flat)


def is_rows(given: Any) -> bool:
    """Whether this is an array (N, T) given as a list of lists."""
    rows = list(given) if isinstance(given, (list, tuple)) else []
    if not all(isinstance(row, (list, tuple)) for row in rows) or len({*map(len, rows)}) != 1:
        return False
    return not any(isinstance(value, str) for row in rows for value in row)


def _series(given: Any, number: int) -> NDArray[np.floating[Any]]:
    """One series (T, F)."""
    try:
        array = np.asarray(given)
        array = array if array.dtype == np.float32 else array.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"series {number} does not consist of numbers: {error}. X is a list of texts or of arrays."
        ) from error
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2 or 0 in array.shape:
        raise DataError(f"series {number} has shape {array.shape}. Expected steps and features, (T, F).")
    if not (np.abs(array) <= LARGEST_NUMBER).all():
        raise DataError(
            f"series {number} contains NaN, infinite values, or values beyond {LARGEST_NUMBER:.2g}. Fill them in, or "
            "leave the series out."
        )
    return array


def labels(y: Any) -> list[Label]:
    """Labels that are texts, numbers or booleans. scikit-learn raises for other shapes.

    Raises:
        DataError: for a label that is missing or of another type, with its number.
    """
    _require_y(y, "SequenceClassifier")
    column = column_or_1d(y, warn=True)
    for number, label in enumerate(column.tolist(), start=1):
        if isinstance(label, str):
            read_files.require_letters(label, f"label {number}")
        elif column.dtype.kind in "mM" or not isinstance(label, (int, float, type(None), type(pd.NA))):
            raise DataError(f"label {number} is {label!r}, {column.dtype}. Give texts, numbers or booleans.")
        elif pd.isna(label):
            raise DataError(f"label {number} is missing, or NaN. Fill it in, or leave the sequence out.")
    check_classification_targets(column)
    found: list[Label] = column.tolist()
    return found


def weights(given: Any, count: int) -> list[float]:
    """The weights of `count` examples, with mean 1.

    Raises:
        DataError: for weights that are not as many numbers of at least 0, or all 0.
    """
    try:
        found = np.asarray(given, np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"sample_weight does not consist of numbers: {error}.") from error
    if found.shape != (count,):
        raise DataError(f"sample_weight has shape {found.shape}; {count} sequences need ({count},).")
    if (wrong := np.flatnonzero(~((found >= 0) & (found < np.inf)))).size:
        raise DataError(f"weight {wrong[0] + 1} of sample_weight is {found[wrong[0]]}. Give numbers of at least 0.")
    if not found.any():
        raise DataError("all weights of sample_weight are zero: nothing would be learned. Give some that are not.")
    scaled: list[float] = (found / found.mean()).tolist()
    return scaled


def validation(given: Any, converted: Callable[[Any, Any], Found]) -> Found | None:
    """The data of `validation_data`, a pair (X, y); None if there are none.

    Raises:
        DataError: for anything but a pair, and for what `converted` does not take.
    """
    if given is None:
        return None
    if not isinstance(given, (tuple, list)) or len(given) != 2:
        what = f"{type(given).__name__} of {len(given)}" if hasattr(given, "__len__") else type(given).__name__
        raise DataError(f"validation_data is {what}. Give a pair, (X, y).")
    with read_files.about("validation_data"):
        return converted(*given)


def _require_y(y: Any, kind: str) -> None:
    if y is None:
        raise DataError(f"{kind} requires y to be passed, but the target y is None. Give an answer for each of X.")


def one_text(texts: str | Iterable[str]) -> str:
    """The text, or the texts joined by newlines."""
    found = read_files.require_texts([texts] if isinstance(texts, str) else texts, "text", empty=True)
    text = "\n".join(found)
    read_files.require_texts([text], "text")
    return text


def pairs(sources: Iterable[str], targets: Iterable[str]) -> Pairs:
    """Sentences and their translations."""
    _require_y(targets, "Translator")
    found = Pairs(read_files.require_texts(sources, "sentence"), read_files.require_texts(targets, "translation"))
    if (count := len(found.sources)) != len(found.targets or ()):
        raise DataError(
            f"there are {count} sentences in X and {len(found.targets or ())} in y. Each needs its translation."
        )
    if not count:
        raise DataError("X has no sentences. Give at least one.")
    return found


def tokens(sentences: Iterable[Iterable[str]], what: str) -> list[list[str]]:
    """Sentences as lists of tokens, or of tags."""
    if isinstance(sentences, str) or not hasattr(sentences, "__iter__"):
        raise DataError(f"sentences are {type(sentences).__name__}; give a list of lists of {what}s.")
    found = []
    for number, sentence in enumerate(sentences, start=1):
        with read_files.about(f"sentence {number}"):
            found.append(read_files.require_texts(sentence, what))
    return found


def tagged(sentences: Iterable[Iterable[str]], tags: Iterable[Iterable[str]]) -> Tagged:
    """Sentences of tokens, and their tags."""
    _require_y(tags, "Tagger")
    found = Tagged(tokens(sentences, "token"), answers := tokens(tags, "tag"))
    if [len(each) for each in found.tokens] != [len(each) for each in answers]:
        raise DataError("X and y differ in length, or a sentence and its tags do. Each token needs one tag.")
    if not any(found.tokens):
        raise DataError("X has no tokens. Give at least one.")
    return found
