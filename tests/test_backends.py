"""Every backend, entry point of the core, dtype and level against the reference in float64."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils.rnn import pack_sequence

import fastgru
from fastgru import GRUSpec
from strategies import laid_out, layouts, seeds
from tolerance import assert_agrees
from ways import CORE_DOORS, LONG_WAYS, WAYS, Call, check, numbers, packed_calls, padded_calls

every_way = pytest.mark.parametrize(("door", "level"), WAYS)
every_long_way = pytest.mark.parametrize(("door", "level"), LONG_WAYS)


def check_seeded(door, level, call, seed):
    torch.manual_seed(seed)
    if door == "aten":  # which refuses these
        call = call._replace(with_reset=False, spec=call.spec._replace(reset_after=True))
    check(door, level, call)


@every_way
@settings(max_examples=25)
@given(padded_calls(), seeds)
def test_conforms_to_the_reference(door, level, call, seed):
    check_seeded(door, level, call, seed)


@every_long_way
@settings(max_examples=15)
@given(packed_calls(), seeds)
def test_packed_conforms_to_the_reference(door, level, call, seed):
    check_seeded(door, level, call, seed)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize(("door", "level"), [way for way in WAYS if way[0] in CORE_DOORS])
@settings(max_examples=10)
@given(padded_calls(), seeds)
def test_half_precision_conforms_to_the_reference(door, level, dtype, call, seed):
    check_seeded(door, level, call._replace(dtype=dtype), seed)


@pytest.mark.slow
@every_way
@settings(max_examples=400)
@given(padded_calls(), seeds)
def test_many_more_conform_to_the_reference(door, level, call, seed):
    check_seeded(door, level, call, seed)


@pytest.mark.slow
@every_long_way
@settings(max_examples=400)
@given(packed_calls(), seeds)
def test_many_more_packed_conform_to_the_reference(door, level, call, seed):
    check_seeded(door, level, call, seed)


@every_way
@pytest.mark.parametrize(
    ("spec", "shape"),
    [
        (GRUSpec(1, 1), (1, 1)),
        (GRUSpec(64, 128), (5, 1)),  # hidden units shared between threads
        (GRUSpec(40, 144, 2, True, True), (3, 2)),
        (GRUSpec(17, 512), (4, 9)),
        (GRUSpec(9, 20), (700, 3)),  # several chunks of steps
        (GRUSpec(300, 33), (2, 70)),
    ],
)
@pytest.mark.parametrize("reset_after", [True, False])
def test_sizes_that_reach_every_plan(door, level, spec, shape, reset_after):
    if door == "aten" and not reset_after:
        return
    spec = spec._replace(reset_after=reset_after)
    for dtype in (torch.float32, torch.float64):
        check(door, level, Call(spec, *shape, dtype))


@pytest.mark.usefixtures("level")
@settings(max_examples=40)
@given(layouts, layouts, layouts, st.booleans(), seeds)
def test_memory_layout_does_not_matter(x_layout, h_layout, weight_layout, with_grad, seed):
    torch.manual_seed(seed)
    layer = fastgru.GRU(5, 7, 2, bidirectional=True)
    x, h_0 = laid_out(torch.randn(6, 4, 5), x_layout), laid_out(torch.randn(4, 4, 7), h_layout)
    weights = [laid_out(w.detach(), weight_layout) for w in layer.parameters()]
    options = {"num_layers": 2, "bidirectional": True}

    def run(*tensors):
        inputs = [t.requires_grad_(with_grad) for t in tensors]
        output, h_n = fastgru.functional.gru(inputs[0], inputs[1], inputs[2:], **options)
        loss = output.square().sum() + h_n.sin().sum()
        return [output.detach(), h_n.detach(), *(torch.autograd.grad(loss, inputs) if with_grad else ())]

    arranged = run(*(t.detach() for t in (x, h_0, *weights)))
    dense = run(*(t.detach().clone(memory_format=torch.contiguous_format) for t in (x, h_0, *weights)))
    assert all(torch.equal(a, b) for a, b in zip(arranged, dense, strict=True))


@pytest.mark.parametrize("layout", ["transposed", "gaps", "expanded"])
def test_memory_layout_of_outer_gradients_does_not_matter(layout):
    layer, x = fastgru.GRU(5, 7), torch.randn(6, 4, 5)
    d_output = laid_out(torch.randn(6, 4, 7), layout)
    got = torch.autograd.grad(layer(x)[0], list(layer.parameters()), d_output)
    want = torch.autograd.grad(layer(x)[0], list(layer.parameters()), d_output.contiguous())
    assert all(torch.equal(a, b) for a, b in zip(got, want, strict=True))


def test_lazily_negated_tensors_are_read_right():
    layer, x = fastgru.GRU(3, 4), torch.randn(5, 2, 3)
    negated = torch._neg_view(x)
    assert negated.is_neg()
    with torch.no_grad():
        assert torch.equal(layer(negated)[0], layer(-x)[0])
    assert torch.equal(layer(negated)[0], layer(-x)[0])


@pytest.mark.usefixtures("level")
@pytest.mark.parametrize("spec", [GRUSpec(2, 3), GRUSpec(1, 2, 2, True, True), GRUSpec(2, 2, 2, False)])
@pytest.mark.parametrize("is_ragged", [False, True])
@pytest.mark.parametrize("reset_after", [True, False])
@pytest.mark.filterwarnings("ignore::fastgru.errors.SlowPathWarning")  # forward mode, without reset_after
def test_gradients_are_those_of_finite_differences(spec, is_ragged, reset_after):
    spec = spec._replace(reset_after=reset_after)
    batch_sizes = torch.tensor([3, 3, 1]) if is_ragged else None
    x, h_0, _, _, weights, _, _ = numbers(Call(spec, 3, 3, torch.float64, (3, 2, 2), is_packed=is_ragged))
    inputs = [t.requires_grad_() for t in (x, h_0, *weights)]

    def run(x, h_0, *weights):
        return fastgru.functional.gru(
            x,
            h_0,
            weights,
            num_layers=spec.num_layers,
            bias=spec.bias,
            bidirectional=spec.bidirectional,
            batch_sizes=batch_sizes,
            reset_after=reset_after,
        )

    assert torch.autograd.gradcheck(run, inputs, check_forward_ad=True, check_batched_grad=True)
    assert torch.autograd.gradgradcheck(run, inputs)


def test_any_subset_may_require_gradients():
    layer, stock = fastgru.GRU(3, 4, 2), nn.GRU(3, 4, 2)
    stock.load_state_dict(layer.state_dict())
    x, h_0 = torch.randn(5, 2, 3), torch.randn(2, 2, 4)
    names = ["x", "h_0", *dict(layer.named_parameters())]
    for wanted in itertools.chain(itertools.combinations(names, 1), itertools.combinations(names, 2)):
        found = []
        for own in (layer, stock):
            tensors = {"x": x.clone(), "h_0": h_0.clone(), **dict(own.named_parameters())}
            for name, tensor in tensors.items():
                tensor.requires_grad_(name in wanted)
            output, h_n = own(tensors["x"], tensors["h_0"])
            loss = output.sin().sum() + h_n.sum()
            found.append(dict(zip(wanted, torch.autograd.grad(loss, [tensors[n] for n in wanted]), strict=True)))
        assert_agrees(*found)


@pytest.mark.parametrize("used", ["output", "h_n"])
def test_one_result_may_be_unused(used):
    layer, stock, x = fastgru.GRU(3, 4), nn.GRU(3, 4), torch.randn(5, 2, 3)
    stock.load_state_dict(layer.state_dict())
    found = []
    for own in (layer, stock):
        output, h_n = own(x)
        gradients = torch.autograd.grad((output if used == "output" else h_n).sum(), list(own.parameters()))
        found.append(dict(enumerate(gradients)))
    assert_agrees(*found)


@pytest.mark.usefixtures("level")
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("place", ["input", "h_0", "weight_ih_l0", "weight_hh_l0", "bias_ih_l0"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_nan_and_infinity_spread_as_in_torch(value, place, dtype):
    stock = nn.GRU(3, 20, dtype=dtype)
    x, h_0 = torch.randn(4, 9, 3, dtype=dtype), torch.randn(1, 9, 20, dtype=dtype)
    target = {"input": x[1, 2], "h_0": h_0[0, 3]}.get(place)
    with torch.no_grad():
        (getattr(stock, place).flatten() if target is None else target)[1] = value
        got, want = fastgru.GRU.from_torch(stock)(x, h_0), stock(x, h_0)
    for mine, expected in zip(got, want, strict=True):
        assert_agrees({"": mine}, {"": expected})


@pytest.mark.parametrize("given", list(itertools.product([False, True], repeat=2)))
def test_a_functional_cell_takes_either_bias_both_or_none(given):
    weight_ih, weight_hh, *biases = nn.GRUCell(3, 4).parameters()
    biases = [bias if is_given else None for bias, is_given in zip(biases, given, strict=True)]
    x, h = torch.randn(5, 3), torch.randn(5, 4)
    got = fastgru.functional.gru_cell(x, h, weight_ih, weight_hh, *biases)
    assert_agrees({"": got.detach()}, {"": torch.gru_cell(x, h, weight_ih, weight_hh, *biases).detach()})


def test_packed_sequences_run_on_the_core():
    packed = pack_sequence([torch.randn(n, 3) for n in (4, 2)])
    assert fastgru.explain(fastgru.GRU(3, 4), packed).chosen == "cpu"
