"""The base class of recipes: common options, and the methods that a task must define for training and prediction."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, NamedTuple, TypeVar, get_args, get_type_hints

import numpy as np
import torch
from torch import Tensor, nn

from fastgru.errors import ArgumentError
from fastgru_recipes.option_names import given as shown
from fastgru_recipes.recurrent_layers import LayerName, RecurrentOptions

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

# Data: the checked content of one file. State: what a recipe learns from the training part before the network, such as
# a vocabulary or a scaler. It can be written as JSON, so that people and other programs can read a run directory.
Data = TypeVar("Data")
State = dict[str, Any]
Example = Any
Batch = dict[str, Any]
LARGEST_OPTION = 2**31  # of integer options


class Loss(NamedTuple):
    """A batch's loss as a sum and a count, so that means over several batches and processes are exact.

    Attributes:
        total: a scalar tensor with gradients.
        terms: the number of summands of `total`, such as tokens, windows or rows.
    """

    total: Tensor
    terms: int


def option(default: Any, text: str, *, least: float | None = None, most: float | None = None) -> Any:
    """A dataclass field of a recipe. `text` is the help of its command-line option; the bounds are always checked."""
    return field(default=default, metadata={"help": text, "least": least, "most": most})


def several(given: Any, name: str, kind: type) -> tuple[Any, ...]:
    """A tuple from the value of an option: a list, a tuple, or a comma-separated string."""
    parts = given.split(",") if isinstance(given, str) else given
    try:
        return tuple(kind(part.strip() if isinstance(part, str) else part) for part in parts if part != "")
    except (TypeError, ValueError) as error:
        example = shown(name, "0.1,0.5" if kind is float else "a,b")
        raise ArgumentError(f"{shown(name, given)} is not a list of {kind.__name__}, such as {example}.") from error


@dataclass(frozen=True, kw_only=True)
class Recipe(ABC, Generic[Data]):
    """The options that all recipes share, and the methods that each must define.

    Attributes:
        name: its name on the command line.
        metric: the score that examples and comparisons use, a key of the result of `score`.
        higher_is_better: whether a higher `metric` is better.
        state_file: the file of a run directory that holds the state.
        advice: what to try if the network does not beat its baselines.
        of_network: options on which the network, or its vocabulary or scaler, depends.
        loss_name: what `loss` computes, with its unit, for plots.

    Raises:
        ArgumentError: a ValueError, for an option outside its bounds or of the wrong type.
    """

    name: ClassVar[str]
    metric: ClassVar[str]
    higher_is_better: ClassVar[bool]
    state_file: ClassVar[str] = "vocabulary.json"
    advice: ClassVar[str] = "Try more steps, a smaller rate, or more data."
    loss_name: ClassVar[str] = "loss"
    of_network: ClassVar[tuple[str, ...]] = ("hidden", "layers", "layer")

    hidden: int = option(64, "Size of the GRU's state.", least=1)
    layers: int = option(1, "Number of stacked GRU layers.", least=1)
    dropout: float = option(0.0, "Probability of zeroing an element between layers.", least=0, most=1)
    layer: LayerName = option(
        "fastgru", "The recurrent layer: fastgru.GRU, torch.nn.GRU, or torch.nn.LSTM of the same size, for comparison."
    )
    steps: int = option(
        0, "Optimizer steps; 0: as many as suit the data, at least 1,000. Not together with epochs.", least=0
    )
    epochs: int = option(0, "Passes over the training data, instead of steps; 0: by the number of steps.", least=0)
    batch: int = option(
        0,
        "Examples per optimizer step, fewer if they are very long; 0: 8 to 64, by their number, or 32 with epochs.",
        least=0,
    )
    rate: float = option(3e-3, "Initial learning rate of Adam; it decays to zero along a cosine.", least=0)
    clip: float = option(1.0, "Largest norm of the gradient; 0 disables clipping.", least=0)
    patience: int = option(
        0, "Epochs without a better validation loss after which training stops; 0 disables early stopping.", least=0
    )
    validation: float = option(
        0.1, "Fraction of the data held out to choose the best epoch; with 0 the last epoch is kept.", least=0, most=0.9
    )
    retrain_below: int = option(
        0,
        "With fewer examples than this, train again on all of them after validation; 0: never. Not with several "
        "devices, your own validation data, or the weights of an earlier run.",
        least=0,
    )
    precision: Literal["32-true", "64-true", "bf16-mixed"] = option("32-true", "Precision, by Lightning's name.")
    seed: int = option(0, "Seed of weights, batches and dropout.", least=0, most=2**31)

    def __post_init__(self) -> None:
        hints = get_type_hints(type(self))
        for each in fields(self):
            value = getattr(self, each.name)
            if isinstance(value, np.generic):  # from a grid of NumPy values
                object.__setattr__(self, each.name, value := value.item())
            _check(self.name, each, hints[each.name], value)
        if self.steps and self.epochs:
            both = f"{shown('steps', self.steps)} and {shown('epochs', self.epochs)}"
            raise ArgumentError(f"{both} are both given. Give one of them.")

    def resolved(self, data: Data) -> Recipe[Data]:
        """The recipe with the options that depend on the training data, where they were left to it."""
        return self

    def choices(self, data: Data) -> dict[str, Sequence[Any]]:
        """The values that a search tries, beside its own, for some options of a recipe that is `resolved`."""
        return {
            "hidden": (16, 32, 64, 128, 256),
            "layers": (1, 2),
            "dropout": (0.0, 0.1, 0.2, 0.3, 0.5),
            "rate": (3e-4, 1e-3, 3e-3, 1e-2),
        }

    @abstractmethod
    def read(self, path: Path | str) -> Data:
        """Reads and checks a file.

        Raises:
            DataError: for any mistake in it, with the file and the line or column.
        """

    def read_inputs(self, path: Path | str) -> Data:
        """Reads a file for prediction, in which answers may be missing."""
        return self.read(path)

    def from_text(self, text: str, state: State) -> Data:
        """The data of one text for prediction. Raises ArgumentError for a recipe that does not read texts."""
        raise ArgumentError(f"a run of {self.name} does not take a text. Give a file.")

    @abstractmethod
    def split(self, data: Data) -> tuple[Data, Data]:
        """Splits data into a training and a validation part, in the same way for the same seed."""

    @abstractmethod
    def learn_state(self, data: Data) -> State:
        """Vocabulary, scaler or labels, on which the network and its inputs depend. Uses only the training part."""

    @abstractmethod
    def examples(self, data: Data, state: State) -> Sequence[Example]:
        """The examples, as tensors, so that the conversion is done once and not every epoch."""

    def passes(self, model: nn.Module) -> int:
        """Passes over the training part that suit this network; 0: the usual number of steps."""
        return 0

    def length(self, example: Example) -> int:
        """The number of steps of an example. Batches have examples of similar lengths."""
        return 1

    def size(self, example: Example) -> int:
        """About how many numbers training keeps for an example. Batches with too many of them are split."""
        return 14 * self.layers * self.hidden * self.length(example)

    @abstractmethod
    def collate(self, examples: Sequence[Example]) -> Batch:
        """One batch of tensors, padded."""

    @abstractmethod
    def build(self, state: State) -> nn.Module:
        """The network, with newly initialized weights."""

    def start(self, model: nn.Module, state: State, data: Data) -> None:  # most recipes begin at random
        """Sets weights that need no training, from the training part."""

    def finish(self, model: nn.Module, state: State, validation: Data | None) -> None:
        """Sets weights after training, from the part that chose the best epoch, if there is one."""

    def refit(self, model: nn.Module, state: State, data: Data, validation: Data) -> None:
        """Fits weights that need no training to both parts. It follows the scores of the validation part."""

    def follow(self, model: nn.Module, first: nn.Module) -> None:
        """Takes over what `finish` has set in the `first` network, after a second training without validation data."""

    @property
    def recurrent(self) -> RecurrentOptions:
        """The options of the network's recurrent layer."""
        return RecurrentOptions(self.layer, self.hidden, self.layers, self.dropout)

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the weights, and of inputs that are numbers."""
        return torch.float64 if self.precision == "64-true" else torch.float32

    def network(self, state: State) -> nn.Module:
        """The result of `build` in the dtype of `precision`. Lightning would convert it after reading a checkpoint."""
        return self.build(state).to(self.dtype)

    @abstractmethod
    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """The loss that training minimizes."""

    @abstractmethod
    def score(self, model: nn.Module, state: State, data: Data) -> dict[str, float]:
        """The scores of the task on data with answers; `metric` is one of them."""

    @abstractmethod
    def predict(self, model: nn.Module, state: State, data: Data) -> pd.DataFrame:
        """A table with one row for each answer."""

    def plots(self, model: nn.Module, state: State, data: Data, part: str) -> dict[str, Figure]:
        """Plots of the task on held-out data, by file name. Their titles name the `part`, such as "test part"."""
        return {}


def _check(recipe: str, each: Field[Any], hint: Any, value: Any) -> None:
    where = f"{recipe}: option {shown(each.name, value)}"
    choices = get_args(hint) if getattr(hint, "__origin__", None) is Literal else ()
    if choices:
        if value not in choices:
            raise ArgumentError(f"{where} is not one of {', '.join(map(repr, choices))}.")
        return
    if hint in (int, float):
        if isinstance(value, bool) or not isinstance(value, (int, hint)) or value in (math.inf, -math.inf):
            raise ArgumentError(f"{where} is not {'an integer' if hint is int else 'a number'}.")
        least, most = each.metadata["least"], each.metadata["most"]
        most = LARGEST_OPTION if most is None and hint is int else most
        if least is not None and not value >= least:
            raise ArgumentError(f"{where} is too small: the smallest allowed value is {least}.")
        if most is not None and not value <= most:
            raise ArgumentError(f"{where} is too large: the largest allowed value is {most}.")
    elif hint is str and not isinstance(value, str):
        raise ArgumentError(f"{where} is not a string.")
    elif hint is bool and not isinstance(value, bool):
        raise ArgumentError(f"{where} is neither True nor False.")
