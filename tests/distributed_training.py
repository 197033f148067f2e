"""The program of each process of `test_interop_distributed.py`: `torchrun distributed_training.py FOLDER`.

Each way of training goes on a part of every batch; what came out is saved as FOLDER/RANK.pt, a dictionary by ways.
"""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.distributed import checkpoint as dcp
from torch.distributed.checkpoint import state_dict as sharded
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel
from torch.nn.utils.rnn import pack_padded_sequence

import fastgru

PROCESSES, ROWS, STEPS = 2, 4, 10


class Model(nn.Module):
    """Predicts a number from sequences; half of the rows are cut short, so that one layer meets ragged batches."""

    def __init__(self, kind: type[nn.Module], **options: object) -> None:
        super().__init__()
        self.gru = kind(3, 8, 2, batch_first=True, bidirectional=True, **options)
        self.ragged = kind(16, 4)
        self.head = nn.Linear(4, 1)

    def forward(self, x: Tensor) -> Tensor:
        states, _ = self.gru(x)
        lengths = torch.tensor([x.shape[1] - row % 2 for row in range(len(x))])
        packed = pack_padded_sequence(states, lengths, batch_first=True, enforce_sorted=False)
        return self.head(self.ragged(packed)[1][0])


def built(kind: type[nn.Module], **options: object) -> Model:
    """The same numbers in every process and for every kind."""
    torch.manual_seed(0)
    return Model(kind, **options).double()


def batches() -> list[tuple[Tensor, Tensor]]:
    """Inputs and targets of the steps, for all processes together."""
    numbers = torch.Generator().manual_seed(1)
    xs = [torch.randn(PROCESSES * ROWS, 5, 3, generator=numbers, dtype=torch.float64) for _ in range(STEPS)]
    return [(x, 1 + x.mean((1, 2)).sin()[:, None]) for x in xs]


def train(model: nn.Module, part: slice, accumulates: int = 1) -> list[Tensor]:
    """The losses of the steps on a part of each batch; it is taken in pieces where gradients are to accumulate."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.5)
    losses = []
    for x, target in batches():
        pieces = list(zip(x[part].chunk(accumulates), target[part].chunk(accumulates), strict=True))
        loss = torch.zeros((), dtype=torch.float64)
        for i, (own, wanted) in enumerate(pieces):
            is_last = i == len(pieces) - 1
            with contextlib.nullcontext() if is_last else model.no_sync():
                error = (model(own) - wanted).square().mean() / accumulates
                error.backward()
            loss += error.detach()
        losses.append(loss)
        optimizer.step()
        optimizer.zero_grad()
    return losses


def own_part() -> slice:
    return slice(dist.get_rank() * ROWS, (dist.get_rank() + 1) * ROWS)


def replicated(accumulates: int = 1, recompute: bool = False, **options: object) -> dict[str, Tensor]:
    """DistributedDataParallel."""
    model = built(fastgru.GRU, recompute=recompute)
    losses = train(DistributedDataParallel(model, **options), own_part(), accumulates)
    return outcome(losses, {name: p.detach() for name, p in model.named_parameters()})


def outcome(losses: list[Tensor], parameters: dict[str, Tensor]) -> dict[str, Tensor]:
    """The mean of all processes' losses, and the parameters."""
    total = torch.stack(losses)
    dist.all_reduce(total)
    return {"losses": total / PROCESSES, **parameters}


def shard(model: Model, layers: list[str], **options: object) -> Model:
    for name in layers:
        fully_shard(getattr(model, name), **options)
    return fully_shard(model, **options)


def fully_sharded(layers: list[str], **options: object) -> dict[str, Tensor]:
    """FSDP2, on the layers of these names and the model around them."""
    model = shard(built(fastgru.GRU), layers, **options)
    seen = []
    model.gru.register_forward_pre_hook(lambda layer, _: seen.append(kinds(layer)))
    assert kinds(model.gru) == {True}
    losses = train(model, own_part())
    assert seen == [{False}] * STEPS, "parameters were no plain tensors inside forward"
    assert kinds(model.gru) == {True}
    return outcome(losses, full(model))


def kinds(layer: nn.Module) -> set[bool]:
    """Whether the parameters are DTensors."""
    return {isinstance(p, DTensor) for p in layer.parameters()}


def full(model: nn.Module) -> dict[str, Tensor]:
    """All of the weights, in every process."""
    return {name: p.full_tensor().detach() for name, p in model.named_parameters()}


def passed_on_as_a_whole() -> dict[str, Tensor]:
    """The weights of a sharded model gathered on the first process, and given to another model from there."""
    options = sharded.StateDictOptions(full_state_dict=True, cpu_offload=True)
    model = shard(built(fastgru.GRU), ["gru"])
    losses = train(model, own_part())
    state = sharded.get_model_state_dict(model, options=options)
    assert bool(state) == (dist.get_rank() == 0)
    other = shard(Model(fastgru.GRU).double(), ["gru"])
    options.broadcast_from_rank0 = True
    sharded.set_model_state_dict(other, state, options=options)
    return outcome(losses, full(other))


def passed_on_in_files() -> dict[str, Tensor]:
    """The weights of a sharded model saved by each process, and loaded into one that is sharded otherwise."""
    model = shard(built(fastgru.GRU), ["gru"])
    losses = train(model, own_part())
    folder = Path(sys.argv[1]) / "checkpoint"
    dcp.save({"model": model.state_dict()}, checkpoint_id=folder)
    other = shard(Model(fastgru.GRU).double(), ["ragged"])
    state = other.state_dict()
    dcp.load({"model": state}, checkpoint_id=folder)
    other.load_state_dict(state)
    return outcome(losses, full(other))


WAYS = {
    "DDP": replicated,
    "DDP, static graph, gradients in buckets": lambda: replicated(static_graph=True, gradient_as_bucket_view=True),
    "DDP, gradients accumulated": lambda: replicated(accumulates=2),
    "DDP, gates computed again": lambda: replicated(recompute=True),
    "FSDP2 of the model": lambda: fully_sharded([]),
    "FSDP2 of the layers and the model": lambda: fully_sharded(["gru", "ragged"]),
    "FSDP2, weights kept after forward": lambda: fully_sharded(["gru"], reshard_after_forward=False),
    "FSDP2, passed on as a whole": passed_on_as_a_whole,
    "FSDP2, passed on in files": passed_on_in_files,
}


def main() -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    found = {way: run() for way, run in WAYS.items()}
    torch.save(found, Path(sys.argv[1]) / f"{dist.get_rank()}.pt")
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
