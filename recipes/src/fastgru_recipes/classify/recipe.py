"""Classification of texts and multivariate series: a bidirectional GRU, and a linear layer on its final states.

    input (B, T) -> embedding, or (B, T, F) scaled -> bidirectional GRU -> h_n of both directions -> linear -> labels

Sequences of different lengths share a batch: the layer takes `lengths`, and does not read padding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics.functional.classification import multiclass_accuracy, multiclass_confusion_matrix, multiclass_f1_score

from fastgru.errors import ArgumentError
from fastgru_recipes import plots, read_files, read_table, scaling
from fastgru_recipes.classify import read_labelled
from fastgru_recipes.classify.network import ClassifyNetwork
from fastgru_recipes.classify.read_labelled import Labelled
from fastgru_recipes.errors import DataError
from fastgru_recipes.file_options import TableOptions
from fastgru_recipes.recipe import Batch, Example, Loss, Recipe, State, option
from fastgru_recipes.text import vocabulary
from fastgru_recipes.training.batching import answers, cut, padded

if TYPE_CHECKING:
    from matplotlib.figure import Figure


ANSWER = "label"  # the first column of predictions


@dataclass(frozen=True, kw_only=True)
class Classify(TableOptions, Recipe[Labelled]):
    """A label for each text or multivariate series."""

    name: ClassVar[str] = "classify"
    metric: ClassVar[str] = "accuracy"
    higher_is_better: ClassVar[bool] = True
    advice: ClassVar[str] = (
        "Try more steps, a smaller hidden size with more dropout, or more examples; or use the baseline."
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
    dropout: float = option(0.2, "Probability of zeroing an element of the inputs and final states.", least=0, most=1)

    def __post_init__(self) -> None:
        super().__post_init__()
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

    def split(self, data: Labelled) -> tuple[Labelled, Labelled]:
        """Holds out the same fraction of each label, so that none is missing from the training part."""
        assert data.labels is not None
        generator = np.random.default_rng(self.seed)
        held_out: list[int] = []
        for label in sorted(set(data.labels)):
            indices = generator.permutation([i for i, other in enumerate(data.labels) if other == label])
            held_out.extend(indices[: int(len(indices) * self.validation)].tolist())
        chosen = set(held_out)
        return data.part([i for i in range(len(data.labels)) if i not in chosen]), data.part(sorted(chosen))

    def learn_state(self, data: Labelled) -> State:
        labels = sorted(set(data.labels or ()))
        if len(labels) < 2:
            raise DataError(f"the data have {len(labels)} class: {labels}. A classifier needs two or more.")
        if data.is_text:
            tokenizer = vocabulary.learn(data.sequences, self.unit, self.tokens)  # type: ignore[arg-type]
            return {"labels": labels, "tokenizer": vocabulary.to_state(tokenizer)}
        if len(widths := sorted({np.shape(series)[1] for series in data.sequences})) > 1:
            raise DataError(f"series have {widths} features. Give all the same number.")
        steps = np.concatenate(data.sequences, dtype=np.float64)  # sums in float32 would drift
        return {
            "labels": labels,
            "features": list(data.features),
            "mean": steps.mean(0).tolist(),
            "deviation": scaling.deviation(steps).tolist(),
        }

    def examples(self, data: Labelled, state: State) -> list[Example]:
        sequences = self._tensors(data, state)
        if data.labels is None:
            return [(sequence, 0) for sequence in sequences]
        numbers = {label: number for number, label in enumerate(state["labels"])}
        if unknown := [label for label in data.labels if label not in numbers]:
            raise DataError(
                f"label {unknown[0]!r} is not among the learned ones: {', '.join(map(str, numbers))}. "
                "Train again with it."
            )
        return [(sequence, numbers[label]) for sequence, label in zip(sequences, data.labels, strict=True)]

    def _tensors(self, data: Labelled, state: State) -> list[Tensor]:
        if not len(data.sequences):
            return []
        if data.is_text != ("tokenizer" in state):
            raise DataError(
                f"the data are {'texts' if data.is_text else 'series'}, but training was on "
                f"{'texts' if 'tokenizer' in state else 'series'}. Give the kind of the training data."
            )
        if data.is_text:
            tokenizer = vocabulary.from_state(state["tokenizer"])
            encodings = tokenizer.encode_batch(list(data.sequences))
            return [torch.tensor(ids or [1]) for ids in cut([each.ids for each in encodings], self.longest, "texts")]
        mean, deviation = np.array(state["mean"]), np.array(state["deviation"])
        order = _order(data.features, state["features"])
        for sequence in data.sequences:
            if np.shape(sequence)[1:] != mean.shape:
                raise DataError(
                    f"a series has {np.shape(sequence)[1]} features; training had {mean.size}. Give the same ones."
                )
        scaled = (
            (np.asarray(sequence)[:, order] - mean) / deviation
            for sequence in cut(data.sequences, self.longest, "series")
        )
        return [torch.from_numpy(sequence).to(self.dtype) for sequence in scaled]

    def length(self, example: Example) -> int:
        return len(example[0])

    def collate(self, examples: Sequence[Example]) -> Batch:
        sequences, lengths = padded([sequence for sequence, _ in examples])
        return {"sequences": sequences, "lengths": lengths, "labels": torch.tensor([label for _, label in examples])}

    def build(self, state: State) -> ClassifyNetwork:
        tokens = vocabulary.from_state(state["tokenizer"]).get_vocab_size() if "tokenizer" in state else 0
        inputs = self.embedding if tokens else len(state["mean"])
        return ClassifyNetwork(self.recurrent, tokens=tokens, inputs=inputs, labels=len(state["labels"]))

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        scores = model(batch["sequences"], batch["lengths"])
        return Loss(F.cross_entropy(scores, batch["labels"], reduction="sum"), len(scores))

    def _probabilities(self, model: nn.Module, state: State, data: Labelled) -> tuple[Tensor, Tensor]:
        """The probabilities (N, K) of the labels, and the true labels (N,)."""
        examples = self.examples(data, state)
        rows = answers(self, examples, lambda batch: model(batch["sequences"], batch["lengths"]).softmax(-1))
        return torch.stack(rows), torch.tensor([label for _, label in examples])

    def score(self, model: nn.Module, state: State, data: Labelled) -> dict[str, float]:
        probabilities, labels = self._probabilities(model, state, data)
        count = len(state["labels"])
        return {
            "accuracy": float(multiclass_accuracy(probabilities, labels, count, average="micro")),
            "macro_f1": float(multiclass_f1_score(probabilities, labels, count, average="macro")),
            "cross_entropy": float(F.nll_loss(probabilities.clamp_min(1e-30).log(), labels)),
        }

    def predict(self, model: nn.Module, state: State, data: Labelled) -> pd.DataFrame:
        """The keys of the data, a column `label` with the most probable label, and the probability of each label."""
        probabilities, _ = self._probabilities(model, state, replace(data, labels=None))
        likeliest = [state["labels"][index] for index in probabilities.argmax(-1).tolist()]
        table = pd.DataFrame(probabilities.numpy(), columns=_columns(state["labels"]))
        table.insert(0, ANSWER, likeliest)
        return read_table.beside(data.keys, table)

    def plots(self, model: nn.Module, state: State, data: Labelled) -> dict[str, Figure]:
        probabilities, labels = self._probabilities(model, state, data)
        names = [str(label) for label in state["labels"]]
        counts = multiclass_confusion_matrix(probabilities, labels, len(state["labels"])).double().numpy()
        return {"confusion": plots.matrix(counts, names, names, ("true label", "predicted label"))}


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
