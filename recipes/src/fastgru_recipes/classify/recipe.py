"""Classification of texts and multivariate series: a bidirectional GRU, and a linear layer on what is pooled of it.

    texts (B, T) -> embedding -> bidirectional GRU -> h_n of both directions -> linear -> (+) -> labels
                 -> n-grams -> logistic regression, found before training ---------------^
    series (B, T, F) -> scaled -> convolutions, which bring hundreds of steps to some tens -> bidirectional GRU
                     -> h_n, mean and maximum over time, and those of the convolutions -> linear -> labels
                     -> statistics of each feature (mean, deviation, quartiles, ...) ---^

Few texts are told apart by their n-grams (`linear_path.py`): the GRU changes the scores of a linear model. With many
texts there is none. Small sets of series are often told apart by their statistics, so the linear layer sees them.
Sequences of different lengths share a batch: no layer reads padding.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from tokenizers import Encoding
from torch import Tensor, nn
from torchmetrics.functional.classification import multiclass_accuracy, multiclass_confusion_matrix, multiclass_f1_score

from fastgru.errors import ArgumentError
from fastgru_recipes import read_files, read_table
from fastgru_recipes.classify import linear_path, ngrams, read_labelled, statistics, weights
from fastgru_recipes.classify.front import fitting_stride
from fastgru_recipes.classify.network import ClassifyNetwork, Inputs, Pooling
from fastgru_recipes.classify.ngrams import Ngrams
from fastgru_recipes.classify.read_labelled import Labelled
from fastgru_recipes.errors import DataError
from fastgru_recipes.file_options import TableOptions
from fastgru_recipes.option_names import given
from fastgru_recipes.plots.matrices import confusion
from fastgru_recipes.ranked import ranked
from fastgru_recipes.recipe import Batch, Loss, Recipe, State, option
from fastgru_recipes.text import vocabulary
from fastgru_recipes.training.batching import answers, cut, padded

if TYPE_CHECKING:
    from matplotlib.figure import Figure


ANSWER = "label"  # the first column of predictions


class Example(NamedTuple):
    """A sequence with its label.

    Attributes:
        sequence: the numbers of its tokens (T,), or its scaled steps (T, F).
        label: the number of its label; 0 for prediction.
        weight: how much it counts in the loss.
        statistics: (S,) of a series; None for a text.
        ngrams: of a text, where there is a linear path.
    """

    sequence: Tensor
    label: int = 0
    weight: float = 1.0
    statistics: Tensor | None = None
    ngrams: Ngrams | None = None


@dataclass(frozen=True, kw_only=True)
class Classify(TableOptions, Recipe[Labelled]):
    """A label for each text or multivariate series."""

    name: ClassVar[str] = "classify"
    metric: ClassVar[str] = "accuracy"
    higher_is_better: ClassVar[bool] = True
    advice: ClassVar[str] = (
        "Try more steps, a smaller hidden size with more dropout, or more examples; or use the baseline."
    )
    loss_name: ClassVar[str] = "cross-entropy (nats per sequence)"
    of_network: ClassVar[tuple[str, ...]] = (
        *Recipe.of_network,
        *("unit", "tokens", "embedding", "linear_below"),
        *("normalize", "filters", "stride", "pooling", "class_weight"),
    )

    unit: vocabulary.Unit = option("characters", "Unit of the tokens of a text.")
    tokens: int = option(8000, "Largest size of the vocabulary.", least=5)
    embedding: int = option(48, "Size of a token's vector.", least=1)
    longest: int = option(
        10_000, "Largest number of steps that are read; a warning reports longer texts and series.", least=1
    )
    text_column: str = option("text", "Column or key of the text.")
    label_column: str = option("label", "Column or key of the label.")
    series_column: str = option("series", "Column of series names or numbers in a long table.")
    dropout: float = option(0.2, "Probability of zeroing an element of what is pooled.", least=0, most=1)
    normalize: statistics.Normalize = option(
        "both", "Scale of series: mean 0 and deviation 1 in the training part, in each series, or both side by side."
    )
    filters: int = option(64, "Channels of the convolutions that read series before the GRU; 0: none.", least=0)
    stride: int = option(
        0, "Steps that the convolutions make one, a power of two; 0: so that the longest series has about 50.", least=0
    )
    pooling: Pooling = option(
        "auto",
        "Outputs of the GRU that are used: last (states), mean, max or all; auto: all for series, last for texts.",
    )
    linear_below: int = option(
        20_000,
        "With fewer training texts than this, begin with a linear model on character n-grams; 0: never.",
        least=0,
    )
    retrain_below: int = option(
        500, "With fewer examples than this, train again on all of them after validation; 0: never.", least=0
    )
    class_weight: str = option("", 'balanced, or labels with their weights in the loss: {"cat": 2.0}.')

    def __post_init__(self) -> None:
        object.__setattr__(self, "class_weight", weights.as_option(self.class_weight))  # a dict from Python
        super().__post_init__()
        if self.stride & (self.stride - 1):
            raise ArgumentError(
                f"{given('stride', self.stride)} is not a power of two. Give 1, 2, 4, 8 and so on, or 0."
            )
        named = (self.text_column, self.label_column, self.series_column)
        if len(set(named)) < len(named):
            raise ArgumentError(f"text_column, label_column and series_column are {named}: name three columns.")

    def read(self, path: Path | str) -> Labelled:
        return read_labelled.read(path, self._columns, True, self.table_format)

    def read_inputs(self, path: Path | str) -> Labelled:
        return read_labelled.read(path, self._columns, False, self.table_format)

    def from_text(self, text: str, state: State) -> Labelled:
        return Labelled(read_files.require_texts([text], "text"), None)

    @property
    def _columns(self) -> read_labelled.LabelledColumns:
        return read_labelled.LabelledColumns(self.text_column, self.label_column, self.series_column)

    def _has_linear_path(self, data: Labelled) -> bool:
        return data.is_text and len(data.sequences) < self.linear_below

    def split(self, data: Labelled) -> tuple[Labelled, Labelled]:
        """Holds out the same fraction of each label, so that none is missing from the training part.

        Where that is less than one example of any label, one of some labels is held out.
        """
        assert data.labels is not None
        generator = np.random.default_rng(self.seed)
        shuffled = [
            generator.permutation([i for i, other in enumerate(data.labels) if other == label])
            for label in sorted(set(data.labels))
        ]
        chosen = {int(i) for indices in shuffled for i in indices[: int(len(indices) * self.validation)]}
        if not chosen:  # few of each label: one of some
            spare = [int(indices[0]) for indices in shuffled if len(indices) > 1]
            chosen = {*generator.permutation(spare)[: math.ceil(len(data.labels) * self.validation)].tolist()}
        return data.part([i for i in range(len(data.labels)) if i not in chosen]), data.part(sorted(chosen))

    def learn_state(self, data: Labelled) -> State:
        labels = sorted(set(data.labels or ()))
        if len(labels) < 2:
            raise DataError(f"the data have {len(labels)} class: {labels}. A classifier needs two or more.")
        state: State = {"labels": labels}
        if self.class_weight:
            state["weights"] = weights.of_labels(self.class_weight, data, labels)
        if data.is_text:
            tokenizer = vocabulary.learn(data.sequences, self.unit, self.tokens)  # type: ignore[arg-type]
            state["tokenizer"] = vocabulary.to_state(tokenizer)
            found = ngrams.learned(data.texts) if self._has_linear_path(data) else None
            return state if found is None else {**state, "ngrams": found}
        series: list[NDArray[Any]] = [np.asarray(each)[: self.longest] for each in data.sequences]
        if len(widths := sorted({each.shape[1] for each in series})) > 1:
            raise DataError(f"series have {widths} features. Give all the same number.")
        longest = max(map(len, series))
        return {**state, "features": list(data.features), "longest": longest, **statistics.learned_scales(series)}

    def examples(self, data: Labelled, state: State) -> list[Example]:
        if not len(data.sequences):
            return []
        self._require_same_kind(data, state)
        read = self._texts(data, state) if data.is_text else self._series(data, state)
        labels, importance = _numbers(data, state), _importance(data, state)
        return [
            each._replace(label=label, weight=weight)
            for each, label, weight in zip(read, labels, importance, strict=True)
        ]

    def _require_same_kind(self, data: Labelled, state: State) -> None:
        if len(data.sequences) and data.is_text != ("tokenizer" in state):
            raise DataError(
                f"the data are {'texts' if data.is_text else 'series'}, but training was on "
                f"{'texts' if 'tokenizer' in state else 'series'}. Give the kind of the training data."
            )

    def _texts(self, data: Labelled, state: State) -> Iterator[Example]:
        encodings = vocabulary.from_state(state["tokenizer"]).encode_batch(data.texts)
        tokens = [torch.tensor(ids or [1]) for ids in cut([each.ids for each in encodings], self.longest, "texts")]
        if "ngrams" not in state:
            return map(Example, tokens)
        counted = ngrams.encoded(self._as_far_as_read(data.texts, encodings), state["ngrams"], self.dtype)
        return (Example(ids, ngrams=found) for ids, found in zip(tokens, counted, strict=True))

    def _as_far_as_read(self, texts: Sequence[str], encodings: Sequence[Encoding]) -> list[str]:
        """The texts up to the last token that is read."""
        return [
            text if len(each) <= self.longest else text[: each.offsets[self.longest - 1][1]]
            for text, each in zip(texts, encodings, strict=True)
        ]

    def _series(self, data: Labelled, state: State) -> Iterator[Example]:
        width, order = len(state["mean"]), _order(data.features, state["features"])
        for sequence in data.sequences:
            if (given := np.shape(sequence)[1]) != width:
                raise DataError(f"a series has {given} features; training had {width}. Give the same ones.")
        for sequence in cut(data.sequences, self.longest, "series"):
            series = np.asarray(sequence)[:, order]
            steps = torch.from_numpy(statistics.scaled_steps(series, state, self.normalize))
            whole = torch.from_numpy(statistics.scaled_statistics(series, state["statistics"]))
            yield Example(steps.to(self.dtype), statistics=whole.to(self.dtype))

    def passes(self, model: nn.Module) -> int:
        return 0 if linear_path.of(model) is None else linear_path.PASSES

    def length(self, example: Example) -> int:
        return len(example[0])

    def collate(self, examples: Sequence[Example]) -> Batch:
        sequences, lengths = padded([example.sequence for example in examples])
        whole = [example.statistics for example in examples if example.statistics is not None]
        counted = [example.ngrams for example in examples if example.ngrams is not None]
        return {
            "sequences": sequences,
            "lengths": lengths,
            "statistics": torch.stack(whole) if whole else None,
            "ngrams": ngrams.batched(counted) if counted else None,
            "labels": torch.tensor([example.label for example in examples]),
            "weights": torch.tensor([example.weight for example in examples], dtype=self.dtype),
        }

    def build(self, state: State) -> ClassifyNetwork:
        count = len(state["labels"])
        if "tokenizer" in state:
            tokens = vocabulary.from_state(state["tokenizer"]).get_vocab_size()
            pooling: Pooling = "last" if self.pooling == "auto" else self.pooling
            inputs = Inputs(tokens, self.embedding, ngrams=len(state["ngrams"]["names"]) if "ngrams" in state else 0)
            return ClassifyNetwork(self.recurrent, inputs, count, pooling, 0, 1)
        width = len(state["mean"]) * statistics.scales(self.normalize)
        inputs = Inputs(0, width, 2 * len(state["statistics"]["mean"]))
        pooling = "all" if self.pooling == "auto" else self.pooling
        stride = self.stride or fitting_stride(state["longest"])
        return ClassifyNetwork(self.recurrent, inputs, count, pooling, self.filters, stride)

    def start(self, model: nn.Module, state: State, data: Labelled) -> None:
        """Finds the weights of the linear path, unless an earlier training has. The GRU's changes count in full."""
        if (path := linear_path.of(model)) is not None:
            path.share.fill_(1.0)  # an earlier training may have left less
            if linear_path.keep(path):
                return
            rows, folds = ngrams.matrix(data.texts, state["ngrams"]), ngrams.folds(data.texts)
            linear_path.fit(path, rows, _numbers(data, state), _importance(data, state), folds)

    def finish(self, model: nn.Module, state: State, validation: Labelled | None) -> None:
        """Chooses how much of the GRU's changes counts."""
        if (path := linear_path.of(model)) is None:
            return
        path.share.fill_(linear_path.USUAL)
        if validation is not None:
            found = linear_path.losses(path, lambda: self.score(model, state, validation)["cross_entropy"])
            path.share.fill_(linear_path.chosen_share(found, len(validation.sequences)))

    def follow(self, model: nn.Module, first: nn.Module) -> None:
        """Takes over how much of the GRU's changes counts."""
        path, known = linear_path.of(model), linear_path.of(first)
        if path is not None and known is not None:
            path.share.copy_(known.share)

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        losses = F.cross_entropy(_scores(model, batch), batch["labels"], reduction="none")
        return Loss((losses * batch["weights"]).sum(), len(losses))

    def _probabilities(self, model: nn.Module, state: State, data: Labelled) -> tuple[Tensor, Tensor]:
        """The probabilities (N, K) of the labels, and the true labels (N,)."""
        examples = self.examples(data, state)
        rows = answers(self, examples, lambda batch: _scores(model, batch).softmax(-1))
        return torch.stack(rows), torch.tensor([example.label for example in examples])

    def score(self, model: nn.Module, state: State, data: Labelled) -> dict[str, float]:
        probabilities, labels = self._probabilities(model, state, data)
        count = len(state["labels"])
        return {
            "accuracy": float(multiclass_accuracy(probabilities, labels, count, average="micro")),
            "macro_f1": float(multiclass_f1_score(probabilities, labels, count, average="macro")),
            "cross_entropy": float(F.nll_loss(probabilities.clamp_min(1e-30).log(), labels)),
        }

    def predict(
        self, model: nn.Module, state: State, data: Labelled, best: int = 0, probabilities: bool = True
    ) -> pd.DataFrame:
        """The keys of the data, the most probable label, and the probability of each label; or the `best` labels.

        Raises:
            ArgumentError: for more labels than were learned.
        """
        shares, _ = self._probabilities(model, state, replace(data, labels=None))
        if best:
            return ranked(data.keys, state["labels"], shares.numpy(), best, ANSWER)
        likeliest = [state["labels"][index] for index in shares.argmax(-1).tolist()]
        table = pd.DataFrame(shares.numpy(), columns=_columns(state["labels"]))
        table.insert(0, ANSWER, likeliest)
        return read_table.beside(data.keys, table if probabilities else table[[ANSWER]])

    def plots(self, model: nn.Module, state: State, data: Labelled, part: str) -> dict[str, Figure]:
        probabilities, labels = self._probabilities(model, state, data)
        names = [str(label) for label in state["labels"]]
        counts = multiclass_confusion_matrix(probabilities, labels, len(state["labels"])).double().numpy()
        title = f"classify: labels of the {len(labels):,} sequences of the {part}"
        return {"confusion": confusion(counts, names, "label", title)}


