"""Functions of one value, softmax and layer norm of `fastgru.functional`, beside torch's."""

from __future__ import annotations

import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.autograd import gradcheck, gradgradcheck

import fastgru
import processes
from fastgru import functional as ours
from fastgru.nn import activations
from strategies import dtypes, laid_out, layouts, seeds
from tolerance import assert_no_worse_than_torch

# The old tools are tested as long as torch has them.
pytestmark = [
    pytest.mark.filterwarnings("ignore:`torch.jit.:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning"),
]

PAIRS = {
    "sigmoid": (ours.sigmoid, torch.sigmoid),
    "tanh": (ours.tanh, torch.tanh),
    "gelu": (ours.gelu, nn.functional.gelu),
    "gelu_tanh": (
        lambda x: ours.gelu(x, approximate="tanh"),
        lambda x: nn.functional.gelu(x, approximate="tanh"),
    ),
    "silu": (ours.silu, nn.functional.silu),
    "elu": (lambda x: ours.elu(x, 0.7), lambda x: nn.functional.elu(x, 0.7)),
    "selu": (ours.selu, nn.functional.selu),
    "softplus": (lambda x: ours.softplus(x, 2, 3), lambda x: nn.functional.softplus(x, 2, 3)),
    "hardsigmoid": (ours.hardsigmoid, nn.functional.hardsigmoid),
    "hardswish": (ours.hardswish, nn.functional.hardswish),
    "softmax": (lambda x: ours.softmax(x, 0), lambda x: torch.softmax(x, 0)),
    "log_softmax": (lambda x: ours.log_softmax(x, -1), lambda x: torch.log_softmax(x, -1)),
    # Where values are nearly equal, their rounding errors are divided by the root of eps at most.
    "layer_norm": (
        lambda x: ours.layer_norm(x, x.shape[-1:], eps=0.1),
        lambda x: nn.functional.layer_norm(x, x.shape[-1:], eps=0.1),
    ),
}
# In float64, torch's slope of hardsigmoid is 1 / 6 in float32.
TRUTHS = {"hardsigmoid": lambda x: (x / 6 + 0.5).clamp(0, 1)}
every_function = pytest.mark.parametrize("name", PAIRS)
shapes = st.sampled_from(((1,), (7,), (33,), (3, 17), (2, 5, 4), (0, 3), (2, 1, 1, 3, 2, 2)))


@every_function
@settings(max_examples=30)
@given(shapes, dtypes, layouts, seeds)
def test_results_and_gradients_are_as_exact_as_torchs(name, shape, dtype, layout, seed):
    torch.manual_seed(seed)
    mine, torchs = PAIRS[name]
    x = laid_out(torch.randn(shape, dtype=dtype) * 4, layout if len(shape) > 1 else "dense")
    seeds_of_outputs = torch.randn(shape, dtype=dtype)
    found = []
    for function, type_ in ((mine, dtype), (torchs, dtype), (TRUTHS.get(name, torchs), torch.float64)):
        own = x.detach().to(type_).requires_grad_()
        y = function(own)
        found.append([y, *torch.autograd.grad(y, own, seeds_of_outputs.to(type_))])
    for got, of_torch, truth in zip(*found, strict=True):
        assert_no_worse_than_torch(got, of_torch, truth, name)


@every_function
def test_gradients_of_all_orders_and_modes(name):
    x = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    options = {"check_forward_ad": True, "check_batched_grad": True, "check_batched_forward_grad": True}
    assert gradcheck(PAIRS[name][0], x, **options)
    assert gradgradcheck(PAIRS[name][0], x, check_batched_grad=True)


@every_function
def test_first_gradients_do_not_depend_on_who_follows(name):
    function, seed = PAIRS[name][0], torch.randn(3, 40)
    x = torch.randn(3, 40, requires_grad=True)
    plain = torch.autograd.grad(function(x), x, seed)[0]
    compiled = torch.compile(function, backend="aot_eager", fullgraph=True)
    assert torch.equal(compiled(x), function(x))
    assert torch.equal(torch.autograd.grad(compiled(x), x, seed)[0], plain)
    _, pull = torch.func.vjp(function, x.detach())
    torch.testing.assert_close(pull(seed)[0], plain)


