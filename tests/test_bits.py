"""The guarantee of the same bits at one level, for any threads, other sequences in the batch, and chunks."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.utils.rnn import pack_sequence, unpack_sequence

import fastgru
from fastgru.levels import use_level
from strategies import batches, dtypes, lengths, long_lengths, seeds, sizes, steps

kinds = st.booleans()  # reset_after
LEVELS = [level.name for level in fastgru.cpu_info() if level.available]
every_level = pytest.mark.parametrize("level", LEVELS)
# Large enough for several threads and for sharing hidden units between them.
wide = st.sampled_from((8, 33, 64, 128, 160, 256))


def equal(a, b):
    return torch.equal(a.nan_to_num(), b.nan_to_num()) and a.shape == b.shape


@every_level
@settings(max_examples=20)
@given(dtypes, sizes, wide, steps, batches, st.booleans(), kinds, seeds)
def test_threads_do_not_matter(level, dtype, input_size, hidden, count, batch, bidirectional, kind, seed):
    torch.manual_seed(seed)
    layer = fastgru.GRU(input_size, hidden, 2, bidirectional=bidirectional, dtype=dtype, reset_after=kind)
    x = torch.randn(4 * count, batch, input_size, dtype=dtype, requires_grad=True)
    found = []
    with use_level(level):
        for threads in (1, 2, 3, 4):
            torch.set_num_threads(threads)
            output, h_n = layer(x)
            gradients = torch.autograd.grad(output.sin().sum() + h_n.sum(), [x, *layer.parameters()])
            with torch.no_grad():
                quiet = layer(x)
            found.append([output, h_n, *gradients, *quiet])
    torch.set_num_threads(2)
    for other in found[1:]:
        assert all(equal(a, b) for a, b in zip(found[0], other, strict=True))
    assert equal(found[0][0], found[0][-2])  # and neither does it matter whether gradients are wanted
    assert equal(found[0][1], found[0][-1])


@every_level
@settings(max_examples=20)
@given(dtypes, sizes, st.sampled_from((4, 16, 20, 32, 64)), st.integers(2, 9), st.integers(1, 3), kinds, seeds)
def test_threads_do_not_matter_to_stacks_of_few_rows(level, dtype, input_size, hidden, layers, batch, kind, seed):
    torch.manual_seed(seed)
    layer = fastgru.GRU(input_size, hidden, layers, dtype=dtype, reset_after=kind)
    x = torch.randn(100, batch, input_size, dtype=dtype)
    h_0 = torch.randn(layers, batch, hidden, dtype=dtype)
    found = []
    with use_level(level), torch.no_grad():
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            found += [layer(x, h_0) for _ in range(3)]  # the first may find threads asleep, and so use none
        state, outputs = h_0, []
        for piece in x.split(17):
            output, state = layer(piece, state)
            outputs.append(output)
    torch.set_num_threads(2)
    found.append((torch.cat(outputs), state))
    for output, h_n in found[1:]:
        assert equal(output, found[0][0])
        assert equal(h_n, found[0][1])


@every_level
@settings(max_examples=20)
@given(dtypes, sizes, wide, steps, batches, st.booleans(), kinds, seeds)
def test_neighbours_in_the_batch_do_not_matter(
    level, dtype, input_size, hidden, count, batch, bidirectional, kind, seed
):
    torch.manual_seed(seed)
    layer = fastgru.GRU(input_size, hidden, bidirectional=bidirectional, dtype=dtype, reset_after=kind)
    x = torch.randn(count, batch, input_size, dtype=dtype)
    h_0 = torch.randn(2 if bidirectional else 1, batch, hidden, dtype=dtype)
    order = torch.randperm(batch)
    with use_level(level), torch.no_grad():
        output, h_n = layer(x, h_0)
        for row in range(batch):
            alone, last = layer(x[:, row : row + 1], h_0[:, row : row + 1])
            assert equal(alone[:, 0], output[:, row])
            assert equal(last[:, 0], h_n[:, row])
        shuffled, last = layer(x[:, order], h_0[:, order])
    assert equal(shuffled, output[:, order])
    assert equal(last, h_n[:, order])


@every_level
@settings(max_examples=20)
@given(dtypes, sizes, st.one_of(sizes, wide), st.one_of(lengths, long_lengths), st.booleans(), kinds, seeds)
def test_a_ragged_batch_gives_what_each_sequence_gives_alone(
    level, dtype, input_size, hidden, own, bidirectional, kind, seed
):
    torch.manual_seed(seed)
    layer = fastgru.GRU(input_size, hidden, 2, bidirectional=bidirectional, dtype=dtype, reset_after=kind)
    rows = [torch.randn(n, input_size, dtype=dtype) for n in own]
    with use_level(level), torch.no_grad():
        packed, h_n = layer(pack_sequence(rows, enforce_sorted=False))
        for i, (row, output) in enumerate(zip(rows, unpack_sequence(packed), strict=True)):
            alone, last = layer(row)
            assert equal(alone, output)
            assert equal(last, h_n[:, i])


@every_level
@settings(max_examples=20)
@given(
    dtypes, sizes, st.one_of(sizes, wide), batches, st.lists(st.integers(1, 7), min_size=1, max_size=6), kinds, seeds
)
def test_cuts_in_time_do_not_matter(level, dtype, input_size, hidden, batch, pieces, kind, seed):
    torch.manual_seed(seed)
    layer = fastgru.GRU(input_size, hidden, 2, dtype=dtype, reset_after=kind)
    x = torch.randn(sum(pieces), batch, input_size, dtype=dtype)
    with use_level(level), torch.no_grad():
        whole, last = layer(x)
        for cuts in (pieces, [1] * len(x)):
            state, outputs = None, []
            for piece in x.split(cuts):
                output, state = layer(piece, state)
                outputs.append(output)
            assert equal(torch.cat(outputs), whole)
            assert equal(state, last)


@every_level
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("batch", [4, 5, 8, 9, 16, 17, 40, 128, 129])
@pytest.mark.parametrize("reset_after", [True, False])
def test_one_step_of_many_rows_gives_what_each_row_gives(level, batch, dtype, reset_after):
    layer = fastgru.GRU(33, 272, bidirectional=True, dtype=dtype, reset_after=reset_after)
    x = torch.randn(1, batch, 33, dtype=dtype, requires_grad=True)
    h_0 = torch.randn(2, batch, 272, dtype=dtype, requires_grad=True)
    with use_level(level):
        for threads in (1, 2):
            torch.set_num_threads(threads)
            for _ in range(3):  # the first may find threads asleep, and so use none
                output, h_n = layer(x, h_0)
            d_x, d_h_0 = torch.autograd.grad(output.sin().sum() + h_n.sum(), [x, h_0])
            with torch.no_grad():
                assert equal(layer(x, h_0)[0], output)
            for row in (0, batch // 2, batch - 1):
                x_row, h_row = (t[:, row : row + 1].detach().requires_grad_() for t in (x, h_0))
                alone, last = layer(x_row, h_row)
                assert equal(alone[:, 0], output[:, row])
                assert equal(last[:, 0], h_n[:, row])
                own = torch.autograd.grad(alone.sin().sum() + last.sum(), [x_row, h_row])
                assert equal(own[0][:, 0], d_x[:, row])
                assert equal(own[1][:, 0], d_h_0[:, row])


@every_level
@pytest.mark.parametrize("reset_after", [True, False])
def test_a_cell_gives_what_the_layer_gives(level, reset_after):
    cell, layer = (kind(5, 40, reset_after=reset_after) for kind in (fastgru.GRUCell, fastgru.GRU))
    layer.load_state_dict({f"{name}_l0": value for name, value in cell.state_dict().items()})
    x, h = torch.randn(6, 3, 5), torch.zeros(3, 40)
    with use_level(level), torch.no_grad():
        output, _ = layer(x)
        for t in range(6):
            h = cell(x[t], h)
            assert equal(h, output[t])


def test_two_runs_give_the_same():
    layer, x = fastgru.GRU(33, 128, 2, bidirectional=True), torch.randn(30, 9, 33)
    runs = []
    for _ in range(5):
        output, _ = layer(x)
        runs.append([output, *torch.autograd.grad(output.square().sum(), list(layer.parameters()))])
    assert all(equal(a, b) for run in runs[1:] for a, b in zip(runs[0], run, strict=True))