def _scores(model: nn.Module, batch: Batch) -> Tensor:
    whole = () if batch["statistics"] is None else (batch["statistics"],)  # texts have none
    path = {} if linear_path.of(model) is None else {"ngrams": batch["ngrams"]}
    scores: Tensor = model(batch["sequences"], batch["lengths"], *whole, **path)
    return scores


def _numbers(data: Labelled, state: State) -> list[int]:
    """The numbers of the labels; zeros for prediction."""
    if data.labels is None:
        return [0] * len(data.sequences)
    numbers = {label: number for number, label in enumerate(state["labels"])}
    if unknown := [label for label in data.labels if label not in numbers]:
        raise DataError(
            f"label {unknown[0]!r} is not among the learned ones: {', '.join(map(str, numbers))}. Train again with it."
        )
    return [numbers[label] for label in data.labels]


def _importance(data: Labelled, state: State) -> list[float]:
    """How much each of the data counts in the loss."""
    shares = state.get("weights")
    own = [1.0] * len(data.sequences) if data.weights is None else data.weights
    return [
        weight * (shares[label] if shares else 1.0) for weight, label in zip(own, _numbers(data, state), strict=True)
    ]


def _columns(labels: Sequence[read_labelled.Label]) -> list[read_labelled.Label]:
    """Column names for the probabilities: the labels, except one equal to the name of the answer column."""
    taken, found = {ANSWER, *map(str, labels)}, list(labels)
    for index, label in enumerate(labels):
        if label == ANSWER:
            name = f"probability of {label}"
            while name in taken:
                name = f"probability of {name}"
            found[index] = name
    return found


def _order(names: Sequence[str], learned: Sequence[str]) -> Sequence[int] | slice:
    """The positions of the learned features among the given ones."""
    if not names or not learned:
        return slice(None)
    if missing := [name for name in learned if name not in names]:
        raise DataError(f"the column {missing[0]!r} of the training data is missing. Found: {', '.join(names)}.")
    if new := [name for name in names if name not in learned]:
        raise DataError(
            f"the column {new[0]!r} is not in the training data, which had {', '.join(learned)}. Remove it."
        )
    return [names.index(name) for name in learned]
