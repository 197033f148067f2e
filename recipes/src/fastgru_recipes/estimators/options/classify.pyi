"""The options of an estimator, written by scripts/option-stubs."""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from fastgru_recipes.estimators.base import Estimator

class ClassifyOptions(Estimator):
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
    unit: Literal["characters", "words", "bpe"]
    tokens: int
    embedding: int
    longest: int
    text_column: str
    label_column: str
    series_column: str
    normalize: Literal["both", "training", "series"]
    filters: int
    stride: int
    pooling: Literal["auto", "last", "mean", "max", "all"]
    linear_below: int
    class_weight: str | Mapping[Any, float] | None
    def __init__(
        self,
        *,
        hidden: int = 64,
        layers: int = 1,
        dropout: float = 0.2,
        layer: Literal["fastgru", "torch", "lstm"] = "fastgru",
        steps: int = 0,
        epochs: int = 0,
        batch: int = 0,
        rate: float = 0.003,
        clip: float = 1.0,
        patience: int = 0,
        validation: float = 0.1,
        retrain_below: int = 500,
        precision: Literal["32-true", "64-true", "bf16-mixed"] = "32-true",
        random_state: int | np.random.RandomState | None = 0,
        encoding: str = "utf-8",
        separator: str = "",
        decimal: Literal["auto", ".", ","] = "auto",
        sheet: str = "",
        unit: Literal["characters", "words", "bpe"] = "characters",
        tokens: int = 8000,
        embedding: int = 48,
        longest: int = 10000,
        text_column: str = "text",
        label_column: str = "label",
        series_column: str = "series",
        normalize: Literal["both", "training", "series"] = "both",
        filters: int = 64,
        stride: int = 0,
        pooling: Literal["auto", "last", "mean", "max", "all"] = "auto",
        linear_below: int = 20000,
        class_weight: str | Mapping[Any, float] | None = "",
    ) -> None:
        """All options are keyword arguments; `fit` checks them.

        Args:
            hidden: Size of the GRU's state.
            layers: Number of stacked GRU layers.
            dropout: Probability of zeroing an element of what is pooled.
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
            validation: Fraction of the data held out to choose the best epoch; with 0 the last epoch is
                kept.
            retrain_below: With fewer examples than this, train again on all of them after validation; 0:
                never.
            precision: Precision, by Lightning's name.
            random_state: Seed of weights, batches and dropout, or a RandomState; None: another result each
                time.
            encoding: Encoding of the files, such as utf-8, cp1252 (Western Windows) or utf-16.
            separator: Separator of columns, such as ';', tab or space. Default: found from the file.
            decimal: Decimal separator: a comma, as in 1.234,5 and 1 234,5, or a point. Default: a point, if
                not in doubt.
            sheet: Sheet of an Excel file, by name or by number from 1. Default: the only one.
            unit: Unit of the tokens of a text.
            tokens: Largest size of the vocabulary.
            embedding: Size of a token's vector.
            longest: Largest number of steps that are read; a warning reports longer texts and series.
            text_column: Column or key of the text.
            label_column: Column or key of the label.
            series_column: Column of series names or numbers in a long table.
            normalize: Scale of series: mean 0 and deviation 1 in the training part, in each series, or both
                side by side.
            filters: Channels of the convolutions that read series before the GRU; 0: none.
            stride: Steps that the convolutions make one, a power of two; 0: so that the longest series has
                about 50.
            pooling: Outputs of the GRU that are used: last (states), mean, max or all; auto: all for
                series, last for texts.
            linear_below: With fewer training texts than this, begin with a linear model on character
                n-grams; 0: never.
            class_weight: balanced, or labels with their weights in the loss: {"cat": 2.0}.
        """
