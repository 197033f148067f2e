"""The recipe `forecast` with scikit-learn's habits."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from fastgru.errors import ArgumentError
from fastgru_recipes.errors import DataError
from fastgru_recipes.estimators.base import Scored
from fastgru_recipes.forecast.read_series import Panel, from_frame

if TYPE_CHECKING:
    from typing_extensions import Self


class Forecaster(Scored, recipe="forecast"):
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
