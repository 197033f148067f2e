"""Several processes: distributed training and DataLoader workers."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import distributed, nn
from torch.utils.data import DataLoader, Dataset

from compatibility.models import Model, agree, learns
from compatibility.registry import NOT_ASKED, Entry, Library, capability, proved_by

HEADING = "Several processes"
SECONDS = 60


@contextmanager
def group_of_one() -> Iterator[None]:
    distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
    try:
        yield
    finally:
        distributed.destroy_process_group()


@capability("`DistributedDataParallel`, in a group of one process")
def trains_under_ddp(library: Library) -> None:
    with group_of_one():
        model = Model(library)
        want = learns(copy.deepcopy(model))
        agree(torch.tensor(learns(nn.parallel.DistributedDataParallel(model))), torch.tensor(want))


@capability("FSDP2 (`fully_shard`), in a group of one process")
def trains_under_fsdp(library: Library) -> None:
    from torch.distributed.fsdp import fully_shard

    with group_of_one():
        model = Model(library)
        want = learns(copy.deepcopy(model))
        mesh = distributed.init_device_mesh("cpu", (1,))
        fully_shard(model.gru, mesh=mesh)
        agree(torch.tensor(learns(fully_shard(model, mesh=mesh))), torch.tensor(want))


proved_by(
    __name__,
    "both, in two processes: the same as one process with whole batches",
    "tests/test_interop_distributed.py::test_two_processes_learn_what_one_does",
    stock=Entry(NOT_ASKED, "ours is compared with it, in one process"),
)


class Outputs(Dataset):
    """What a layer makes of each sequence."""

    def __init__(self, layer: nn.Module, xs: torch.Tensor) -> None:
        self.layer, self.xs = layer, xs

    def __len__(self) -> int:
        return len(self.xs)

    def __getitem__(self, index: int) -> torch.Tensor:
        with torch.no_grad():
            return self.layer(self.xs[index])[0]


@capability("workers of a `DataLoader`, forked after the parent has used the layer on several threads")
def serves_forked_workers(library: Library) -> None:
    data = Outputs(library.GRU(32, 64), torch.randn(4, 20, 8, 32))
    want = torch.stack(list(data))
    options = {"num_workers": 2, "multiprocessing_context": "fork", "timeout": SECONDS}
    agree(torch.cat(list(DataLoader(data, batch_size=2, **options))), want)
