"""The recipes with scikit-learn's habits: options in the constructor, fit, predict, score, clone, pickle."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data

from fastgru.errors import ArgumentError, DataError, RunError
from fastgru.tasks import reading, recipe_class, work
from fastgru.tasks.labelled import Labelled
from fastgru.tasks.recipe import Recipe
from fastgru.tasks.runs import Trained
from fastgru.tasks.series import Panel, from_frame
from fastgru.tasks.tagged import Tagged
from fastgru.tasks.translate import Pairs

if TYPE_CHECKING:
    from typing_extensions import Self

Sequences = Sequence[str] | Sequence[NDArray[Any]] | NDArray[Any]


class _Estimator(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """What the estimators share. The options of the constructor are the fields of the recipe, by keyword.

    Attributes:
        trained_: what `fit` learned: recipe, state, model, history, metrics.
    """

    recipe: ClassVar[type[Recipe[Any]]]
    trained_: Trained

    def __init_subclass__(cls, recipe: str = "", **options: Any) -> None:
        super().__init_subclass__(**options)
        if recipe:
            cls.recipe = recipe_class(recipe)
            cls.__init__ = _constructor(cls.recipe)  # type: ignore[method-assign]

    def _fit(self, data: Any, directory: Path | str | None, progress: bool) -> Self:
        place = None if directory is None else Path(directory)
        self.trained_ = work.train(self.recipe(**self.get_params()), data, directory=place, progress=progress)
        return self

    def _parts(self) -> tuple[Any, Any, Any]:
        """Recipe, network and state, once there are any."""
        check_is_fitted(self, "trained_")
        return self.trained_.recipe, self.trained_.model, self.trained_.state

    @property
    def history_(self) -> pd.DataFrame:
        """A row of figures for each epoch."""
        return self.trained_.history

    def save(self, directory: Path | str) -> None:
        """Writes a run directory, which the commands of `fastgru` take too; nothing in it is a pickle."""
        self._parts()
        work.check_directory(Path(directory), resume=False)
        self.trained_.save(Path(directory))

    @classmethod
    def load(cls, directory: Path | str) -> Self:
        """Reads a run directory, of `save` or of the command line."""
        trained = Trained.load(Path(directory))
        if not isinstance(trained.recipe, cls.recipe):
            raise RunError(f"{directory} is a run of {trained.recipe.name}; {cls.__name__} is for {cls.recipe.name}.")
        estimator = cls(**asdict(trained.recipe))
        estimator.trained_ = trained
        estimator._restore()
        return estimator

    def _restore(self) -> None:
        """Sets what `fit` sets besides `trained_`."""


def _constructor(recipe: type[Recipe[Any]]) -> Any:
    """An `__init__` that keeps the recipe's options as they come: scikit-learn has them checked by `fit`."""
    defaults = {each.name: each.default for each in fields(recipe)}

    def __init__(self: _Estimator, **options: Any) -> None:  # noqa: N807
        unknown = [name for name in options if name not in defaults]
        if unknown:
            raise TypeError(f"{type(self).__name__} has no option {unknown[0]!r}. Options: {', '.join(defaults)}.")
        self.__dict__.update({**defaults, **options})

    keyword = inspect.Parameter.KEYWORD_ONLY
    own = [inspect.Parameter(name, keyword, default=default) for name, default in defaults.items()]
    signature = inspect.Signature([inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD), *own])
    __init__.__signature__ = signature  # type: ignore[attr-defined]
    return __init__


