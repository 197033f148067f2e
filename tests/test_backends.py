"""Every backend, type and instruction-set level against the reference in float64."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils.rnn import pack_sequence

import fastgru
from fastgru import GRUSpec, dispatch
from fastgru.backends import core_calls
from fastgru.levels import use_level
from strategies import batches, dtypes, laid_out, layouts, lengths, seeds, sizes, steps
from tolerance import assert_agrees, assert_no_worse_than_torch

NAMES = [backend.name for backend in dispatch.BACKENDS if backend.name != "onnx"]  # which draws, and computes nothing
LEVELS = [level.name for level in fastgru.cpu_info() if level.available]
PATHS = [("cpu", level) for level in LEVELS] + [(name, LEVELS[0]) for name in NAMES if name != "cpu"]
every_path = pytest.mark.parametrize(("backend", "level"), PATHS)

specs = st.builds(GRUSpec, sizes, sizes, st.integers(1, 2), st.booleans(), st.booleans())


def numbers(spec, shape, rows, dtype):
    """Input, h_0, weights and outer gradients in float64, of values that `dtype` has."""
    cells, width = spec.num_layers * spec.num_directions, spec.num_directions * spec.hidden_size
    bound = spec.hidden_size**-0.5
    tensors = [
        torch.randn(*shape, spec.input_size),
        torch.randn(cells, rows, spec.hidden_size),
        *(torch.empty(s).uniform_(-bound, bound) for s in spec.parameter_shapes),
        torch.randn(*shape, width),
        torch.randn(cells, rows, spec.hidden_size),
    ]
    return [t.to(dtype).double() for t in tensors]


def results(run, tensors):
    """Output, h_n and the gradient of every input."""
    *inputs, d_output, d_h_n = tensors
    inputs = [t.detach().requires_grad_() for t in inputs]
    output, h_n = run(*inputs)
    gradients = torch.autograd.grad([output, h_n], inputs, [d_output, d_h_n])
    return [output.detach(), h_n.detach(), *gradients]


def check(backend, level, dtype, spec, shape, rows, batch_sizes=None):
    tensors = numbers(spec, shape, rows, dtype)
    sizes_ = None if batch_sizes is None else torch.tensor(batch_sizes)
    options = {"num_layers": spec.num_layers, "bias": spec.bias, "bidirectional": spec.bidirectional}

    def truth(x, h_0, *weights):
        with dispatch.use_backend("reference"):
            return fastgru.functional.gru(x, h_0, weights, batch_sizes=sizes_, **options)

    def ours(x, h_0, *weights):
        with use_level(level), dispatch.use_backend(backend):
            return fastgru.functional.gru(x, h_0, weights, batch_sizes=sizes_, **options)

    def torchs(x, h_0, *weights):
        with dispatch.use_backend("aten"):
            return fastgru.functional.gru(x, h_0, weights, batch_sizes=sizes_, **options)

    low = [t.to(dtype) for t in tensors]
    with use_level(level):
        got = results(ours, low)
    names = ["output", "h_n", "d_x", "d_h_0", *("d_" + name for name in spec.parameter_names)]
    for name, mine, other, want in zip(names, got, results(torchs, low), results(truth, tensors), strict=True):
        assert_no_worse_than_torch(mine, other, want, f"{backend} {level} {name}")


@every_path
@settings(max_examples=25)
@given(dtypes, specs, steps, batches, seeds)
def test_conforms_to_the_reference(backend, level, dtype, spec, count, batch, seed):
    torch.manual_seed(seed)
    check(backend, level, dtype, spec, (count, batch), batch)


@every_path
@settings(max_examples=15)
@given(dtypes, specs, lengths, seeds)
def test_ragged_conforms_to_the_reference(backend, level, dtype, spec, own, seed):
    torch.manual_seed(seed)
    own = sorted(own, reverse=True)
    batch_sizes = [sum(n > t for n in own) for t in range(own[0])]
    check(backend, level, dtype, spec, (sum(own),), len(own), batch_sizes)


@pytest.mark.slow
@every_path
@settings(max_examples=400)
@given(dtypes, specs, steps, batches, seeds)
def test_many_more_conform_to_the_reference(backend, level, dtype, spec, count, batch, seed):
    torch.manual_seed(seed)
    check(backend, level, dtype, spec, (count, batch), batch)


@pytest.mark.slow
@every_path
@settings(max_examples=400)
@given(dtypes, specs, lengths, seeds)
def test_many_more_ragged_conform_to_the_reference(backend, level, dtype, spec, own, seed):
    torch.manual_seed(seed)
    own = sorted(own, reverse=True)
    batch_sizes = [sum(n > t for n in own) for t in range(own[0])]
    check(backend, level, dtype, spec, (sum(own),), len(own), batch_sizes)


@every_path
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
def test_sizes_that_reach_every_plan(backend, level, spec, shape):
    for dtype in (torch.float32, torch.float64):
        check(backend, level, dtype, spec, shape, shape[1])


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
def test_gradients_are_those_of_finite_differences(spec, is_ragged):
    batch_sizes = torch.tensor([3, 3, 1]) if is_ragged else None
    shape = (7,) if is_ragged else (3, 3)
    *inputs, _, _ = numbers(spec, shape, 3, torch.float64)
    inputs = [t.requires_grad_() for t in inputs]

    def run(x, h_0, *weights):
        return fastgru.functional.gru(
            x,
            h_0,
            weights,
            num_layers=spec.num_layers,
            bias=spec.bias,
            bidirectional=spec.bidirectional,
            batch_sizes=batch_sizes,
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


def test_a_wrong_kernel_is_found(monkeypatch):
    right = core_calls.forward

    def wrong(*arguments, **options):
        output, h_n, saved = right(*arguments, **options)
        return output * 1.0001, h_n, saved

    monkeypatch.setattr(core_calls, "forward", wrong)
    with pytest.raises(AssertionError, match=r"cpu .* output: off by"):
        check("cpu", LEVELS[0], torch.float32, GRUSpec(3, 4), (5, 2), 2)


def test_packed_sequences_run_on_the_core():
    packed = pack_sequence([torch.randn(n, 3) for n in (4, 2)])
    assert fastgru.explain(fastgru.GRU(3, 4), packed).chosen == "cpu"
