"""The options of an estimator, written by scripts/option-stubs."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from fastgru_recipes.estimators.base import Estimator

class TranslateOptions(Estimator):
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
    smoothing: float
    beam: int
    longest_source: int
    longest: int
    columns: str | Sequence[str]
    def __init__(
        self,
        *,
        hidden: int = 256,
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
        retrain_below: int = 0,
        precision: Literal["32-true", "64-true", "bf16-mixed"] = "32-true",
        random_state: int | np.random.RandomState | None = 0,
        encoding: str = "utf-8",
        separator: str = "",
        decimal: Literal["auto", ".", ","] = "auto",
        sheet: str = "",
        unit: Literal["characters", "words", "bpe"] = "bpe",
        tokens: int = 8000,
        embedding: int = 128,
        smoothing: float = 0.1,
        beam: int = 4,
        longest_source: int = 1000,
        longest: int = 200,
        columns: str | Sequence[str] = (),
    ) -> None:
        """All options are keyword arguments; `fit` checks them.

        Args:
            hidden: Size of the GRU's state.
            layers: Number of stacked GRU layers.
            dropout: Probability of zeroing an element of the inputs and outputs.
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
                never. Not with several devices, your own validation data, or the weights of an earlier run.
            precision: Precision, by Lightning's name.
            random_state: Seed of weights, batches and dropout, or a RandomState; None: another result each
                time.
            encoding: Encoding of the files, such as utf-8, cp1252 (Western Windows) or utf-16.
            separator: Separator of columns, such as ';', tab or space. Default: found from the file.
            decimal: Decimal separator: a comma, as in 1.234,5 and 1 234,5, or a point. Default: a point, if
                not in doubt.
            sheet: Sheet of an Excel file, by name or by number from 1. Default: the only one.
            unit: Unit of the tokens of sentences.
            tokens: Largest size of each language's vocabulary.
            embedding: Size of a token's vector.
            smoothing: Label smoothing: fraction of the target distribution spread over all tokens.
            beam: Number of candidates of the beam search.
            longest_source: Largest number of tokens that are read; a warning reports longer sentences.
            longest: Largest number of tokens of a translation.
            columns: Columns of the sentence and its translation in a table, by name or by number from 1:
                source,target.
        """
