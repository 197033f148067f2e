"""Scratch memory: the blocks that the pool keeps and releases, and errors when memory runs out."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.utils.rnn import pack_padded_sequence, pack_sequence

import fastgru
import processes
from fastgru import _core, errors

MB = 1 << 20
LARGE = 200 * MB  # beyond what the pool keeps of ordinary blocks
PATIENCE = 1000  # blocks that come back before a large one that nobody asked for is freed


@pytest.fixture(autouse=True)
def _without_poison_in_an_empty_pool():
    """Blocks of hundreds of MB are not to be touched, and those of other tests not to be counted."""
    _core.set_poison(False)
    with pytest.raises(errors.OutOfMemoryError):
        _core.Block(2**62)  # before it fails, all that waits is given back
    assert _core.pooled_bytes() == 0


def address(block):
    return np.frombuffer(block, np.uint8).ctypes.data


def idle(*sizes):
    """Takes blocks of these sizes in MB and gives them back in this order; the MB that wait in all then."""
    blocks = [_core.Block(size * MB) for size in sizes]
    while blocks:
        blocks.pop(0)
    return _core.pooled_bytes() // MB


def is_waiting(size):
    """Whether a block of so many MB comes from the pool."""
    before = _core.pooled_bytes()
    block = _core.Block(size * MB)
    return _core.pooled_bytes() == before - memoryview(block).nbytes


def test_the_block_that_waited_longest_goes_first():
    assert idle(4, 10, 28, 82) == 124
    assert is_waiting(4)  # used and given back: now the newest
    assert idle(120) == 244
    assert idle(40) == 246  # the blocks of 10 and of 28 went
    assert all(is_waiting(size) for size in (4, 82, 120, 40))
    assert not is_waiting(10)


def test_more_blocks_than_the_pool_keeps_push_out_the_oldest():
    sizes = [4, 10, 22, 46]
    assert idle(*sizes) == sum(sizes)
    _blocks = [_core.Block(1) for _ in range(16)]
    del _blocks
    assert not any(is_waiting(size) for size in sizes)


@pytest.mark.parametrize("size", [129, 200, 300])
def test_a_large_block_waits_for_the_next_step(size):
    block = _core.Block(size * MB)
    at = address(block)
    del block
    idle(4, 60, 100)  # other layers' blocks do not push it out
    block = _core.Block(size * MB)
    assert address(block) == at


def test_large_blocks_of_two_layers_both_wait():
    assert idle(140, 290) == 430
    assert is_waiting(140)
    assert is_waiting(290)


def test_a_large_block_that_nobody_asks_for_is_given_back():
    assert idle(200) == 200
    for _ in range(PATIENCE):
        _core.Block(1)
    assert _core.pooled_bytes() >= LARGE
    _core.Block(1)
    assert _core.pooled_bytes() < LARGE


def test_a_large_block_that_does_not_fit_makes_room():
    assert idle(200) == 200
    block = _core.Block(700 * MB)
    assert _core.pooled_bytes() < LARGE
    assert memoryview(block).nbytes == 700 * MB


@pytest.mark.parametrize("size", [2**64 - 1, 2**64 - (1 << 20), 2**63, 2**62])
def test_a_size_that_no_machine_has_is_refused(size):
    with pytest.raises(errors.OutOfMemoryError, match=f"you tried to allocate {size} bytes"):
        _core.Block(size)


def alone(code):
    """What a program prints that runs in a process of its own, with functions to lack memory."""
    code = f"import resource\nfrom fastgru import _core\nMB = 1 << 20\n{LACKING}\n{code}"
    paths = Path(fastgru.__file__).parents[1], Path(__file__).parent
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, paths))}
    # All that is larger than a MB goes back to the system once it is freed, and no room is reserved for threads.
    environment |= {"MALLOC_MMAP_THRESHOLD_": str(MB), "MALLOC_ARENA_MAX": "1"}
    command = [sys.executable, "-c", code]
    done = processes.run(command, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.split("\n")[:-1]


LACKING = """
def size():
    return int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()

class Lacking:
    "Inside, the process gets so many bytes and no more."
    def __init__(self, left):
        self.left = left
    def __enter__(self):
        resource.setrlimit(resource.RLIMIT_AS, (size() + self.left, resource.RLIM_INFINITY))
    def __exit__(self, *_):
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
"""
on_linux = pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="limits memory as glibc's is")


@on_linux
def test_what_waits_is_given_back_when_memory_is_lacking():
    code = """
