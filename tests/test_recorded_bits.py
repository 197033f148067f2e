"""Hashes of outputs, states and gradients, recorded once: every level with fused multiply-adds must give them.

The core's own grid, of 900 cases, is `csrc/tools/bits.cpp` (scripts/guards, scripts/emulate-arm). This one goes through
the public layers, the runtime and autograd. To record anew: PYTHONPATH=tests python tests/test_recorded_bits.py
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch

import fastgru
import graphs
from fastgru.levels import cpu_info, use_level
from fastgru.runtime import Model

RECORDED = Path(__file__).parent / "recorded_bits.json"
LEVELS = [level.name for level in cpu_info() if level.available and level.name != "baseline"]
TYPES = {"float32": torch.float32, "float64": torch.float64}
SIZES = [(1, 1, 1, 1), (5, 20, 7, 3), (33, 100, 4, 9), (64, 64, 12, 2), (3, 250, 3, 5), (16, 33, 40, 1)]


def numbers(random, *shape):
    """Exact fractions: the same on every machine."""
    return (random.integers(-4096, 4096, shape) / 4096).astype(np.float64)


def filled(module, random):
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.from_numpy(numbers(random, *parameter.shape) * 0.3))
    return module


def of(*arrays):
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]


def trained(module, x):
    """Everything that a training step gives."""
    x = x.requires_grad_()
    outputs = module(x)
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    loss = sum(
        (output * torch.arange(output.numel(), dtype=x.dtype).view_as(output) / output.numel()).sum()
        for output in outputs
    )
    loss.backward()
    results = [*outputs, x.grad, *(parameter.grad for parameter in module.parameters())]
    return of(*(result.detach().numpy() for result in results))


def layer_case(sizes, options, dtype):
    inputs, hidden, steps, batch = sizes
    random = np.random.default_rng(hidden)
    layer = filled(fastgru.GRU(inputs, hidden, dtype=TYPES[dtype], **options), random)
    return trained(layer, torch.from_numpy(numbers(random, steps, batch, inputs)).to(TYPES[dtype]))


def rows_case(kind, dtype):
    random = np.random.default_rng(5)
    module = kind().to(TYPES[dtype])
    filled(module, random)
    return trained(module, torch.from_numpy(numbers(random, 37, 20) * 4).to(TYPES[dtype]))


def model_case(make, dtype):
    graph = make(3, dtype)
    drawn = np.random.default_rng(0)
    graph = graphs.with_parameters(graph, lambda shape: (numbers(drawn, *shape) * 0.4).astype(dtype))
    sizes, fed = {"T": 9, "B": 4}, {}
    for port in graph.inputs:
        shape = [port.size if axis == "F" else sizes[axis] for axis in port.axes]
        fed[port.name] = (
            drawn.integers(0, graph.index_limits[port.name], shape)
            if port.size is None
            else numbers(drawn, *shape).astype(dtype)
        )
    output, state = Model(graph).run(fed)
    return of(*(output.values() if isinstance(output, dict) else [output]), *state.values())


OPTIONS = [{}, {"num_layers": 2, "bidirectional": True}, {"reset_after": False}, {"bias": False, "batch_first": True}]
KINDS = {
    "linear": lambda: fastgru.Linear(20, 33),
    "layer norm": lambda: fastgru.LayerNorm(20),
    "perceptron": lambda: (
        fastgru.replace(
            torch.nn.Sequential(
                torch.nn.Linear(20, 40), torch.nn.GELU(), torch.nn.Linear(40, 9), torch.nn.LogSoftmax(-1)
            ),
            linear=True,
        ).model
    ),
}
CASES = {
    f"{dtype} {name}": (call, dtype)
    for dtype in TYPES
    for name, call in {
        **{
            f"gru {sizes} {options}": lambda dtype, sizes=sizes, options=options: layer_case(sizes, options, dtype)
            for sizes in SIZES
            for options in OPTIONS
        },
        **{name: lambda dtype, kind=kind: rows_case(kind, dtype) for name, kind in KINDS.items()},
        **{
            make.__name__: lambda dtype, make=make: model_case(make, dtype)
            for make in (graphs.tagger, graphs.denoiser, graphs.policy)
        },
    }.items()
}  # fmt: skip


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", CASES)
def test_the_bits_are_the_recorded_ones(name, level):
    call, dtype = CASES[name]
    with use_level(level):
        assert call(dtype) == json.loads(RECORDED.read_text())[name]


if __name__ == "__main__":
    RECORDED.write_text(json.dumps({name: call(dtype) for name, (call, dtype) in CASES.items()}, indent=0) + "\n")
