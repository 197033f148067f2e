"""The same bits at all levels that have fused multiply-adds: of outputs, and of all gradients."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import fastgru
from fastgru.levels import use_level
from strategies import batches, dtypes, seeds, sizes

# The baseline of x86 rounds products before they are added.
LEVELS = [level.name for level in fastgru.cpu_info() if level.available and level.name != "baseline"]
pytestmark = pytest.mark.skipif(len(LEVELS) < 2, reason="this machine has one level with fused multiply-adds")

# Beside the edges of tiles: widths whose number of vectors of 2, 4, 8 and 16 lanes is odd, and wider than a piece of
# the sums.
hidden_sizes = st.one_of(sizes, st.sampled_from((57, 65, 72, 100, 130, 136, 200)))


@dataclass
class Training:
    """A layer, and what it is called with."""

    layer: fastgru.GRU
    x: Tensor
    h_0: Tensor
    reset_state: Tensor
    options: dict[str, Tensor | list[int]]

    def results(self) -> list[Tensor]:
        """Output, last state, and the gradients of everything."""
        leaves = [self.x, self.h_0, *self.layer.parameters()]
        options = dict(self.options)
        if "reset" in options:
            options["reset_state"] = self.reset_state
            leaves.append(self.reset_state)
        output, h_n = self.layer(self.x, self.h_0, **options)
        return [output, h_n, *torch.autograd.grad(output.sin().sum() + h_n.cos().sum(), leaves)]


@st.composite
def trainings(draw: st.DrawFn) -> Training:
    """Any layer of either kind, with or without lengths, resets and recomputing."""
    dtype, hidden, width, batch = draw(dtypes), draw(hidden_sizes), draw(sizes), draw(batches)
    layers, both, steps = draw(st.integers(1, 2)), draw(st.booleans()), draw(st.integers(1, 70))
    own = st.lists(st.integers(0, steps), min_size=batch, max_size=batch)
    torch.manual_seed(draw(seeds))
    layer = fastgru.GRU(width, hidden, layers, bidirectional=both, dtype=dtype, reset_after=draw(st.booleans()))
    layer.recompute = draw(st.booleans())
    x = torch.randn(steps, batch, width, dtype=dtype, requires_grad=True)
    states = torch.randn(2, layers * (1 + both), batch, hidden, dtype=dtype)
    options: dict[str, Tensor | list[int]] = {}
    if draw(st.booleans()):
        options["lengths"] = draw(own)
    if draw(st.booleans()):
        options["reset"] = torch.rand(steps, batch) < 0.2
    return Training(layer, x, *(state.requires_grad_() for state in states.clone().unbind()), options)


def unequal(training: Training) -> list[int]:
    """Which of the results differ between two levels, by position."""
    results = []
    for level in LEVELS:
        with use_level(level):
            results.append(training.results())
    first, *others = results
    return [i for other in others for i, (a, b) in enumerate(zip(first, other, strict=True)) if not torch.equal(a, b)]


@settings(max_examples=40)
@given(trainings(), st.integers(1, 2))
def test_levels_do_not_matter(training, threads):
    torch.set_num_threads(threads)
    different = unequal(training)
    torch.set_num_threads(2)
    assert different == []


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("hidden", "batch"), [(24, 70), (40, 300), (104, 33), (264, 5)])
@pytest.mark.parametrize("reset_after", [True, False])
def test_levels_do_not_matter_over_several_chunks(dtype, hidden, batch, reset_after):
    torch.manual_seed(hidden)
    layer = fastgru.GRU(9, hidden, 2, bidirectional=True, dtype=dtype, reset_after=reset_after)
    x, states = torch.randn(60, batch, 9, dtype=dtype), torch.randn(2, 4, batch, hidden, dtype=dtype)
    h_0, reset_state = (state.clone().requires_grad_() for state in states)
    assert unequal(Training(layer, x.requires_grad_(), h_0, reset_state, {})) == []


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("reset_after", [True, False])
def test_levels_do_not_matter_where_a_gradient_is_infinite(dtype, reset_after):
    torch.manual_seed(0)
    layer = fastgru.GRU(3, 9, dtype=dtype, reset_after=reset_after)
    x = torch.randn(4, 5, 3, dtype=dtype, requires_grad=True)
    results = []
    for level in LEVELS:
        with use_level(level):
            output, _ = layer(x)
            seed = torch.zeros_like(output)
            seed[3, 1, 2] = torch.inf
            results.append(torch.autograd.grad(output, x, seed)[0])
    assert not results[0].isfinite().all()
    for other in results[1:]:
        torch.testing.assert_close(other, results[0], rtol=0, atol=0, equal_nan=True)