_core.Block(100 * MB)
with Lacking(10 * MB):
    block = _core.Block(40 * MB)  # the one that waits is too large for this
    print(memoryview(block).nbytes // MB, _core.pooled_bytes())
"""
    assert alone(code) == ["40 0"]


@on_linux
def test_a_block_of_more_than_an_eighth_of_the_memory_is_not_kept():
    code = """
import os
memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGESIZE")
_core.Block(memory // 8 - 4 * MB)
print(_core.pooled_bytes() > memory // 9)
_core.Block(memory // 8 + 4 * MB)
print(_core.pooled_bytes())
"""
    assert alone(code) == ["True", "0"]


ENTRANCES = {
    "inference": lambda c: c.wide(c.x),
    "lengths": lambda c: c.wide(c.x, lengths=[1, 2]),
    "half": lambda c: c.half(c.x.bfloat16()),
    "packed sequence": lambda c: c.wide(c.packed),
    "cell": lambda c: c.cell(c.x[0]),
    "freezing": lambda c: c.wide.freeze(),
    "stepper": lambda c: c.wide.stepper(2),
    "a backend that was asked for": lambda c: asked(c.wide, c.x),
    "many models": lambda c: torch.vmap(c.model, in_dims=(0, None))(c.stacked, c.x),
    "training": lambda c: c.narrow(c.long),
    "training with lengths": lambda c: c.narrow(c.long, lengths=c.lengths),
    "training a packed sequence": lambda c: c.narrow(c.long_packed),
    "backward": lambda c: torch.autograd.grad(c.wide(c.x)[0].sum(), c.wide.bias_hh_l0),
}


def asked(layer, x):
    with fastgru.use_backend("cpu"):
        return layer(x)


class Calls:
    """What the entrances take: wide layers, whose weights are copied for a call, and long sequences."""

    def __init__(self):
        self.x, self.long = torch.randn(3, 2, 8), torch.randn(3000, 64, 8)
        self.lengths = [3000] * 63 + [2999]
        self.wide, self.cell, self.narrow = fastgru.GRU(8, 2048), fastgru.GRUCell(8, 2048), fastgru.GRU(8, 64)
        self.half = fastgru.GRU(8, 2048, dtype=torch.bfloat16)
        self.packed = pack_sequence([self.x[:, 0], self.x[:2, 1]])
        self.long_packed = pack_padded_sequence(self.long, self.lengths)
        parameters = dict(self.wide.named_parameters())
        self.stacked = {name: torch.stack([p.detach()] * 3) for name, p in parameters.items()}

    def model(self, parameters, x):
        return torch.func.functional_call(self.wide, parameters, x)[0]


def outcomes(lacking):
    """The class and the words of what each entrance raises where memory is lacking, after it has worked once."""
    torch.set_num_threads(1)
    calls, found = Calls(), {}
    for name, act in ENTRANCES.items():
        with torch.set_grad_enabled("training" in name or name == "backward"):
            act(calls)
            calls.wide.unfreeze()
            with contextlib.suppress(errors.OutOfMemoryError):
                _core.Block(2**62)  # empties the pool
            try:
                with lacking(24 * MB):
                    act(calls)
                found[name] = "nothing", ""
            except Exception as error:
                found[name] = type(error).__name__, str(error)
            act(calls)  # what failed has left nothing behind
            calls.wide.unfreeze()
    return found


@pytest.fixture(scope="module")
def told():
    code = "import json, test_scratch\nprint(json.dumps(test_scratch.outcomes(Lacking)))"
    return json.loads(alone(code)[0])


@on_linux
@pytest.mark.parametrize("entrance", ENTRANCES)
def test_a_call_that_gets_no_memory_raises_what_torch_raises(entrance, told):
    kind, text = told[entrance]
    assert kind == "OutOfMemoryError", text
    assert re.search(r"DefaultCPUAllocator: can't allocate memory: you tried to allocate \d{8,} bytes", text)
    assert "Pass fewer rows or steps at once" in text


def test_programs_find_it_as_torchs_or_as_pythons():
    assert issubclass(errors.OutOfMemoryError, RuntimeError)
    assert issubclass(errors.OutOfMemoryError, MemoryError)
    with pytest.raises(RuntimeError, match="DefaultCPUAllocator: can't allocate memory: you tried to allocate 2305843"):
        torch.empty(2**61 // 4, dtype=torch.int32)