@every_function
def test_vmap_gives_the_bits_of_single_calls(name):
    function, x = PAIRS[name][0], torch.randn(3, 6, 5)
    got = torch.vmap(function, in_dims=1)(x)
    assert all(torch.equal(got[i], function(x[:, i])) for i in range(6))


@every_function
def test_what_torch_has_alone(name):
    mine, torchs = PAIRS[name]
    x = torch.randn(3, 5)
    assert torch.equal(mine(x.bfloat16()), torchs(x.bfloat16()))
    assert mine(x.to("meta")).device.type == "meta"
    with torch.autocast("cpu"):
        assert torch.equal(mine(x), torchs(x))
    assert torch.jit.trace(mine, x)(x).shape == (3, 5)


@settings(max_examples=30)
@given(st.sampled_from(((5,), (3, 4), (2, 3, 2))), st.integers(1, 3), st.booleans(), st.booleans(), dtypes, seeds)
def test_layer_norm_of_several_dimensions_with_weights(shape, last, affine, bias, dtype, seed):
    torch.manual_seed(seed)
    normalized = shape[-last:]
    stock = nn.LayerNorm(normalized, 0.1, affine, bias, dtype=dtype)
    mine = fastgru.LayerNorm(normalized, 0.1, affine, bias, dtype=dtype)
    for parameter in stock.parameters():
        nn.init.normal_(parameter)
    mine.load_state_dict(stock.state_dict())
    truth = nn.LayerNorm(normalized, 0.1, affine, bias, dtype=torch.float64)
    truth.load_state_dict(stock.state_dict())
    x, seed_of_output = torch.randn(2, 4, *shape, dtype=dtype).unbind()
    found = []
    for layer, type_ in ((mine, dtype), (stock, dtype), (truth, torch.float64)):
        own = x.to(type_, copy=True).requires_grad_()
        y = layer(own)
        found.append([y, *torch.autograd.grad(y, [own, *layer.parameters()], seed_of_output.to(type_))])
    for got, of_torch, true in zip(*found, strict=True):
        assert_no_worse_than_torch(got, of_torch, true)


def test_second_derivatives_of_layer_norm_with_weights():
    tensors = [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in ((2, 3, 4), (4,), (4,))]

    def norm(x, weight, bias):
        return ours.layer_norm(x, (4,), weight, bias)

    assert gradcheck(norm, tensors, check_forward_ad=True, check_batched_grad=True)
    assert gradgradcheck(norm, tensors)
    batch = [torch.randn(6, *t.shape) for t in tensors]
    for dims in ((0, None, None), (0, 0, None), (None, 0, 0)):
        given = [b if dim == 0 else b[0] for b, dim in zip(batch, dims, strict=True)]
        got = torch.vmap(norm, in_dims=dims)(*given)
        one = [b[2] if dim == 0 else b for b, dim in zip(given, dims, strict=True)]
        assert torch.equal(got[2], norm(*one))


MODULES = {
    "Sigmoid": {},
    "Tanh": {},
    "GELU": {"approximate": "tanh"},
    "SiLU": {},
    "ELU": {"alpha": 0.5},
    "SELU": {},
    "Hardsigmoid": {},
    "Hardswish": {},
    "Softplus": {"beta": 2, "threshold": 3},
    "Softmax": {"dim": 1},
    "LogSoftmax": {"dim": 0},
}


@pytest.mark.parametrize("name", MODULES)
def test_modules(name):
    stock, mine = getattr(nn, name)(**MODULES[name]), getattr(activations, name)(**MODULES[name])
    x = torch.randn(3, 5)
    assert repr(mine) == repr(stock)
    assert isinstance(mine, type(stock))
    torch.testing.assert_close(mine(x), stock(x))
    torch.testing.assert_close(torch.jit.script(nn.Sequential(mine))(x), stock(x))
    if hasattr(stock, "inplace"):
        stock.inplace = mine.inplace = True
        own = x.clone()
        assert mine(own) is own
        assert torch.equal(own, stock(x.clone()))


