"""What a recipe is: options, and the few functions that a task must bring for training and prediction to work."""

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
from fastgru_recipes.recurrent_layers import LayerName, RecurrentOptions

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

# What one file holds, checked; and what a recipe learns from its training part before the network: a vocabulary, a
# scaler. A state is JSON, so that a run directory can be read by eye and by other programs.
Data = TypeVar("Data")
State = dict[str, Any]
Example = Any
Batch = dict[str, Any]
LARGEST_OPTION = 2**31  # of options that are whole numbers


class Loss(NamedTuple):
    """A batch's loss as a sum and a count, so that means over many batches and processes come out exactly.

    Attributes:
        total: (), with gradients.
        terms: how many numbers `total` is the sum of: tokens, windows, rows.
    """

    total: Tensor
    terms: int


def option(default: Any, text: str, *, least: float | None = None, most: float | None = None) -> Any:
    """A field of a recipe: its text is the help of the command line's flag, its bounds are checked everywhere."""
    return field(default=default, metadata={"help": text, "least": least, "most": most})


def several(given: Any, name: str, kind: type) -> tuple[Any, ...]:
    """A tuple from the value of an option: a list, a tuple, or a text with commas."""
    parts = given.split(",") if isinstance(given, str) else given
    try:
        return tuple(kind(part.strip() if isinstance(part, str) else part) for part in parts if part != "")
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"{name}={given!r} is no list of {kind.__name__}, such as {name}='a,b'.") from error


@dataclass(frozen=True, kw_only=True)
class Recipe(ABC, Generic[Data]):
    """The options that all recipes share, and what each must define.

    Attributes:
        name: as the command line calls it.
        metric: the score that examples and comparisons look at, a key of what `score` returns.
        higher_is_better: whether a larger `metric` is a better one.
        state_file: where a run directory keeps what was learned before the network.

    Raises:
        ValueError: for an option outside its bounds or of the wrong type.
    """

    name: ClassVar[str]
    metric: ClassVar[str]
    higher_is_better: ClassVar[bool]
    state_file: ClassVar[str] = "vocabulary.json"

    hidden: int = option(64, "Size of the GRU's state.", least=1)
    layers: int = option(1, "Stacked GRU layers.", least=1)
    dropout: float = option(0.0, "Probability of zeroing an element between layers.", least=0, most=1)
    layer: LayerName = option(
        "fastgru", "The recurrent layer: ours, torch.nn.GRU, or torch.nn.LSTM of the same size for comparison."
    )
    epochs: int = option(10, "Passes over the training part.", least=1)
    batch: int = option(32, "Examples per step of the optimizer; fewer where they are very long.", least=1)
    rate: float = option(3e-3, "Learning rate of Adam at the start; it falls to zero along a cosine.", least=0)
    clip: float = option(1.0, "Largest norm of the gradient; 0 does not clip.", least=0)
    patience: int = option(0, "Epochs without a better validation loss before training stops; 0 never stops.", least=0)
    validation: float = option(
        0.1, "Share of the data that is held out to choose the best epoch; 0 takes the last one.", least=0, most=0.9
    )
    precision: Literal["32-true", "64-true", "bf16-mixed"] = option("32-true", "Lightning's name of the precision.")
    seed: int = option(0, "Of weights, batches and dropout.", least=0, most=2**31)

    def __post_init__(self) -> None:
        hints = get_type_hints(type(self))
        for each in fields(self):
            value = getattr(self, each.name)
            if isinstance(value, np.generic):  # of a grid that NumPy made
                object.__setattr__(self, each.name, value := value.item())
            _check(type(self).__name__, each, hints[each.name], value)

    @abstractmethod
    def read(self, path: Path | str) -> Data:
        """The data of a file, checked: every mistake is a `DataError` that names file and line or column."""

    def read_inputs(self, path: Path | str) -> Data:
        """The same for prediction, where answers may be missing."""
        return self.read(path)

    @abstractmethod
    def split(self, data: Data) -> tuple[Data, Data]:
        """The training part and the part of `validation`, the same for the same seed."""

    @abstractmethod
    def learn_state(self, data: Data) -> State:
        """Vocabulary, scaler, labels: what the network's sizes and inputs depend on, from the training part alone."""

    @abstractmethod
    def examples(self, data: Data, state: State) -> Sequence[Example]:
        """What batches are made of, one example each; tensors, so that an epoch does no work twice."""

    def length(self, example: Example) -> int:
        """Steps of an example; batches are made of similar lengths."""
        return 1

    def size(self, example: Example) -> int:
        """Roughly the numbers that training keeps of an example; batches with too many of them are divided."""
        return 14 * self.layers * self.hidden * self.length(example)

    @abstractmethod
    def collate(self, examples: Sequence[Example]) -> Batch:
        """One batch of tensors, padded."""

    @abstractmethod
    def build(self, state: State) -> nn.Module:
        """The network, with fresh weights."""

    @property
    def recurrent(self) -> RecurrentOptions:
        """The options of the network's recurrent layer."""
        return RecurrentOptions(self.layer, self.hidden, self.layers, self.dropout)

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the weights, and of inputs that are numbers."""
        return torch.float64 if self.precision == "64-true" else torch.float32

    def network(self, state: State) -> nn.Module:
        """What `build` makes, in the type of `precision`: Lightning would convert it after it has read a checkpoint."""
        return self.build(state).to(self.dtype)

    @abstractmethod
    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """What training makes small."""

    @abstractmethod
    def score(self, model: nn.Module, state: State, data: Data) -> dict[str, float]:
        """The task's own figures on data with answers; `metric` is one of them."""

    @abstractmethod
    def predict(self, model: nn.Module, state: State, data: Data) -> pd.DataFrame:
        """Answers, a row each."""

    def plots(self, model: nn.Module, state: State, data: Data) -> dict[str, Figure]:
        """Pictures of the task on held-out data, by the names of their files."""
        return {}


def _check(recipe: str, each: Field[Any], hint: Any, value: Any) -> None:
    where = f"{recipe}: option {each.name}={value!r}"
    choices = get_args(hint) if getattr(hint, "__origin__", None) is Literal else ()
    if choices:
        if value not in choices:
            raise ArgumentError(f"{where} is not one of {', '.join(map(repr, choices))}.")
        return
    if hint in (int, float):
        if isinstance(value, bool) or not isinstance(value, (int, hint)) or value in (math.inf, -math.inf):
            raise ArgumentError(f"{where} is no {'whole number' if hint is int else 'number'}.")
        least, most = each.metadata["least"], each.metadata["most"]
        most = LARGEST_OPTION if most is None and hint is int else most
        if least is not None and not value >= least:
            raise ArgumentError(f"{where} is too small: the least is {least}.")
        if most is not None and not value <= most:
            raise ArgumentError(f"{where} is too large: the most is {most}.")
    elif hint is str and not isinstance(value, str):
        raise ArgumentError(f"{where} is no text.")
    elif hint is bool and not isinstance(value, bool):
        raise ArgumentError(f"{where} is neither True nor False.")
