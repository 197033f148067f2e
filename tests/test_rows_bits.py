"""Row-wise operations have the same bits whatever the batch, the threads and the level with fused multiply-adds."""

from __future__ import annotations

import hashlib
import os
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import fastgru
import processes
from fastgru import functional
from fastgru.levels import use_level
from strategies import dtypes, seeds

# The baseline of x86 rounds products before they are added.
LEVELS = [level.name for level in fastgru.cpu_info() if level.available and level.name != "baseline"]
widths = st.sampled_from((1, 2, 3, 7, 8, 15, 16, 17, 31, 33, 48, 65, 100, 129, 200, 257))
heights = st.one_of(st.integers(1, 20), st.sampled_from((33, 127, 128, 129, 300, 513, 700)))
threads = st.integers(1, 3)


def model_of(features, hidden, dtype):
    """All functions one after another."""
    return nn.Sequential(
        fastgru.Linear(features, hidden, dtype=dtype),
        fastgru.LayerNorm(hidden, dtype=dtype),
        *[kind(**{"dim": -1} if "Softmax" in stock.__name__ else {}) for stock, kind in all_classes()],
        fastgru.Linear(hidden, features, bias=False, dtype=dtype),
    )


def all_classes():
    from fastgru.nn import activations

    return activations.CLASSES.items()


def results(model, x):
    x = x.detach().requires_grad_()
    y = model(x)
    return [y, *torch.autograd.grad(y.sum() + (y * y).sum(), [x, *model.parameters()])]


@pytest.mark.skipif(len(LEVELS) < 2, reason="this machine has one level with fused multiply-adds")
@settings(max_examples=40)
@given(heights, widths, widths, dtypes, threads, seeds)
def test_levels_and_threads_do_not_matter(rows, features, hidden, dtype, count, seed):
    torch.manual_seed(seed)
    model, x = model_of(features, hidden, dtype), torch.randn(rows, features, dtype=dtype)
    found = []
    for level in LEVELS:
        for own in (1, count):
            torch.set_num_threads(own)
            with use_level(level):
                found.append(results(model, x))
    torch.set_num_threads(2)
    for other in found[1:]:
        assert [i for i, (a, b) in enumerate(zip(found[0], other, strict=True)) if not torch.equal(a, b)] == []


@pytest.mark.usefixtures("level")
@settings(max_examples=30)
@given(heights, widths, widths, dtypes, seeds)
def test_the_other_rows_do_not_matter(rows, features, hidden, dtype, seed):
    torch.manual_seed(seed)
    model, x = model_of(features, hidden, dtype), torch.randn(rows, features, dtype=dtype)
    y, d_x, *_ = results(model, x)
    for cut in {0, rows // 3, rows - 1}:
        for piece in (slice(cut, cut + 1), slice(0, cut + 1)):
            own = results(model, x[piece])
            assert torch.equal(own[0], y[piece])
            assert torch.equal(own[1], d_x[piece])


def test_time_and_batch_are_rows_alike():
    x = torch.randn(7, 5, 20)
    layer, norm = fastgru.Linear(20, 30), fastgru.LayerNorm(20)
    for module in (layer, norm):
        y = module(x)
        assert torch.equal(module(x.transpose(0, 1)), y.transpose(0, 1))
        assert torch.equal(torch.stack([module(step) for step in x]), y)


def test_a_softmax_over_any_dimension_is_that_over_the_last():
    x = torch.randn(3, 4, 5)
    assert torch.equal(functional.softmax(x, 1), functional.softmax(x.transpose(1, 2), -1).transpose(1, 2))


CODE = """
import hashlib, torch
import sys; sys.path.insert(0, {tests!r})
from test_rows_bits import digest
print(digest())
"""


def digest():
    """Of the results of a few models, in a process of its own."""
    torch.manual_seed(5)
    total = hashlib.sha256()
    for rows, features, hidden in ((1, 7, 33), (40, 65, 48), (200, 30, 129)):
        for dtype in (torch.float32, torch.float64):
            weight = (torch.arange(hidden * features, dtype=dtype) % 19 - 9).view(hidden, features) / 7
            x = (torch.arange(rows * features, dtype=dtype) % 23 - 11).view(rows, features) / 9
            y = functional.softmax(functional.gelu(functional.linear(x, weight)), -1)
            total.update(functional.layer_norm(y, (hidden,)).numpy().tobytes())
    return total.hexdigest()


@pytest.mark.skipif(len(LEVELS) < 2, reason="this machine has one level with fused multiply-adds")
def test_processes_at_other_levels_and_threads_agree():
    found = set()
    for level in LEVELS:
        for count in ("1", "2"):
            environment = {**os.environ, "FASTGRU_ISA": level, "OMP_NUM_THREADS": count}
            code = CODE.format(tests=os.path.dirname(__file__))
            found.add(processes.run([sys.executable, "-c", code], env=environment, check=True).stdout)
    assert len(found) == 1
