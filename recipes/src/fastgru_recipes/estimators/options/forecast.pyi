"""The options of an estimator, written by scripts/option-stubs."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from fastgru_recipes.estimators.base import Estimator

class ForecastOptions(Estimator):
    hidden: int
    layers: int
    dropout: float
    layer: Literal["fastgru", "torch", "lstm"]
    steps: int
    epochs: int
    batch: int
    rate: float
    clip: float
    patience: int
    validation: float
    retrain_below: int
    precision: Literal["32-true", "64-true", "bf16-mixed"]
    random_state: int | np.random.RandomState | None
    encoding: str
    separator: str
    decimal: Literal["auto", ".", ","]
    sheet: str
    context: int
    horizon: int
    quantiles: str | Sequence[float]
    stride: int
    season: int
    transform: Literal["auto", "none", "sqrt", "log"]
    counts: Literal["auto", "yes", "no"]
    recent: int
    width: int
    embedding: int
    time: str
    zone: str
    fill: Literal["none", "previous", "linear", "zero"]
    target: str | Sequence[str]
    series: str
    covariates: str | Sequence[str]
    known: str | Sequence[str]
    categorical: str | Sequence[str]
    def __init__(
        self,
        *,
        hidden: int = 64,
        layers: int = 1,
        dropout: float = 0.1,
        layer: Literal["fastgru", "torch", "lstm"] = "fastgru",
        steps: int = 0,
        epochs: int = 0,
        batch: int = 0,
        rate: float = 0.003,
        clip: float = 1.0,
        patience: int = 5,
        validation: float = 0.15,
        retrain_below: int = 0,
        precision: Literal["32-true", "64-true", "bf16-mixed"] = "32-true",
        random_state: int | np.random.RandomState | None = 0,
        encoding: str = "utf-8",
        separator: str = "",
        decimal: Literal["auto", ".", ","] = "auto",
        sheet: str = "",
        context: int = 0,
        horizon: int = 0,
        quantiles: str | Sequence[float] = (0.1, 0.5, 0.9),
        stride: int = 1,
        season: int = 0,
        transform: Literal["auto", "none", "sqrt", "log"] = "auto",
        counts: Literal["auto", "yes", "no"] = "auto",
        recent: int = 20,
        width: int = 32,
        embedding: int = 0,
        time: str = "time",
        zone: str = "",
        fill: Literal["none", "previous", "linear", "zero"] = "none",
        target: str | Sequence[str] = ("value",),
        series: str = "series",
        covariates: str | Sequence[str] = (),
        known: str | Sequence[str] = (),
        categorical: str | Sequence[str] = (),
    ) -> None:
        """All options are keyword arguments; `fit` checks them.

        Args:
            hidden: Size of the GRU's state.
            layers: Number of stacked GRU layers.
            dropout: Probability of zeroing an element of the final state.
            layer: The recurrent layer: fastgru.GRU, torch.nn.GRU, or torch.nn.LSTM of the same size, for
                comparison.
            steps: Optimizer steps; 0: as many as suit the data, at least 1,000. Not together with epochs.
            epochs: Passes over the training data, instead of steps; 0: by the number of steps.
            batch: Examples per optimizer step, fewer if they are very long; 0: 8 to 64, by their number, or
                32 with epochs.
            rate: Initial learning rate of Adam; it decays to zero along a cosine.
            clip: Largest norm of the gradient; 0 disables clipping.
            patience: Epochs without a better validation loss after which training stops; 0 disables early
                stopping.
            validation: Fraction of each series, at its end, that chooses the best epoch.
            retrain_below: With fewer examples than this, train again on all of them after validation; 0:
                never. Not with several devices, your own validation data, or the weights of an earlier run.
            precision: Precision, by Lightning's name.
            random_state: Seed of weights, batches and dropout, or a RandomState; None: another result each
                time.
            encoding: Encoding of the files, such as utf-8, cp1252 (Western Windows) or utf-16.
            separator: Separator of columns, such as ';', tab or space. Default: found from the file.
            decimal: Decimal separator: a comma, as in 1.234,5 and 1 234,5, or a point. Default: a point, if
                not in doubt.
            sheet: Sheet of an Excel file, by name or by number from 1. Default: the only one.
            context: Number of past steps that the network reads, at least 2; 0: two to eight seasons, or 8
                to 30 steps.
            horizon: Number of steps to forecast; 0: by the frequency, such as 24 hours, 14 days, 12 months.
            quantiles: Quantile levels between 0 and 1; 0.5 must be one of them.
            stride: Steps between the starts of training windows.
            season: Season length in steps; 0: by the frequency, such as 24 hours, 7 days, 12 months.
            transform: Transform of the values: none, log or sqrt, for variance that grows with the mean;
                auto: by the data.
            counts: Whether values are counts, whose forecasts are whole numbers from zero; auto: if all
                values are.
            recent: Number of past horizons whose errors recalibrate the quantiles; 0 disables it.
            width: Size of the vector of each future step.
            embedding: Size of the learned embedding of each series; 0 for none.
            time: Column of times; an empty name numbers the rows.
            zone: Time zone of times that have none, such as Europe/Berlin, whose clocks change.
            fill: What fills missing rows and values: the previous value, a line, or zero. Default: an
                error.
            target: Column of values; several columns of a wide table, separated by commas.
            series: Column of series names in a long table; optional.
            covariates: Columns known up to the present, separated by commas.
            known: Columns known in advance, separated by commas; rows without a value at the end give the
                future.
            categorical: Columns of categories, separated by commas; those that change within a series must
                be among the covariates or the known ones too.
        """
