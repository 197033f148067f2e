"""The options of an estimator, written by scripts/option-stubs."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from fastgru_recipes.estimators.base import Estimator

class TagOptions(Estimator):
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
    tokens: int
    least: int
    embedding: int
    spelling: int
    affix: int
    crf: bool
    window: int
    overlap: int
    plain: str
    columns: str | Sequence[str]
    def __init__(
        self,
        *,
        hidden: int = 128,
        layers: int = 1,
        dropout: float = 0.5,
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
        tokens: int = 20000,
        least: int = 2,
        embedding: int = 96,
        spelling: int = 32,
        affix: int = 16,
        crf: bool = False,
        window: int = 64,
        overlap: int = 16,
        plain: str = "",
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
            retrain_below: With fewer windows than this, train again on all of them after validation; 0:
                never.
            precision: Precision, by Lightning's name.
            random_state: Seed of weights, batches and dropout, or a RandomState; None: another result each
                time.
            encoding: Encoding of the files, such as utf-8, cp1252 (Western Windows) or utf-16.
            tokens: Largest number of words with an embedding.
            least: How often a word must occur to have an embedding.
            embedding: Size of a word's vector.
            spelling: Size of a character's vector, and of the state of the GRU over characters.
            affix: Size of the vectors of a word's first and last 2 and 3 characters, and of its shape; 0:
                none.
            crf: Also score pairs of adjacent tags, with a conditional random field.
            window: Number of tokens of the windows into which longer sentences and texts are cut.
            overlap: Number of tokens that a window reads of each neighbour.
            plain: The tag that F1 does not count. Default: the most frequent tag.
            columns: Columns of tokens and tags, by number from 1 (-1 is the last one), or by CoNLL-U's
                name: form,xpos.
        """
