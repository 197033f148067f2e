"""The recipes `forecast` and `classify` as estimators of sktime.

    from fastgru_recipes.estimators.sktime import GRUForecaster

    GRUForecaster().fit(y, fh=[1, 2, 3]).predict()

This module needs the extra `sktime`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import NormalDist
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import clone

from fastgru.errors import ArgumentError, not_installed
from fastgru_recipes.estimators import Forecaster, SequenceClassifier
from fastgru_recipes.forecast import calendars

try:
    from sktime.classification.base import BaseClassifier
    from sktime.forecasting.base import BaseForecaster, ForecastingHorizon
except ModuleNotFoundError as missing:
    raise not_installed("sktime", "fastgru-recipes[sktime]", "fastgru_recipes.estimators.sktime") from missing

SHARES = (0.05, 0.1, 0.5, 0.9, 0.95)
TABLE_TYPES = ["pd.DataFrame", "pd-multiindex", "pd_multiindex_hier"]


class GRUForecaster(BaseForecaster):  # type: ignore[misc]  # sktime has no types
    """A `Forecaster` for sktime. One network learns from all instances and variables together.

    The columns are set here: each column of y is a target, each column of X is known in advance. The horizon is the
    largest step of the `fh` given to `fit`, or else the option. Quantiles between the learned ones are interpolated;
    others raise an error. If the option `quantiles` has its default, 0.05 and 0.95, sktime's default interval, are
    learned too. `update` with `update_params=False` continues from the new values without training.

    Parameters
    ----------
    forecaster : fastgru_recipes.Forecaster, default=None
        with the options; None is one with the defaults

    Examples
    --------
    >>> from fastgru_recipes import Forecaster
    >>> from fastgru_recipes.estimators.sktime import GRUForecaster
    >>> from sktime.datasets import load_airline
    >>> forecaster = GRUForecaster(Forecaster(context=24, hidden=8, epochs=2))
    >>> len(forecaster.fit(load_airline(), fh=[1, 2, 3]).predict())
    3
    """

    _tags: ClassVar[dict[str, Any]] = {
        "authors": ["fastgru"],
        "python_dependencies": ["fastgru", "torch"],
        "y_inner_mtype": TABLE_TYPES,
        "X_inner_mtype": TABLE_TYPES,
        "requires-fh-in-fit": False,
        "capability:multivariate": True,
        "capability:insample": False,
        "capability:pred_int": True,
        "capability:pred_int:insample": False,
        "capability:update": True,
        "capability:categorical_in_X": False,
    }
    _config: ClassVar[dict[str, Any]] = {"remember_data": False}  # this class stores the data that it needs

    def __init__(self, forecaster: Forecaster | None = None) -> None:
        self.forecaster = forecaster
        super().__init__()

    def _fit(self, y: pd.DataFrame, X: pd.DataFrame | None, fh: Any) -> GRUForecaster:
        estimator = Forecaster() if self.forecaster is None else clone(self.forecaster)
        columns = {"time": "time", "series": "series", "covariates": (), "known": ()}
        if X is not None:
            columns["known"] = tuple(f"x{number}" for number in range(X.shape[1]))
        if fh is not None:
            estimator.set_params(horizon=int(max(fh.to_relative(self.cutoff).to_numpy())))
        if estimator.quantiles == Forecaster().quantiles:
            estimator.set_params(quantiles=SHARES)
        targets = tuple(f"y{number}" for number in range(y.shape[1]))
        self.forecaster_ = estimator.set_params(target=targets, **columns)
        self.y_, self.X_ = y, _beside(X, y)
        self.forecaster_.fit(self._table(self.y_, self.X_))
        return self

    def _update(self, y: pd.DataFrame, X: pd.DataFrame | None = None, update_params: bool = True) -> GRUForecaster:
        self.y_ = _longer(self.y_, y)
        self.X_ = None if self.X_ is None else _beside(_longer(self.X_, X), self.y_)
        return self._fit(self.y_, self.X_, self._fh) if update_params else self

    def _table(self, y: pd.DataFrame, X: pd.DataFrame | None) -> pd.DataFrame:
        """A table for `Forecaster`: columns of times, optional names, y0 and so on, x0 and so on."""
        index = y.index if X is None else y.index.union(X.index)
        table = pd.DataFrame(y.reindex(index).to_numpy(), columns=[f"y{number}" for number in range(y.shape[1])])
        if X is not None:
            table = table.join(pd.DataFrame(X.reindex(index).to_numpy(np.float64)).add_prefix("x"))
        *names, times = [index.get_level_values(level) for level in range(index.nlevels)]
        if isinstance(times, pd.PeriodIndex):
            times = times.to_timestamp()
        elif not isinstance(
            times, pd.DatetimeIndex
        ):  # steps without a calendar; microseconds are too short to be taken for one
            times = pd.to_datetime(times, unit="us")
        table["time"] = times
        if names:
            table["series"] = ["/".join(map(str, each)) for each in zip(*names, strict=True)]
        return table

    def _ends(self, steps: Any) -> Iterator[pd.Index]:
        """The index of the forecasts of each instance, `steps` after its end."""
        levels = list(range(self.y_.index.nlevels - 1))
        by = levels if len(levels) > 1 else 0
        for _, rows in self.y_.groupby(level=by, sort=False) if levels else [(None, self.y_)]:
            end = rows.index.get_level_values(-1)[-1:]
            if isinstance(end, pd.DatetimeIndex):
                frequency = self.forecaster_.trained_.state["frequency"]
                times = calendars.steps(end[0], max(steps) + 1, frequency)[np.asarray(steps)]
            else:
                times = ForecastingHorizon(steps, is_relative=True).to_absolute_index(end)
            names = rows.index[-1][:-1] if levels else ()
            yield pd.MultiIndex.from_tuples([(*names, t) for t in times], names=rows.index.names) if levels else times

    def _forecast(self, fh: Any, X: pd.DataFrame | None) -> tuple[pd.Index, NDArray[np.float64]]:
        """The index of the forecasts, and the quantiles (instances * steps, variables, Q)."""
        steps, horizon = fh.to_relative(self.cutoff).to_numpy().astype(int), self.forecaster_.trained_.recipe.horizon
        if steps.max() > horizon:
            raise ArgumentError(f"fh goes {steps.max()} steps ahead; {horizon} were learned. Give that fh to `fit`.")
        ahead = None
        if self.X_ is not None:  # filled up to the horizon: no step affects the forecast of another
            if X is None:
                raise ArgumentError("`fit` was given X, so the forecast needs it: give X with the rows of fh.")
            filled = (X.reindex(index).ffill().bfill() for index in self._ends(range(1, horizon + 1)))
            ahead = pd.concat([self.X_, *filled])
        table = self.forecaster_.predict(self._table(self.y_, ahead))
        found = table.filter(regex="^q").to_numpy().reshape(-1, self.y_.shape[1], horizon, len(self._shares()))
        found = found[:, :, steps - 1].swapaxes(1, 2)
        first, *others = self._ends(steps)
        return first.append(others) if others else first, found.reshape(-1, *found.shape[2:])

    def _shares(self) -> list[float]:
        return list(self.forecaster_.trained_.recipe.quantiles)

    def _predict(self, fh: Any, X: pd.DataFrame | None) -> pd.DataFrame:
        index, found = self._forecast(fh, X)
        return pd.DataFrame(found[..., self._shares().index(0.5)], index, self.y_.columns)

    def _predict_quantiles(self, fh: Any, X: pd.DataFrame | None, alpha: Sequence[float]) -> pd.DataFrame:
        index, found = self._forecast(fh, X)
        shares, asked, deviations = self._shares(), np.round(alpha, 9), NormalDist().inv_cdf
        if min(asked) < shares[0] or max(asked) > shares[-1]:
            raise ArgumentError(f"alpha={asked.tolist()}: the learned quantiles are {shares}.")
        places, learned = [*map(deviations, asked)], [*map(deviations, shares)]
        values = np.apply_along_axis(lambda each: np.interp(places, learned, each), -1, found)
        columns = pd.MultiIndex.from_product([self._get_varnames(), alpha])
        return pd.DataFrame(values.reshape(len(index), -1), index, columns)

    @classmethod
    def get_test_params(cls, parameter_set: str = "default") -> list[dict[str, Any]]:
        """Small options, for sktime's checks."""
        small: dict[str, Any] = {"context": 3, "hidden": 4, "epochs": 1, "width": 4, "validation": 0.0, "season": 1}
        return [{"forecaster": Forecaster(**small, recent=recent)} for recent in (0, 20)]


