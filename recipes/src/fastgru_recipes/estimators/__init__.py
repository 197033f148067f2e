"""The recipes with scikit-learn's habits: options in the constructor, fit, predict, score, clone, pickle."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from fastgru.errors import ArgumentError
from fastgru_recipes import read_files, recipe_class
from fastgru_recipes.classify.read_labelled import Labelled
from fastgru_recipes.errors import DataError, RunError, TrainingInterrupted
from fastgru_recipes.estimators import inputs
from fastgru_recipes.forecast.read_series import Panel, from_frame
from fastgru_recipes.recipe import Recipe
from fastgru_recipes.training.run_directory import Trained
from fastgru_recipes.training.train import check_directory, train

if TYPE_CHECKING:
    from typing_extensions import Self

    from fastgru_recipes.estimators.inputs import Sequences


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
        try:
            self.trained_ = train(self.recipe(**self.get_params()), data, directory=place, progress=progress)
        except TrainingInterrupted as error:  # searches over options go on after an error, but must not after Ctrl-C
            raise KeyboardInterrupt(str(error)) from error
        return self

    def _parts(self) -> tuple[Any, Any, Any]:
        """Recipe, network and state, once there are any."""
        check_is_fitted(self, "trained_")
        return self.trained_.recipe, self.trained_.model, self.trained_.state

    @property
    def history_(self) -> pd.DataFrame:
        """A row of figures for each epoch."""
        self._parts()
        return self.trained_.history

    def save(self, directory: Path | str) -> None:
        """Writes a run directory, which the commands of `fastgru` take too; nothing in it is a pickle."""
        self._parts()
        check_directory(Path(directory), resume=False)
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
    helps = [f"    {each.name}: {each.metadata['help']} Default: {each.default!r}." for each in fields(recipe)]
    __init__.__doc__ = "\n".join(["Options, each by its name; `fit` checks them.", "", "Args:", *helps])
    return __init__


class SequenceClassifier(ClassifierMixin, _Estimator, recipe="classify"):  # type: ignore[misc]
    """A label for each text or series.

    X is a list of texts; or a list of arrays or tables (T_i, F), series of F features and any lengths; or one array
    (N, T, F). For series of one feature F may be left out: a list of arrays (T_i,), or one array or table (N, T), whose
    T must stay the same. y is N labels: texts, numbers or truth values.

    Attributes:
        classes_: (K,), the labels.

    Example:
        >>> from fastgru_recipes import SequenceClassifier
        >>> texts, labels = ["aab", "aba", "bba", "bab"] * 10, ["a", "a", "b", "b"] * 10
        >>> classifier = SequenceClassifier(hidden=8, epochs=20, rate=0.02, validation=0.0).fit(texts, labels)
        >>> classifier.predict(["abb", "baa"]).tolist()
        ['a', 'b']
    """

    def fit(self, X: Sequences, y: Any, directory: Path | str | None = None, progress: bool = False) -> Self:
        """Learns from sequences and labels.

        Args:
            X: N texts or series, numbers of any type.
            y: (N,), their labels, of two classes at least.
            directory: becomes a run directory, which `load` and the commands read; nothing is kept when left out.
            progress: show bars.

        Returns:
            The estimator.

        Raises:
            DataError: a ValueError, for sequences or labels that cannot be learned from.
            ArgumentError: a ValueError, for an option outside its bounds.
            RunError: for a directory that exists and is not empty.
        """
        data = self._data(X, inputs.labels(y))
        if len(data.labels or ()) != len(data.sequences):
            raise DataError(f"y has {len(data.labels or ())} labels; {len(data.sequences)} sequences need one each.")
        self._fit(data, directory, progress)
        self._restore()
        return self

    def _restore(self) -> None:
        self.classes_ = np.array(self.trained_.state["labels"])

    def _data(self, X: Sequences, labels: list[Any] | None = None) -> Labelled:
        """What the recipe reads; one array of numbers has its width checked by scikit-learn."""
        learns_from = labels is not None or hasattr(self, "n_features_in_")  # an array, if it can be one
        given = None if learns_from and inputs.is_rows(X) else inputs.sequences(X)
        if given is None:
            found = validate_data(self, X, reset=labels is not None, dtype=[np.float64, np.float32])
            given = Labelled(list(found[..., None]), None)
        elif labels is not None:
            for name in ("n_features_in_", "feature_names_in_"):  # of arrays that were learned from before
                self.__dict__.pop(name, None)
        return replace(given, labels=labels)

    def predict(self, X: Sequences) -> NDArray[Any]:
        """The most probable labels.

        Args:
            X: N sequences, in a form that `fit` takes.

        Returns:
            (N,), of the type of the labels that were learned.

        Raises:
            NotFittedError: before `fit`.
            DataError: for sequences of another kind than those of training, or other features.
        """
        probabilities = self.predict_proba(X)  # which raises where there is nothing fitted
        labels: NDArray[Any] = self.classes_[probabilities.argmax(1)]
        return labels

    def predict_proba(self, X: Sequences) -> NDArray[np.float32]:
        """The probability of each label: (N, K) float32, in the order of `classes_`. Errors are those of `predict`."""
        recipe, model, state = self._parts()
        table = recipe.predict(model, state, self._data(X))
        probabilities: NDArray[np.float32] = table.iloc[:, 1:].to_numpy()
        return probabilities


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
    names. A Series, or a table without the column of times, has its times in a DatetimeIndex; the one column beside
    them may have any name.

    Example:
        >>> import numpy as np, pandas as pd
        >>> from fastgru_recipes import Forecaster
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
        """Learns from a table or Series.

        Args:
            X: DataFrame, Series with a DatetimeIndex or PeriodIndex, or TimeSeries of Darts.
            y: there for scikit-learn alone.
            directory: becomes a run directory; nothing is kept when left out.
            progress: show bars.

        Raises:
            DataError: a ValueError, for columns, times or values that cannot be learned from, with row and column.
            ArgumentError: a ValueError, for an option outside its bounds.
            RunError: for a directory that exists and is not empty.
        """
        panel = self._panel(X)
        self._fit(panel, directory, progress)
        self.panel_ = panel
        return self

    def predict(self, X: Any = None, horizon: int | None = None) -> pd.DataFrame:
        """Quantiles of the next steps.

        Args:
            X: what to go on from, in a form that `fit` takes; what was learned from when left out. Columns known ahead
                have rows for the future, whose values are missing.
            horizon: steps, up to the option of that name, which is taken when left out.

        Returns:
            A row for each series and step: `series`, `time`, and `q0.1` and so on in the units of the values.

        Raises:
            NotFittedError: before `fit`.
            DataError: for a table that does not fit what was learned.
            ArgumentError: for a horizon that was not learned.
        """
        recipe, model, state = self._parts()
        if horizon is not None and (not isinstance(horizon, (int, np.integer)) or not 1 <= horizon <= recipe.horizon):
            raise ArgumentError(f"horizon={horizon} is not between 1 and {recipe.horizon}, what was learned.")
        if X is None and not hasattr(self, "panel_"):
            raise ArgumentError("a loaded forecaster keeps no data: give the table to go on from, predict(table).")
        table: pd.DataFrame = recipe.predict(model, state, self.panel_ if X is None else self._panel(X), horizon)
        return table

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
        >>> from fastgru_recipes import Generator
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
        """Learns from a text, or from texts that are joined by newlines.

        Args:
            X: the text or texts.
            y: there for scikit-learn alone.
            directory: becomes a run directory; nothing is kept when left out.
            progress: show bars.

        Raises:
            DataError: a ValueError, for what is no text, or too little of it.
            RunError: for a directory that exists and is not empty.
        """
        return self._fit(inputs.one_text(X), directory, progress)

    def generate(self, prompt: str = "", length: int = 500, **drawing: Any) -> str:
        """Goes on from a prompt.

        Args:
            prompt: may be empty.
            length: tokens to write.
            **drawing: temperature, top_k, top_p and seed, as `Generate.sample` has them.

        Returns:
            What was written, without the prompt.

        Raises:
            ArgumentError: a ValueError, for a value that makes no sense.
        """
        recipe, model, state = self._parts()
        return "".join(recipe.sample(model, state, prompt, length, **drawing))

    def predict(self, X: Sequence[str], length: int = 100, **drawing: Any) -> list[str]:
        """What follows each prompt."""
        self._parts()  # which raises where there is nothing fitted
        return [self.generate(prompt, length, **drawing) for prompt in read_files.require_texts(X, "prompt")]

    def score(self, X: str | Sequence[str], y: None = None) -> float:
        """Minus the bits per character of a text."""
        return self._score(inputs.one_text(X))


class Translator(_Scored, recipe="translate"):
    """Sentences into sentences.

    Example:
        >>> from fastgru_recipes import Translator
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
        """Learns from sentences and their translations.

        Args:
            X: N sentences.
            y: N translations.
            directory: becomes a run directory; nothing is kept when left out.
            progress: show bars.

        Raises:
            DataError: a ValueError, for sentences that are empty, no texts, or without a translation.
            RunError: for a directory that exists and is not empty.
        """
        return self._fit(inputs.pairs(X, y), directory, progress)

    def predict(self, X: Sequence[str]) -> list[str]:
        """The translation of each sentence."""
        recipe, model, state = self._parts()
        found: list[str] = recipe.translations(model, state, read_files.require_texts(X, "sentence"))
        return found

    def score(self, X: Sequence[str], y: Sequence[str]) -> float:
        """chrF, from 0 to 100."""
        return self._score(inputs.pairs(X, y))


class Tagger(_Scored, recipe="tag"):
    """A tag for each token of sentences.

    Example:
        >>> from fastgru_recipes import Tagger
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
        """Learns from sentences of tokens.

        Args:
            X: N sentences, each a list of tokens.
            y: N lists of as many tags.
            directory: becomes a run directory; nothing is kept when left out.
            progress: show bars.

        Raises:
            DataError: a ValueError, for what is no text, or tokens without tags.
            RunError: for a directory that exists and is not empty.
        """
        return self._fit(inputs.tagged(X, y), directory, progress)

    def predict(self, X: Sequence[Sequence[str]]) -> list[list[str]]:
        """The tags of each sentence."""
        recipe, model, state = self._parts()
        found: list[list[str]] = recipe.tags(model, state, inputs.tokens(X, "token"))
        return found

    def score(self, X: Sequence[Sequence[str]], y: Sequence[Sequence[str]]) -> float:
        """Micro-F1 of all tags but the plain one."""
        return self._score(inputs.tagged(X, y))
