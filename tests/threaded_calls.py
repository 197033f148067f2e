"""Calls for programs in child processes: without torch, on the core's own threads, and with it, on its OpenMP's."""

from __future__ import annotations

import importlib
import os
from typing import Any

import numpy as np

LARGE = 50, 32  # steps and rows that are worth several threads


def threads() -> set[str]:
    """The threads of this process, by the numbers that the system gives them."""
    return set(os.listdir("/proc/self/task"))


class WithoutTorch:
    """A layer of NumPy arrays."""

    def __init__(self, hidden: int = 128) -> None:
        fastgru = importlib.import_module("fastgru")
        random = np.random.default_rng(0)
        shapes = fastgru.GRUSpec(hidden, hidden).parameter_shapes
        self.hidden, self.random = hidden, random
        self.weights = tuple(random.uniform(-0.1, 0.1, shape).astype(np.float32) for shape in shapes)
        core = importlib.import_module("fastgru._core")
        self.sizes = core.LayerSizes(hidden, hidden, 1, 1, True, "float32")

    def __call__(self, steps: int, rows: int, threads: int) -> bytes:
        """The bits of the output, by so many threads at most."""
        x = np.linspace(-1, 1, steps * rows * self.hidden, dtype=np.float32).reshape(steps, rows, self.hidden)
        output, h_n = np.empty_like(x), np.empty((1, rows, self.hidden), np.float32)
        nothing = None, None, None, None, False
        self.sizes.forward(x, None, self.weights, *nothing, None, False, threads, (output, h_n, None))
        return output.tobytes()


class WithTorch:
    """A layer as users call it."""

    def __init__(self, hidden: int = 128) -> None:
        self.torch: Any = importlib.import_module("torch")
        self.torch.manual_seed(0)
        self.torch.set_num_threads(2)  # starts a thread of torch's own
        self.hidden = hidden
        self.layer = importlib.import_module("fastgru").GRU(hidden, hidden)

    def __call__(self, steps: int, rows: int, threads: int) -> bytes:
        """The bits of the output, by so many threads at most."""
        self.torch.set_num_threads(threads)
        x = np.linspace(-1, 1, steps * rows * self.hidden, dtype=np.float32).reshape(steps, rows, self.hidden)
        with self.torch.inference_mode():
            return self.layer(self.torch.from_numpy(x))[0].numpy().tobytes()


LIBRARIES = {"numpy": WithoutTorch, "torch": WithTorch}


def in_a_child(act: Any) -> bool:
    """Whether what the function tells in a forked child is true; a child that waits for ever is ended by its alarm."""
    import signal

    child = os.fork()
    if child == 0:
        signal.alarm(60)
        os._exit(0 if act() else 1)
    return os.waitpid(child, 0)[1] == 0