class SequenceClassifier(ClassifierMixin, _Estimator, recipe="classify"):  # type: ignore[misc]
    """A label for each text or series.

    X is a list of texts; or a list of arrays (T_i, F), series of F features and any lengths; or one array (N, T, F).
    For series of one feature F may be left out. y is N labels: texts, numbers or booleans.

    Attributes:
        classes_: (K,), the labels.

    Example:
        >>> from fastgru.tasks import SequenceClassifier
        >>> texts, labels = ["aab", "aba", "bba", "bab"] * 10, ["a", "a", "b", "b"] * 10
        >>> classifier = SequenceClassifier(hidden=8, epochs=20, rate=0.02, validation=0.0).fit(texts, labels)
        >>> classifier.predict(["abb", "baa"]).tolist()
        ['a', 'b']
    """

    def fit(self, X: Sequences, y: Any, directory: Path | str | None = None, progress: bool = False) -> Self:
        """Learns from sequences and labels; keeps a run directory where one is named."""
        sequences = self._sequences(X, reset=True)
        check_classification_targets(y)
        labels = column_or_1d(y, warn=True)
        if len(labels) != len(sequences):
            raise DataError(f"y has {len(labels)} labels; {len(sequences)} sequences need one each.")
        self._fit(Labelled(sequences, labels.tolist()), directory, progress)
        self._restore()
        return self

    def _restore(self) -> None:
        self.classes_ = np.array(self.trained_.state["labels"])

    def _sequences(self, X: Sequences, reset: bool = False) -> Any:
        if isinstance(X, (str, bytes)):
            raise DataError(f"X is one {type(X).__name__}; give a list of texts, [X].")
        is_list = isinstance(X, (list, tuple, pd.Series)) or (isinstance(X, np.ndarray) and X.ndim == 1)
        items = list(X) if is_list else None
        if items and any(isinstance(item, str) for item in items):
            reading.require_texts(items, "text")
            return [str(text) for text in items]
        if items and {np.ndim(item) for item in items} == {1} and len({len(item) for item in items}) > 1:
            items = [np.asarray(item)[:, None] for item in items]  # of one feature, and of different lengths
        if items and all(np.ndim(item) == 2 for item in items):
            return [_finite(item, number) for number, item in enumerate(items, start=1)]
        if items is None and getattr(X, "ndim", 0) == 3:
            return [_finite(item, number) for number, item in enumerate(np.asarray(X), start=1)]
        found = validate_data(self, X, reset=reset, dtype=np.float32)
        return list(found[..., None])

    def predict(self, X: Sequences) -> NDArray[Any]:
        """The most probable labels (N,)."""
        probabilities = self.predict_proba(X)  # which raises where there is nothing fitted
        labels: NDArray[Any] = self.classes_[probabilities.argmax(1)]
        return labels

    def predict_proba(self, X: Sequences) -> NDArray[np.float32]:
        """Probabilities (N, K), in the order of `classes_`."""
        recipe, model, state = self._parts()
        table = recipe.predict(model, state, Labelled(self._sequences(X), None))
        probabilities: NDArray[np.float32] = table.iloc[:, 1:].to_numpy()
        return probabilities


def _finite(series: Any, number: int) -> NDArray[np.float32]:
    """One series (T, F) as the network reads it."""
    array = np.asarray(series, np.float32)
    if 0 in array.shape:
        raise DataError(f"series {number} has the shape {array.shape}. It needs a step and a feature at least.")
    if not np.isfinite(array).all():
        raise DataError(f"series {number} has NaN or infinite values in it. Fill them in, or leave the series out.")
    return array


class _Scored(_Estimator):
    """Estimators whose input is no array of numbers: a table of times, a text, sentences.

    Their score is greater where the estimator is better, as scikit-learn wants it.
    """

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.string = self.recipe.name != "forecast"
        tags.target_tags.required = self.recipe.name in ("translate", "tag")
        return tags

    def _score(self, data: Any) -> float:
        recipe, model, state = self._parts()
        value = float(recipe.score(model, state, data)[recipe.metric])
        return value if recipe.higher_is_better else -value


