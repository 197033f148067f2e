"""Batches: shuffled by epoch, of similar lengths, the same whatever the number of processes."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, distributed
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader, Dataset, Sampler

from fastgru_recipes import interruption
from fastgru_recipes.errors import CutWarning
from fastgru_recipes.recipe import Batch, Data, Recipe

# Batches whose examples are sorted by length together: enough that a batch has little padding, few enough that
# batches differ from epoch to epoch.
POOL = 32

# Numbers that training may keep of one batch, by the estimate of `Recipe.size`: 2 GB in float32.
LARGEST_BATCH = 2**29


class Batches(Sampler[list[int]]):
    """Indices of the examples of each batch, this process's share of them.

    The order depends on seed and epoch alone: a run that goes on in epoch 5 sees the batches that it would have seen,
    and two processes of half a batch each see together what one process sees. A share may be empty.

    Args:
        lengths: steps of each example; similar ones come together.
        size: examples of a batch.
        seed: of the order.
        shuffle: whether the order is another one in each epoch.
        numbers: kept of each example in training. Padding makes all of a batch as large as its largest; a batch that
            would be larger than `LARGEST_BATCH` is halved, until one example is left.
    """

    def __init__(
        self, lengths: Sequence[int], size: int, seed: int, shuffle: bool, numbers: Sequence[int] | None = None
    ) -> None:
        self.lengths, self.size, self.seed, self.shuffle = torch.as_tensor(lengths), size, seed, shuffle
        self.numbers = torch.as_tensor([0] * len(lengths) if numbers is None else numbers)
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Lightning calls this at the start of each epoch."""
        self.epoch = epoch

    def _order(self) -> list[Tensor]:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
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

    def __iter__(self) -> Iterator[list[int]]:
        rank, processes = _place()  # asked late: Lightning joins the processes after it was given the batches
        for batch in self._order():
            yield batch[rank::processes].tolist()

    def __len__(self) -> int:
        return len(self._order())


def _place() -> tuple[int, int]:
    """This process's number, and how many there are."""
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1


EMPTY = "is_empty"


def counts(batch: Batch) -> bool:
    """Whether a batch is of examples of its own; else it is there because every process must take part in each step."""
    return EMPTY not in batch


class _Collated(Dataset[Batch]):
    """Examples that are asked for by the list."""

    def __init__(self, recipe: Recipe[Any], examples: Sequence[Any]) -> None:
        self.recipe, self.examples = recipe, examples

    def __getitem__(self, indices: list[int]) -> Batch:  # a whole batch at once
        batch = self.recipe.collate([self.examples[index] for index in indices or [0]])
        return batch if indices else {**batch, EMPTY: True}


def loader(recipe: Recipe[Data], examples: Sequence[Any], shuffle: bool = False) -> DataLoader[Batch]:
    """Batches of `recipe.batch` examples, or of fewer that are long."""
    lengths, numbers = ([of(example) for example in examples] for of in (recipe.length, recipe.size))
    batches = Batches(lengths, recipe.batch, recipe.seed, shuffle, numbers)
    # The generator, because iterating would else take a number from torch's own, which dropout draws from.
    return DataLoader(_Collated(recipe, examples), batch_size=None, sampler=batches, generator=torch.Generator())


def answers(recipe: Recipe[Data], examples: Sequence[Any], call: Callable[[Batch], Iterable[Any]]) -> list[Any]:
    """What `call` makes of each example, in the order of the examples, without gradients."""
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
    """Sequences (T_i, ...) as one tensor (B, T, ...) with `value` past each end, and their lengths (B,)."""
    lengths = torch.tensor([len(sequence) for sequence in sequences])
    return pad_sequence(list(sequences), batch_first=True, padding_value=value), lengths


def cut(sequences: Sequence[Any], steps: int, what: str) -> list[Any]:
    """The first steps of each sequence; a `CutWarning` says where there were more."""
    if long := [len(sequence) for sequence in sequences if len(sequence) > steps]:
        said = f"{len(long)} of {len(sequences)} {what} have more than {steps} steps, the longest {max(long)}: what is "
        warnings.warn(CutWarning(said + "beyond is not read. To read more, train with a larger steps."), stacklevel=2)
    return [sequence[:steps] for sequence in sequences]
