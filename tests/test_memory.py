"""The peak memory of a training step against torch.nn.GRU, each in its own process."""

from __future__ import annotations

import sys

import pytest

import processes
from tolerance import GROWTH_BYTES

CODE = """
import resource, sys
import torch, fastgru
layers, bidirectional, steps, batch, hidden = map(int, sys.argv[2:])
kind = {"torch": torch.nn.GRU, "fastgru": fastgru.GRU}[sys.argv[1]]
layer = kind(hidden, hidden, layers, bidirectional=bool(bidirectional))
layer(torch.randn(2, 2, hidden))[0].sum().backward()  # code and libraries are loaded
x = torch.randn(steps, batch, hidden, requires_grad=True)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for _ in range(2):
    output, h_n = layer(x)
    (output.square().mean() + h_n.sum()).backward()
print(1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before))
"""


def peak_bytes(kind, *sizes):
    return int(processes.run([sys.executable, "-c", CODE, kind, *map(str, sizes)], check=True).stdout)


@pytest.mark.parametrize(
    "sizes",
    [
        (1, 0, 400, 64, 64),
        (1, 0, 100, 64, 256),
        (1, 0, 3000, 1, 128),
        (1, 0, 100, 128, 100),
        (2, 1, 100, 64, 128),
    ],
    ids=lambda sizes: "L{} bi{} T{} B{} H{}".format(*sizes),
)
def test_a_training_step_takes_no_more_memory_than_torchs(sizes):
    ours, torchs = peak_bytes("fastgru", *sizes), peak_bytes("torch", *sizes)
    assert ours <= torchs + GROWTH_BYTES


def test_a_graph_that_outlives_the_program_says_nothing():
    code = """
import torch, fastgru
output, _ = fastgru.GRU(64, 64)(torch.randn(100, 32, 64))  # what it saves comes from the core's pool
"""
    done = processes.run([sys.executable, "-c", code], check=True)
    assert done.stderr == ""
