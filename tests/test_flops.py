"""Counters of floating-point operations count our layers like torch's."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.utils.rnn import pack_padded_sequence
from torch.utils.checkpoint import checkpoint
from torch.utils.flop_counter import FlopCounterMode

import fastgru
from layer_pairs import pair

T, B, F, H = 5, 3, 4, 6
STACKS = (
    {},
    {"bias": False},
    {"bidirectional": True},
    {"num_layers": 3, "bidirectional": True, "batch_first": True},
)
every_stack = pytest.mark.parametrize("options", STACKS, ids=str)
# Which parameters learn.
LEARNING = {
    "all": lambda name: True,
    "none": lambda name: False,
    "biases": lambda name: name.startswith("bias"),
    "the first recurrence": lambda name: name == "weight_hh_l0",
    "the last input": lambda name: name == "weight_ih_l2",
}


def count(call):
    with FlopCounterMode(display=False) as counter:
        call()
    return counter.get_total_flops()


def backward(results):
    """Of the sum of all results, where anything wants it."""
    total = sum(t.sum() for t in results)
    if total.requires_grad:
        total.backward()


def same(ours, stock, call):
    """Both counts are equal, and no counter is blind."""
    mine, torchs = count(lambda: call(ours)), count(lambda: call(stock))
    assert mine == torchs
    assert torchs > 0


@every_stack
@pytest.mark.parametrize("learning", LEARNING)
@pytest.mark.parametrize("wants", ["nothing", "input", "state"])
def test_a_training_step_counts_as_torchs(options, learning, wants):
    ours, stock = pair("GRU", F, H, **options)
    cells = stock.num_layers * (2 if stock.bidirectional else 1)
    x = torch.randn(T, B, F).requires_grad_(wants == "input")
    rows = T if stock.batch_first else B
    h_0 = None if wants == "nothing" else torch.randn(cells, rows, H).requires_grad_(wants == "state")
    for layer in (ours, stock):
        for name, parameter in layer.named_parameters():
            parameter.requires_grad_(LEARNING[learning](name))
    same(ours, stock, lambda layer: backward(layer(x, h_0)))


@every_stack
def test_inference_counts_as_torchs(options):
    ours, stock = pair("GRU", F, H, **options)
    x = torch.randn(T, B, F)
    with torch.no_grad():
        same(ours, stock, lambda layer: layer(x))
        same(ours, stock, lambda layer: layer(x[0]))
        same(ours.freeze(), stock, lambda layer: layer(x))


@pytest.mark.parametrize("options", [{}, {"bidirectional": True}, {"num_layers": 2, "bidirectional": True}], ids=str)
@pytest.mark.parametrize("lengths", [[5, 5, 2], [4, 4, 4], [2, 5, 1], [3, 1, 3]], ids=str)
def test_lengths_count_as_packed_sequences(options, lengths):
    ours, stock = pair("GRU", F, H, **options)
    x = torch.randn(T, B, F)
    packed = pack_padded_sequence(x, lengths, enforce_sorted=False)

    def run(layer):
        output, h_n = layer(packed)
        backward([output.data, h_n])

    same(ours, stock, run)
    assert count(lambda: backward(ours(x, lengths=lengths))) == count(lambda: run(stock))
    # An empty sequence is none.
    more = torch.cat([x, x[:, :1]], 1)
    assert count(lambda: backward(ours(more, lengths=[*lengths, 0]))) == count(lambda: run(stock))


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("shape", [(B,), ()])
def test_a_cell_counts_as_torchs(bias, shape):
    ours, stock = pair("GRUCell", F, H, bias=bias)
    x = torch.randn(*shape, F)
    same(ours, stock, lambda cell: cell(x))
    same(ours, stock, lambda cell: cell(x, cell(x)).sum().backward())


@pytest.mark.parametrize("part", [0, 1])
def test_half_of_the_results_counts_as_torchs(part):
    ours, stock = pair("GRU", F, H, 2)
    x = torch.randn(T, B, F)
    same(ours, stock, lambda layer: layer(x)[part][0].sum().backward())


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_other_types_count_as_torchs(dtype):
    ours, stock = pair("GRU", F, H, 2, dtype=dtype)
    x = torch.randn(T, B, F, dtype=dtype)
    same(ours, stock, lambda layer: backward(layer(x)))


def test_dropout_autocast_and_checkpoints_count_as_torchs():
    ours, stock = pair("GRU", F, H, 2, dropout=0.5)
    x = torch.randn(T, B, F)

    def under_autocast(layer):
        with torch.autocast("cpu"):
            results = layer(x)
        backward(results)

    same(ours, stock, lambda layer: backward(layer(x)))
    same(ours, stock, under_autocast)
    same(ours, stock, lambda layer: backward(checkpoint(layer, x, use_reentrant=False)))


def test_transforms_count_as_torchs():
    ours, stock = pair("GRU", F, H, 2)
    x, rows = torch.randn(T, B, F), torch.randn(7, T, B, F)

    def loss(parameters, layer):
        return torch.func.functional_call(layer, parameters, (x,))[0].sum()

    same(ours, stock, lambda layer: torch.func.grad(loss)(dict(layer.named_parameters()), layer))
    assert count(lambda: torch.vmap(lambda one: ours(one)[0])(rows)) == 7 * count(lambda: stock(x))


def test_without_values_counts_as_torchs():
    with FakeTensorMode():
        ours, stock = fastgru.GRU(F, H, 2), nn.GRU(F, H, 2)
        x = torch.randn(T, B, F)
        same(ours, stock, lambda layer: backward(layer(x)))
        # Padding counts where nobody knows the lengths.
        assert count(lambda: ours(x, lengths=torch.ones(B, dtype=torch.int64))) == count(lambda: stock(x))


def test_compiled_counts_as_torchs():
    ours, stock = pair("GRU", F, H)
    x = torch.randn(T, B, F)
    assert count(lambda: torch.compile(lambda x: ours(x), backend="eager")(x)) == count(lambda: stock(x))


def test_recomputation_inside_a_layer_is_no_work_of_the_model():
    ours, stock = pair("GRU", F, H)
    ours.recompute = True
    x = torch.randn(T, B, F)
    same(ours, stock, lambda layer: backward(layer(x)))


@pytest.mark.parametrize("options", [{}, {"num_layers": 2, "bidirectional": True}], ids=str)
def test_a_backward_pass_alone_counts_as_torchs(options):
    ours, stock = pair("GRU", F, H, **options)
    x = torch.randn(T, B, F)
    packed = pack_padded_sequence(x, [2, 5, 1], enforce_sorted=False)
    totals = {layer: [layer(x)[0].sum(), layer(packed)[0].data.sum()] for layer in (ours, stock)}
    for mine, torchs in zip(totals[ours], totals[stock], strict=True):
        assert count(mine.backward) == count(torchs.backward) > 0
    ragged = ours(x, lengths=[2, 5, 1])[0].sum()
    again = stock(packed)[0].data.sum()
    assert count(ragged.backward) == count(again.backward)


def test_a_module_gets_its_own_count():
    model = nn.Sequential(fastgru.GRU(F, H))
    with FlopCounterMode(display=False) as counter:
        model(torch.randn(T, B, F))
    assert sum(counter.get_flop_counts()["Sequential.0"].values()) == counter.get_total_flops() > 0
