"""Layers in long-running programs: many threads, child processes, many calls."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
import traceback
from pathlib import Path

import pytest
import torch

import fastgru
import processes
from tolerance import GROWTH_BYTES


def run(layer, x):
    """A layer's output and the gradient of its sum."""
    x = x.detach().requires_grad_()
    output, _ = layer(x)
    (d_x,) = torch.autograd.grad(output.square().sum(), x)
    return output.detach(), d_x


@pytest.mark.parametrize("sizes", [(3, 5, 4, 2), (32, 64, 20, 8)], ids=str)
def test_eight_threads_share_a_layer(sizes):
    input_size, hidden_size, steps, batch = sizes
    layer = fastgru.GRU(input_size, hidden_size, 2, bidirectional=True)
    xs = [torch.randn(steps, batch, input_size) for _ in range(8)]
    want = [run(layer, x) for x in xs]
    wrong, start = [], threading.Barrier(8)

    def work(index):
        try:
            start.wait()
            for _ in range(30):
                got = run(layer, xs[index])
                if not all(torch.equal(a, b) for a, b in zip(got, want[index], strict=True)):
                    wrong.append(f"thread {index} got another result")
        except Exception:
            wrong.append(traceback.format_exc())

    threads = [threading.Thread(target=work, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def _in_child(layer, x, sending):
    with torch.no_grad():
        sending.send(layer(x)[0].numpy())
    sending.close()


@pytest.mark.filterwarnings("ignore:.*use of fork\\(\\) may lead to deadlocks:DeprecationWarning")
def test_use_after_fork():
    layer = fastgru.GRU(64, 128, 2)
    x = torch.randn(50, 32, 64)
    with torch.no_grad():
        want = layer(x)[0]  # the parent's pool of threads has worked before the fork
    context = multiprocessing.get_context("fork")
    receiving, sending = context.Pipe(duplex=False)
    child = context.Process(target=_in_child, args=(layer, x, sending))
    child.start()
    sending.close()
    try:
        assert receiving.poll(60), "the child has not answered within a minute"
        got = torch.from_numpy(receiving.recv())
        child.join(60)
        assert child.exitcode == 0
    finally:
        child.kill()
    assert torch.equal(got, want)
    with torch.no_grad():
        assert torch.equal(layer(x)[0], want)


def resident_bytes() -> int:
    """Memory of this process that is in use now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


def stream(layer, calls):
    x, h = torch.randn(1, 1, 16), None
    for _ in range(calls):
        _, h = layer(x, h)


def train(layer, calls):
    x = torch.randn(5, 2, 16)
    for _ in range(calls):
        layer.zero_grad()
        layer(x)[0].sum().backward()


def growth(work, calls, grad):
    """Bytes by which memory grows over that many calls, a tenth of them before for what is kept once."""
    layer = fastgru.GRU(16, 64, 2)
    with torch.set_grad_enabled(grad):
        work(layer, calls // 10)
        before = resident_bytes()
        work(layer, calls)
    return resident_bytes() - before


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads the memory from /proc")
@pytest.mark.parametrize("call", ["stream, 100_000, False", "train, 5_000, True"])
def test_memory_does_not_grow_over_many_calls(call):
    # In a process of its own: in one that has run other tests, the system moves their memory about meanwhile.
    program = f"from test_drop_in_endurance import growth, stream, train; print(growth({call}))"
    paths = Path(fastgru.__file__).parents[1], Path(__file__).parent
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, paths))}
    child = processes.run([sys.executable, "-c", program], env=environment)
    assert child.returncode == 0, child.stderr
    assert int(child.stdout) < GROWTH_BYTES