class Forecaster(_Scored, recipe="forecast"):
    """The next values of one or many time series, with quantiles.

    Tables are as `fastgru train forecast` reads them: a column of times, one or more of values, and perhaps one of
    names. A Series, or a table without the column of times, has its times in a DatetimeIndex.

    Example:
        >>> import numpy as np, pandas as pd
        >>> from fastgru.tasks import Forecaster
        >>> hours = pd.date_range("2024-01-01", periods=200, freq="h")
        >>> wave = pd.Series(np.sin(np.arange(200) * np.pi / 12), hours)
        >>> forecaster = Forecaster(context=24, horizon=6, hidden=8, epochs=2).fit(wave)
        >>> forecaster.predict(horizon=3).columns.tolist()
        ['series', 'time', 'q0.1', 'q0.5', 'q0.9']
    """

    def fit(
        self,
        X: Any,
        y: None = None,
        directory: Path | str | None = None,
        progress: bool = False,
    ) -> Self:
        """Learns from a table or Series; `y` is there for scikit-learn alone."""
        self.panel_ = self._panel(X)
        return self._fit(self.panel_, directory, progress)

    def predict(self, X: Any = None, horizon: int | None = None) -> pd.DataFrame:
        """Quantiles of the next steps after the end of a table, or of what was learned from."""
        recipe, model, state = self._parts()
        if horizon is not None and (not isinstance(horizon, (int, np.integer)) or not 1 <= horizon <= recipe.horizon):
            raise ArgumentError(f"horizon={horizon} is not between 1 and {recipe.horizon}, what was learned.")
        if X is None and not hasattr(self, "panel_"):
            raise ArgumentError("a loaded forecaster keeps no data: give the table to go on from, predict(table).")
        table = recipe.predict(model, state, self.panel_ if X is None else self._panel(X))
        steps = table.groupby("series", sort=False).cumcount()
        return table[steps < (horizon or recipe.horizon)].reset_index(drop=True)

    def score(self, X: Any, y: None = None) -> float:
        """Minus the MASE of a rolling back-test; the first `context` values of each series are history."""
        return self._score(self._panel(X))

    def _panel(self, table: Any) -> Panel:
        columns = self.recipe(**self.get_params()).columns  # type: ignore[attr-defined]
        if hasattr(table, "to_series") and hasattr(table, "components"):  # a TimeSeries of Darts
            table = table.to_series() if table.n_components == 1 else table.to_dataframe()
        if isinstance(table, pd.Series):
            table = table.to_frame(columns.targets[0])
        if not isinstance(table, pd.DataFrame):
            raise DataError(f"X is {type(table).__name__}; give a DataFrame, or a Series with a DatetimeIndex.")
        return from_frame(table, columns)


class Generator(_Scored, recipe="generate"):
    """Text like a text.

    Example:
        >>> from fastgru.tasks import Generator
        >>> generator = Generator(hidden=8, embedding=8, window=16, epochs=1).fit("to be or not to be " * 50)
        >>> len(generator.generate("to be", length=10))
        10
    """

    def fit(
        self,
        X: str | Sequence[str],
        y: None = None,
        directory: Path | str | None = None,
        progress: bool = False,
    ) -> Self:
        """Learns from a text, or from texts that are joined by newlines."""
        return self._fit(_one_text(X), directory, progress)

    def generate(self, prompt: str = "", length: int = 500, **drawing: Any) -> str:
        """Goes on from a prompt, for some tokens; temperature, top_k, top_p and seed as `Generate.sample` has them."""
        recipe, model, state = self._parts()
        return "".join(recipe.sample(model, state, prompt, length, **drawing))

    def predict(self, X: Sequence[str], length: int = 100, **drawing: Any) -> list[str]:
        """What follows each prompt."""
        self._parts()  # which raises where there is nothing fitted
        reading.require_texts(X, "prompt")
        return [self.generate(prompt, length, **drawing) for prompt in X]

    def score(self, X: str | Sequence[str], y: None = None) -> float:
        """Minus the bits per character of a text."""
        return self._score(_one_text(X))


def _one_text(texts: str | Sequence[str]) -> str:
    found = [texts] if isinstance(texts, str) else texts
    reading.require_texts(found, "text", empty=True)
    text = "\n".join(found)
    reading.require_texts([text], "text")
    return text


