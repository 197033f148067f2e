"""The layer in other processes: DataLoader workers, children after a fork, children that share its weights."""

from __future__ import annotations

import pytest
import torch
from torch import multiprocessing as torch_multiprocessing
from torch.utils.data import DataLoader, Dataset

import fastgru
from layer_pairs import everything

pytestmark = pytest.mark.filterwarnings("ignore:.*use of fork\\(\\) may lead to deadlocks:DeprecationWarning")
SECONDS = 60


def large_layer():
    """Enough work for all threads of the core's pool, which must not be waited for in a child."""
    return fastgru.GRU(32, 128, 2, bidirectional=True)


class Features(Dataset):
    """Sequences, each with all that a layer makes of it."""

    def __init__(self, layer, xs):
        self.layer, self.xs = layer, xs

    def __len__(self):
        return len(self.xs)

    def __getitem__(self, index):
        with torch.no_grad():
            output, _ = self.layer(self.xs[index])
        return {"x": self.xs[index], "output": output, **everything(self.layer, self.xs[index])}


class Collate:
    """Goes over a batch of sequences with the layer once more."""

    def __init__(self, layer):
        self.layer = layer

    def __call__(self, samples):
        x = torch.cat([sample["x"] for sample in samples], 1)
        with torch.no_grad():
            return {"whole batch": self.layer(x)[0], **samples[0]}


def test_workers_of_a_loader_use_a_layer_that_the_parent_has_used():
    layer = large_layer()
    data, collate = Features(layer, [torch.randn(30, 16, 32) for _ in range(4)]), Collate(layer)
    want = list(DataLoader(data, batch_size=2, collate_fn=collate))  # the parent's pool of threads has worked
    loader = DataLoader(
        data,
        batch_size=2,
        collate_fn=collate,
        num_workers=2,
        multiprocessing_context="fork",
        persistent_workers=True,
        timeout=SECONDS,
    )
    for _ in range(2):
        for got, expected in zip(loader, want, strict=True):
            assert got.keys() == expected.keys()
            assert all(torch.equal(got[name], expected[name]) for name in expected)
        again = everything(layer, data.xs[0])  # the parent's threads go on working
        assert all(torch.equal(again[name], want[0][name]) for name in again)


def in_a_child(method, work, *args):
    """What a function returns in a child process, which is ended in any case."""
    context = torch_multiprocessing.get_context(method)
    receiving, sending = context.Pipe(duplex=False)
    child = context.Process(target=send, args=(sending, work, *args))
    child.start()
    sending.close()
    try:
        assert receiving.poll(SECONDS), f"the child has not answered within {SECONDS} seconds"
        answer = receiving.recv()
        child.join(SECONDS)
        assert child.exitcode == 0
        return answer
    finally:
        child.kill()


def send(sending, work, *args):
    sending.send({name: t.numpy() for name, t in work(*args).items()})  # by value, not in shared memory
    sending.close()


def assert_equal(got, want):
    assert got.keys() == want.keys()
    assert all((got[name] == t.numpy()).all() for name, t in want.items())


def infer(layer, x):
    with torch.no_grad():
        output, h_n = layer(x)
    return {"output": output, "h_n": h_n}


def train_in_place(layer, x):
    """Steps on parameters that lie in memory shared with the parent."""
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        layer(x)[0].square().sum().backward()
        optimizer.step()
    return infer(layer, x)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_child_trains_weights_in_shared_memory(method):
    """As in Hogwild: the parent's next call computes with what the child has written."""
    layer = fastgru.GRU(4, 8, 2, batch_first=True)
    x = torch.randn(3, 5, 4)
    before = infer(layer, x)
    assert layer.share_memory() is layer
    assert all(p.is_shared() for p in layer.parameters())
    assert_equal(in_a_child("fork", infer, layer, x), before)
    told = in_a_child(method, train_in_place, layer, x)
    after = infer(layer, x)
    assert_equal(told, after)
    assert not torch.equal(after["output"], before["output"])


def gradients(layer, x, outer):
    """Nothing but the layer's own work: torch's parallel operators, its GRU's among them, hang after a fork."""
    wanted = dict(layer.named_parameters())
    return dict(zip(wanted, torch.autograd.grad(layer(x)[0], list(wanted.values()), outer), strict=True))


def test_gradients_after_a_fork():
    layer, x, outer = large_layer(), torch.randn(30, 16, 32), torch.randn(30, 16, 256)
    want = gradients(layer, x, outer)
    assert_equal(in_a_child("fork", gradients, layer, x, outer), want)
    assert_equal({name: t.numpy() for name, t in gradients(layer, x, outer).items()}, want)


def test_a_frozen_layer_after_a_fork():
    layer, x = large_layer().freeze(), torch.randn(30, 16, 32)
    want = infer(layer, x)
    assert_equal(in_a_child("fork", infer, layer, x), want)
    assert_equal({name: t.numpy() for name, t in infer(layer, x).items()}, want)
