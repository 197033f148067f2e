"""One run of one program in one way, in a process of its own: `worker PROGRAM MODE THREADS ROUND RESULT.json`."""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import json
import random
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import torch

# The last bit of a float32, relative to its value: two correct GRUs differ by as much.
_NUDGE = 2.0**-23


class Counter:
    """How often torch's operator and our layer were called."""

    def __init__(self, seed):
        self.torch = self.fastgru = 0
        self._signs = torch.Generator().manual_seed(seed)

    def watch_operator(self, nudge):
        """Counts the calls of torch's operator, ours included; with `nudge`, turns the last bits of its results.

        Call it before fastgru is imported, which keeps a name of its own for the operator.
        """
        operator = torch._VF.gru

        def counting(*arguments):
            self.torch += 1
            results = operator(*arguments)
            return tuple(self._nudged(result) for result in results) if nudge else results

        torch._VF.gru = counting

    def watch_layer(self, layer):
        """Counts the calls of a class of layers."""
        forward = layer.forward

        def counting(*arguments, **named):
            self.fastgru += 1
            return forward(*arguments, **named)

        layer.forward = counting

    def _nudged(self, result):
        # From its own generator, so that the program's random numbers stay the same.
        signs = torch.randint(0, 2, result.shape, generator=self._signs, dtype=result.dtype) * 2 - 1
        return result * (1 + _NUDGE * signs)


def way(mode, counter):
    """Prepares a mode. Returns a context for the whole program, and a function for its model."""
    counter.watch_operator(nudge=mode == "nudged")
    if mode in ("stock", "nudged"):
        return contextlib.nullcontext(), lambda model: None
    import fastgru

    counter.watch_layer(fastgru.GRU)
    if mode == "patch":
        return fastgru.patch(), lambda model: None
    return contextlib.nullcontext(), fastgru.replace_gru


def timed(call):
    """The seconds that a call takes, and its result."""
    start = time.perf_counter()
    returned = call()
    return time.perf_counter() - start, returned


def run(name, mode, seed):
    """Imports, builds, trains and predicts, all inside the mode's context: the import too must see the patch."""
    counter = Counter(seed)
    context, change = way(mode, counter)
    with context:
        module = importlib.import_module(f"programs.{name}")
        random.seed(1)
        np.random.seed(1)
        torch.manual_seed(1)
        program = module.make()
        change(program.model)
        fit, _ = timed(program.fit)
        loss = program.loss()
        predict, predictions = timed(program.predict)
    return {
        "fit": fit,
        "predict": predict,
        "loss": loss,
        "calls": {"torch": counter.torch, "fastgru": counter.fastgru},
        "predictions": [float(value) for value in predictions],
    }


def main():
    """Writes the result, and the versions of the packages."""
    name, mode, threads, seed, path = sys.argv[1:]
    torch.set_num_threads(int(threads))
    warnings.simplefilter("ignore")
    result = run(name, mode, int(seed))
    packages = {name.replace("_", "-"), "torch"}
    result["versions"] = {package: importlib.metadata.version(package) for package in sorted(packages)}
    Path(path).write_text(json.dumps(result))


if __name__ == "__main__":
    main()
