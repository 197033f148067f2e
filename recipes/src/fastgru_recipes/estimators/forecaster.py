"""The recipe `forecast` as a scikit-learn estimator."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from fastgru.errors import ArgumentError
from fastgru_recipes import read_files
from fastgru_recipes.errors import DataError
from fastgru_recipes.estimators.base import Fitting, Init, Scored
from fastgru_recipes.estimators.options.forecast import ForecastOptions
from fastgru_recipes.forecast.read_series import Panel, begun, from_frame

if TYPE_CHECKING:
    from typing_extensions import Self


class Forecaster(Scored, ForecastOptions):
    """Forecasts of one or many time series, with quantiles.

    Tables have the format of `fastgru train forecast`: a column of times, one or more columns of values, and an
    optional column of series names. A Series, or a table without a column of times, has its times in a DatetimeIndex;
    its single column may have any name.

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
        *,
        validation_data: Any = None,
        init: Init = None,
        resume: bool = False,
    ) -> Self:
        """Trains on a table or Series.

        Args:
            X: DataFrame, Series with a DatetimeIndex or PeriodIndex, or TimeSeries of Darts.
            y: ignored; it exists for scikit-learn.
            directory: the run directory to make. Default: nothing is kept.
            progress: show progress bars.
            validation_data: the data that choose the best epoch, in the form of X. The first `context` values of each
                series are history. Default: the end of each series of X.
            init: a fitted forecaster, or a run directory. Training begins with its weights; its options
                replace those that have their defaults.
            resume: continue the interrupted training in `directory`.

        Raises:
            DataError: a ValueError, for columns, times or values that cannot be used, with row and column.
            ArgumentError: a ValueError, for an option outside its bounds.
            RunError: if the directory exists and is not empty, or if `init` has another network.
        """
        panel = self._panel(X)
        with read_files.about("validation_data"):
            validation = None if validation_data is None else self._panel(validation_data)
        self._fit(panel, Fitting(directory, progress, validation, init, resume))
        self.panel_ = panel
        return self

    def predict(self, X: Any = None, horizon: int | None = None) -> pd.DataFrame:
        """Quantiles of the next steps of each series.

        Args:
            X: the data to continue, in a form that `fit` takes. Default: the training data. Columns known in advance
                need rows for the future, in which the values are missing.
            horizon: the number of steps, at most the option of that name, which is the default.

        Returns:
            A row for each series and step with the columns `series`, `time`, and `q0.1` and so on, in the units of X.

        Raises:
            NotFittedError: before `fit`.
            DataError: for a table that does not fit the training data.
            ArgumentError: for a longer horizon than the learned one.
        """
        recipe, model, state = self._parts()
        if horizon is not None and (not isinstance(horizon, (int, np.integer)) or not 1 <= horizon <= recipe.horizon):
            raise ArgumentError(f"horizon={horizon} is not between 1 and {recipe.horizon}, the learned horizon.")
        if X is None and not hasattr(self, "panel_"):
            raise ArgumentError("a loaded forecaster has no data: give the table to continue, predict(table).")
        table: pd.DataFrame = recipe.predict(model, state, self.panel_ if X is None else self._panel(X), horizon)
        return table

    def score(self, X: Any, y: None = None) -> float:
        """Minus the MASE of a rolling backtest. The first `context` values of each series are history.

        NaN if all series repeat exactly: the seasonal naive forecast, by whose error MASE divides, has none then.
        """
        return self._score(self._panel(X))

    def score_table(self, X: Any) -> pd.DataFrame:
        """The scores of the forecaster and of simple baselines in a rolling backtest, a row each.

        Args:
            X: the data to score, in a form that `fit` takes. The first `context` values of each series are history.

        Raises:
            NotFittedError: before `fit`.
            ArgumentError: a ValueError, for a loaded forecaster: the baselines need the training data.

        Example:
            >>> import numpy as np, pandas as pd
            >>> from fastgru_recipes import Forecaster
            >>> hours = pd.date_range("2024-01-01", periods=240, freq="h")
            >>> noise = np.random.default_rng(0).normal(size=240)
            >>> wave = pd.Series(np.sin(np.arange(240) * np.pi / 12) + 0.1 * noise, hours)
            >>> forecaster = Forecaster(context=24, horizon=6, hidden=8, steps=20).fit(wave[:180])
            >>> forecaster.score_table(wave).index[:3].tolist()
            ['Forecaster', 'seasonal naive', 'last value']
        """
        panel = self._panel(X)
        return self._table(begun(panel, self._parts()[0].context, self._parts()[0].horizon))

    def _panel(self, table: Any) -> Panel:
        columns = self._configured().columns  # type: ignore[attr-defined]
        if hasattr(table, "to_series") and hasattr(table, "components"):  # a TimeSeries of Darts
            table = table.to_series() if table.n_components == 1 else table.to_dataframe()
        if isinstance(table, pd.Series):
            table = table.to_frame(columns.targets[0])
        if not isinstance(table, pd.DataFrame):
            raise DataError(f"X is {type(table).__name__}; give a DataFrame, or a Series with a DatetimeIndex.")
        return from_frame(table, columns)