class Translator(_Scored, recipe="translate"):
    """Sentences into sentences.

    Example:
        >>> from fastgru.tasks import Translator
        >>> translator = Translator(unit="characters", hidden=8, embedding=8, epochs=1, longest=5)
        >>> translations = translator.fit(["ab", "ba"] * 20, ["AB", "BA"] * 20).predict(["ab"])
        >>> len(translations)
        1
    """

    def fit(
        self,
        X: Sequence[str],
        y: Sequence[str],
        directory: Path | str | None = None,
        progress: bool = False,
    ) -> Self:
        """Learns from sentences and their translations."""
        return self._fit(_pairs(X, y), directory, progress)

    def predict(self, X: Sequence[str]) -> list[str]:
        """The translation of each sentence."""
        recipe, model, state = self._parts()
        reading.require_texts(X, "sentence")
        found: list[str] = recipe.translations(model, state, list(X))
        return found

    def score(self, X: Sequence[str], y: Sequence[str]) -> float:
        """chrF, from 0 to 100."""
        return self._score(_pairs(X, y))


def _require_y(y: Any, kind: str) -> None:
    if y is None:
        raise DataError(f"{kind} requires y to be passed, but the target y is None. Give an answer for each of X.")


def _pairs(sources: Sequence[str], targets: Sequence[str]) -> Pairs:
    _require_y(targets, "Translator")
    for texts, what in ((sources, "sentence"), (targets, "translation")):
        reading.require_texts(texts, what)
    if len(sources) != len(targets):
        raise DataError(f"there are {len(sources)} sentences in X and {len(targets)} in y. Each needs its translation.")
    if not len(sources):
        raise DataError("X has no sentences. Give one at least.")
    return Pairs(list(sources), list(targets))


class Tagger(_Scored, recipe="tag"):
    """A tag for each token of sentences.

    Example:
        >>> from fastgru.tasks import Tagger
        >>> sentences, tags = [["a", "dog"], ["the", "cat", "sat"]] * 20, [["D", "N"], ["D", "N", "V"]] * 20
        >>> Tagger(hidden=8, embedding=8, epochs=10, rate=0.02).fit(sentences, tags).predict([["the", "dog"]])
        [['D', 'N']]
    """

    def fit(
        self,
        X: Sequence[Sequence[str]],
        y: Sequence[Sequence[str]],
        directory: Path | str | None = None,
        progress: bool = False,
    ) -> Self:
        """Learns from sentences of tokens, and the tags of each."""
        return self._fit(_tagged(X, y), directory, progress)

    def predict(self, X: Sequence[Sequence[str]]) -> list[list[str]]:
        """The tags of each sentence."""
        recipe, model, state = self._parts()
        found: list[list[str]] = recipe.tags(model, state, _tokens(X, "token"))
        return found

    def score(self, X: Sequence[Sequence[str]], y: Sequence[Sequence[str]]) -> float:
        """Micro-F1 of all tags but the plain one."""
        return self._score(_tagged(X, y))


def _tokens(sentences: Sequence[Sequence[str]], what: str) -> list[list[str]]:
    if isinstance(sentences, str) or not hasattr(sentences, "__iter__"):
        raise DataError(f"sentences are {type(sentences).__name__}; give a list of lists of {what}s.")
    for number, sentence in enumerate(sentences, start=1):
        with reading.about(f"sentence {number}"):
            reading.require_texts(sentence, what)
    return [list(sentence) for sentence in sentences]


def _tagged(sentences: Sequence[Sequence[str]], tags: Sequence[Sequence[str]]) -> Tagged:
    _require_y(tags, "Tagger")
    tokens, found = _tokens(sentences, "token"), _tokens(tags, "tag")
    if [len(each) for each in tokens] != [len(each) for each in found]:
        raise DataError("X and y differ in length, or a sentence and its tags do. Each token needs one tag.")
    if not any(tokens):
        raise DataError("X has no tokens. Give one at least.")
    return Tagged(tokens, found)
