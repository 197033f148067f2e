"""Our layer: as it comes, frozen, and as a stepper."""

from __future__ import annotations

import functools

import torch

import fastgru
from libraries import torch_gru

VERSIONS = {"fastgru": fastgru.__version__}

make = functools.partial(torch_gru.make, layer_class=fastgru.GRU)
make_frozen = functools.partial(make, freeze=True)


def make_stepper(case, weights, x, d_output, threads):
    """A call of a stepper, which goes on from its last state, and the results of a first one."""
    torch.set_num_threads(threads)
    stepper = torch_gru.layer_of(case, weights, fastgru.GRU).stepper(case.batch)
    x = torch.from_numpy(x[0])

    def results():
        stepper.reset()
        return {"output": stepper(x).numpy()[None]}

    return (lambda: stepper(x)), results
