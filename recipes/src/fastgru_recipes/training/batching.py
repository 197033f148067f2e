"""Batches of examples of similar length, shuffled each epoch, independent of the number of processes."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, distributed
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader, Dataset, Sampler

from fastgru_recipes import interruption
from fastgru_recipes.dropout import Rows
from fastgru_recipes.errors import CutWarning
from fastgru_recipes.option_names import named
from fastgru_recipes.recipe import Batch, Data, Recipe

# The number of batches whose examples are sorted by length together: enough for little padding, and few enough that
# batches differ between epochs.
POOL = 32

# How many numbers training may keep for one batch, estimated by `Recipe.size`: 2 GB in float32.
LARGEST_BATCH = 2**29


class Share(list[int]):
    """The indices of the examples that this process has of a batch.

    Attributes:
        rows: which examples of the batch they are.
    """

    def __init__(self, batch: Tensor, rank: int, processes: int) -> None:
        super().__init__(batch[rank::processes].tolist())
        self.rows = Rows(len(batch), rank, processes)


class Batches(Sampler[Share]):
    """A sampler of the indices of each batch: this process's part of them.

    The order depends only on seed and epoch. So a run that is resumed in epoch 5 gets the batches of an uninterrupted
    run, and two processes with half a batch each get together the batches of one process. A part may be empty.

    Args:
        lengths: the number of steps of each example.
        size: the number of examples in a batch.
        seed: the seed of the order.
        shuffle: whether each epoch has another order.
        numbers: how many numbers training keeps for each example. Padding makes all examples of a batch as large as the
            largest one. A batch that would be larger than `LARGEST_BATCH` is halved until it fits or has one example.
        steps: the number of batches of an epoch, which then has several passes over the examples, or a part of one.
            0: one pass.
    """

    def __init__(
        self,
        lengths: Sequence[int],
        size: int,
        seed: int,
        shuffle: bool,
        numbers: Sequence[int] | None = None,
        steps: int = 0,
    ) -> None:
        self.lengths, self.size, self.seed, self.shuffle = torch.as_tensor(lengths), size, seed, shuffle
        self.numbers = torch.as_tensor([0] * len(lengths) if numbers is None else numbers)
        self.steps, self.epoch = steps, 0

    def set_epoch(self, epoch: int) -> None:
        """Lightning calls this at the start of each epoch."""
        self.epoch = epoch

    def _order(self) -> list[Tensor]:
        """The batches of this epoch."""
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        batches = self._pass(generator)
        while len(batches) < self.steps:
            batches += self._pass(generator)
        return batches[: self.steps or None]

    def _pass(self, generator: torch.Generator) -> list[Tensor]:
        """Batches that have each example once."""
        count = len(self.lengths)
        order = torch.randperm(count, generator=generator) if self.shuffle else torch.arange(count)
        pools: tuple[Tensor, ...] = torch.split(order, self.size * POOL)
        batches = [
            part
            for pool in pools
            for batch in torch.split(pool[self.lengths[pool].argsort(stable=True)], self.size)
            for part in self._divided(batch)
        ]
        if not self.shuffle:
            return batches
        return [batches[index] for index in torch.randperm(len(batches), generator=generator).tolist()]

    def _divided(self, batch: Tensor) -> Iterator[Tensor]:
        if len(batch) < 2 or len(batch) * int(self.numbers[batch].max()) <= LARGEST_BATCH:
            yield batch
            return
        for half in batch.tensor_split(2):
            yield from self._divided(half)

    def __iter__(self) -> Iterator[Share]:
        rank, processes = _place()  # here, because Lightning joins the processes after it has got the batches
        for batch in self._order():
            yield Share(batch, rank, processes)

    def __len__(self) -> int:
        return len(self._order())


def _place() -> tuple[int, int]:
    """The rank of this process, and the number of processes."""
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1


EMPTY, ROWS = "is_empty", "rows"


def counts(batch: Batch) -> bool:
    """Whether a batch counts. An empty one exists only because all processes must take part in each step."""
    return EMPTY not in batch


class _Collated(Dataset[Batch]):
    """A dataset whose items are batches, indexed by lists of examples."""

    def __init__(self, recipe: Recipe[Any], examples: Sequence[Any]) -> None:
        self.recipe, self.examples = recipe, examples

    def __getitem__(self, indices: Share) -> Batch:  # a whole batch at once
        batch = self.recipe.collate([self.examples[index] for index in indices or [0]])
        return {**batch, ROWS: indices.rows} if indices else {**batch, EMPTY: True}


def batch_size(recipe: Recipe[Any], count: int) -> int:
    """The examples of a batch: `recipe.batch`, or 32 with epochs, or about a fortieth of the examples, from 8 to 64."""
    by_count = min(64, max(8, 2 ** round(math.log2(max(1, count / 40)))))
    return recipe.batch or (32 if recipe.epochs else by_count)


def loader(recipe: Recipe[Data], examples: Sequence[Any], shuffle: bool = False, steps: int = 0) -> DataLoader[Batch]:
    """A loader of batches of `recipe.batch` examples, or of fewer if they are long.

    `steps` batches are an epoch; 0: all examples are.
    """
    lengths, numbers = ([of(example) for example in examples] for of in (recipe.length, recipe.size))
    batches = Batches(lengths, batch_size(recipe, len(examples)), recipe.seed, shuffle, numbers, steps)
    # With its own generator: iterating would otherwise draw from torch's default one, which dropout uses.
    return DataLoader(_Collated(recipe, examples), batch_size=None, sampler=batches, generator=torch.Generator())


def answers(recipe: Recipe[Data], examples: Sequence[Any], call: Callable[[Batch], Iterable[Any]]) -> list[Any]:
    """The results of `call` for all examples, in their order, computed in batches without gradients."""
    if not len(examples):
        return []
    batches = loader(recipe, examples)
    found: list[Any] = [None] * len(examples)
    with torch.inference_mode():
        for indices, batch in zip(batches.sampler, batches, strict=True):
            interruption.check()
            for index, answer in zip(indices, call(batch), strict=True):
                found[index] = answer
    return found


def padded(sequences: Sequence[Tensor], value: float = 0) -> tuple[Tensor, Tensor]:
    """Pads sequences (T_i, ...) with `value` to one tensor (B, T, ...). Returns it and the lengths (B,)."""
    lengths = torch.tensor([len(sequence) for sequence in sequences])
    return pad_sequence(list(sequences), batch_first=True, padding_value=value), lengths


def cut(sequences: Sequence[Any], steps: int, what: str, option: str = "longest") -> list[Any]:
    """The first `steps` steps of each sequence, with a `CutWarning` that names the `option` if some are longer."""
    if long := [len(sequence) for sequence in sequences if len(sequence) > steps]:
        said = (
            f"{len(long)} of {len(sequences)} {what} have more than {steps} steps, the longest {max(long)}: the rest "
        )
        warnings.warn(
            CutWarning(f"{said}is not read. To read more, train with a larger value of {named(option)}."), stacklevel=2
        )
    return [sequence[:steps] for sequence in sequences]