def test_every_module_stands_in_the_table():
    assert {kind.__name__ for kind in activations.CLASSES} == set(MODULES)


@pytest.mark.filterwarnings("ignore:Implicit dimension choice")
def test_softmax_without_a_dimension_is_torchs():
    x = torch.randn(3, 5)
    assert torch.equal(activations.Softmax()(x), nn.Softmax()(x))
    assert torch.equal(activations.LogSoftmax()(x), nn.LogSoftmax()(x))
    assert torch.equal(ours.softmax(x, 1, torch.float64), ours.softmax(x.double(), 1))
    with pytest.raises(IndexError):
        ours.softmax(x, 2)


def test_mistakes_end_as_with_torch():
    with pytest.raises(RuntimeError, match="approximate"):
        ours.gelu(torch.zeros(2), approximate="sine")
    with pytest.raises(RuntimeError, match="normalized_shape"):
        ours.layer_norm(torch.zeros(3, 2), (3,))
    with pytest.raises(RuntimeError, match="weight"):
        ours.layer_norm(torch.zeros(3, 2), (2,), torch.ones(3))
    with pytest.raises(TypeError):
        ours.sigmoid("text")
    with pytest.raises(TypeError, match="expected one of float32 and float64"):
        torch.ops.fastgru.activate(torch.zeros(2).half(), "tanh", 0, 0)
    with pytest.raises(ValueError, match="no function of this name"):
        torch.ops.fastgru.activate(torch.zeros(2), "sine", 0, 0)
    with pytest.raises(ValueError, match="got `weight` of shape"):
        torch.ops.fastgru.layer_norm(torch.zeros(3, 2), torch.ones(3), None, 1e-5)


def test_torchs_checks_of_operators_pass():
    x = torch.randn(3, 4, requires_grad=True)
    torch.library.opcheck(torch.ops.fastgru.activate, (x, "silu", 0.0, 0.0))
    torch.library.opcheck(torch.ops.fastgru.softmax, (x, True))
    torch.library.opcheck(torch.ops.fastgru.layer_norm, (x, torch.randn(4, requires_grad=True), None, 1e-5))


@pytest.mark.parametrize("name", ["Linear", "LayerNorm"])
def test_a_layer_alone_brings_its_operators(name):
    code = f"import fastgru, torch; fastgru.{name}(3, 3) if {name!r} == 'Linear' else fastgru.LayerNorm(3); "
    code += "print(torch.ops.fastgru.linear, torch.ops.fastgru.layer_norm)"
    assert processes.run([sys.executable, "-c", code], check=True).stdout.startswith("fastgru.linear")


STRAIGHT = {
    "relu": (torch.relu, 0, 0),
    "leaky_relu": (lambda x: nn.functional.leaky_relu(x, 0.3), 0.3, 0),
    "softsign": (nn.functional.softsign, 0, 0),
    "clip": (lambda x: nn.functional.hardtanh(x, -0.5, 0.7), -0.5, 0.7),
    "abs": (torch.abs, 0, 0),
}


@pytest.mark.parametrize("name", STRAIGHT)
def test_what_torch_computes_by_single_operations_has_our_bits(name):
    torchs, a, b = STRAIGHT[name]
    x = torch.randn(1000)
    assert torch.equal(fastgru.rows.core_rows.activate(x, name, a, b), torchs(x))


@pytest.mark.usefixtures("level")
@pytest.mark.parametrize("width", [1, 2, 17, 100])
def test_the_norm_of_equal_values_is_zero(width):
    x = torch.full((3, width), 4.3)
    assert torch.equal(ours.layer_norm(x, (width,)), torch.zeros(3, width))