def _beside(X: pd.DataFrame | None, y: pd.DataFrame) -> pd.DataFrame | None:
    """The rows of X that y has; `predict` gets those of the future."""
    return None if X is None else X[X.index.isin(y.index)]


def _longer(table: pd.DataFrame, new: pd.DataFrame) -> pd.DataFrame:
    """The table with the new rows, sorted by instance."""
    return pd.concat([table, new[~new.index.isin(table.index)]]).sort_index()


class GRUClassifier(BaseClassifier):  # type: ignore[misc]
    """A `SequenceClassifier` for sktime, for series of any lengths and numbers of variables.

    Parameters
    ----------
    classifier : fastgru_recipes.SequenceClassifier, default=None
        with the options; None is one with the defaults

    Examples
    --------
    >>> from fastgru_recipes import SequenceClassifier
    >>> from fastgru_recipes.estimators.sktime import GRUClassifier
    >>> from sktime.datasets import load_unit_test
    >>> X, y = load_unit_test(split="train")
    >>> GRUClassifier(SequenceClassifier(hidden=8, epochs=2)).fit(X, y).predict(X).shape
    (20,)
    """

    _tags: ClassVar[dict[str, Any]] = {
        "authors": ["fastgru"],
        "python_dependencies": ["fastgru", "torch"],
        "X_inner_mtype": "df-list",
        "capability:multivariate": True,
        "capability:unequal_length": True,
        "capability:predict_proba": True,
    }

    def __init__(self, classifier: SequenceClassifier | None = None) -> None:
        self.classifier = classifier
        super().__init__()

    def _fit(self, X: list[pd.DataFrame], y: NDArray[Any]) -> GRUClassifier:
        self.classifier_ = SequenceClassifier() if self.classifier is None else clone(self.classifier)
        self.classifier_.fit(X, y)
        return self

    def _predict(self, X: list[pd.DataFrame]) -> NDArray[Any]:
        return self.classifier_.predict(X)

    def _predict_proba(self, X: list[pd.DataFrame]) -> NDArray[np.float32]:
        return self.classifier_.predict_proba(X)

    @classmethod
    def get_test_params(cls, parameter_set: str = "default") -> list[dict[str, Any]]:
        """Small options, for sktime's checks."""
        return [{"classifier": SequenceClassifier(hidden=size, epochs=1, validation=0.0)} for size in (3, 4)]
