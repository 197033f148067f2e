"""The options of an estimator, written by scripts/option-stubs."""

from typing import Literal

import numpy as np

from fastgru_recipes.estimators.base import Estimator

class GenerateOptions(Estimator):
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
    unit: Literal["characters", "bpe"]
    tokens: int
    embedding: int
    window: int
    text_column: str
    def __init__(
        self,
        *,
        hidden: int = 384,
        layers: int = 1,
        dropout: float = 0.0,
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
        unit: Literal["characters", "bpe"] = "characters",
        tokens: int = 4000,
        embedding: int = 128,
        window: int = 128,
        text_column: str = "text",
    ) -> None:
        """All options are keyword arguments; `fit` checks them.

        Args:
            hidden: Size of the GRU's state.
            layers: Number of stacked GRU layers.
            dropout: Probability of zeroing an element between layers.
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
            unit: Unit of the tokens.
            tokens: Largest size of the vocabulary.
            embedding: Size of a token's vector.
            window: Number of tokens in a training example.
            text_column: Key of the text in JSON lines.
        """
