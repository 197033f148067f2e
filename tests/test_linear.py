"""`fastgru.Linear` beside `torch.nn.Linear`: values, gradients of all orders, errors, tools."""

from __future__ import annotations

import copy
import io
import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.autograd import gradcheck, gradgradcheck

import fastgru
from fastgru.functional import linear
from strategies import dtypes, laid_out, layouts, seeds, sizes
from tolerance import assert_no_worse_than_torch

# The old tools are tested as long as torch has them.
pytestmark = [
    pytest.mark.filterwarnings("ignore:`torch.jit.:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning"),
]

leads = st.sampled_from(((), (1,), (3,), (33,), (2, 5), (0,), (2, 1, 3), (1, 2, 2, 1, 2, 1)))


def pair(*args, **kwargs):
    """Torch's layer and ours with the same parameters."""
    stock = nn.Linear(*args, **kwargs)
    ours = fastgru.Linear(*args, **kwargs)
    ours.load_state_dict(stock.state_dict())
    return stock, ours


@settings(max_examples=100)
@given(leads, sizes, sizes, st.booleans(), dtypes, layouts, seeds)
def test_results_and_gradients_are_as_exact_as_torchs(lead, features, outputs, bias, dtype, layout, seed):
    torch.manual_seed(seed)
    stock, ours = pair(features, outputs, bias, dtype=dtype)
    truth = copy.deepcopy(stock).double()
    x = laid_out(torch.randn(*lead, features, dtype=dtype), layout if lead else "dense")
    found = []
    for layer, type_ in ((ours, dtype), (stock, dtype), (truth, torch.float64)):
        own = x.to(type_).requires_grad_() if type_ is not dtype else x.detach().requires_grad_()
        y = layer(own)
        found.append([y, *torch.autograd.grad(y.sin().sum() + y.sum(), [own, *layer.parameters()])])
    for mine, torchs, true in zip(*found, strict=True):
        assert mine.dtype is dtype
        assert_no_worse_than_torch(mine, torchs, true)


@given(st.lists(st.booleans(), min_size=3, max_size=3))
def test_only_wanted_gradients_are_made(wants):
    tensors = [torch.randn(4, 3), torch.randn(5, 3), torch.randn(5)]
    for tensor, is_wanted in zip(tensors, wants, strict=True):
        tensor.requires_grad_(is_wanted)
    y = linear(*tensors)
    assert y.requires_grad == any(wants)
    if any(wants):
        y.sum().backward()
    assert [t.grad is not None for t in tensors] == wants
    assert all(torch.equal(t.grad, torch.ones(5).to(t) * 4) for t in tensors[2:] if t.grad is not None)


def test_gradients_of_all_orders_and_modes():
    x, weight, bias = (
        torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in ((2, 3, 4), (5, 4), (5,))
    )
    options = {"check_forward_ad": True, "check_batched_grad": True, "check_batched_forward_grad": True}
    assert gradcheck(linear, (x, weight, bias), **options)
    assert gradcheck(linear, (x, weight, None), **options)
    assert gradgradcheck(linear, (x, weight, bias), check_fwd_over_rev=True, check_batched_grad=True)


def test_first_gradients_do_not_depend_on_who_follows():
    stock = [torch.randn(40, 9), torch.randn(70, 9), torch.randn(70)]
    own = [t.clone().requires_grad_() for t in stock]
    seed = torch.randn(40, 70)
    plain = torch.autograd.grad(linear(*own), own, seed)
    followed = torch.autograd.grad(linear(*own), own, seed, create_graph=True)
    _, pull = torch.func.vjp(linear, *stock)
    compiled = torch.compile(linear, backend="aot_eager", fullgraph=True)
    for other in (followed, pull(seed), torch.autograd.grad(compiled(*own), own, seed)):
        assert all(map(torch.equal, plain, other))


@pytest.mark.parametrize("dims", [(0, None, None), (None, 0, None), (0, 0, 0), (1, None, 0), (0, 1, None)])
def test_vmap_gives_the_bits_of_single_calls(dims):
    shapes = [(4, 3), (5, 3), (5,)]
    batched = [
        torch.randn(shape) if dim is None else torch.randn((*shape[:dim], 6, *shape[dim:]))
        for shape, dim in zip(shapes, dims, strict=True)
    ]
    got = torch.vmap(linear, in_dims=dims)(*batched)
    for i in range(6):
        one = [t if dim is None else t.select(dim, i) for t, dim in zip(batched, dims, strict=True)]
        assert torch.equal(got[i], linear(*one))


def test_transforms_agree_with_torchs():
    _, ours = pair(4, 3, dtype=torch.float64)
    x = torch.randn(5, 4, dtype=torch.float64)
    parameters = dict(ours.named_parameters())

    def loss(function):
        return lambda parameters, x: function(x, parameters["weight"], parameters["bias"]).sin().sum()

    mine, torchs = loss(linear), loss(nn.functional.linear)
    for transform in (
        lambda f: torch.func.grad(f)(parameters, x),
        lambda f: torch.vmap(torch.func.grad(f), in_dims=(None, 0))(parameters, x),
        lambda f: torch.func.hessian(lambda x: f(parameters, x))(x),
        lambda f: torch.func.jvp(lambda x: f(parameters, x), (x,), (x,)),
    ):
        torch.testing.assert_close(transform(mine), transform(torchs))


def test_compiled_and_exported_programs_hold_the_operator():
    ours, x = fastgru.Linear(7, 9), torch.randn(2, 3, 7, requires_grad=True)
    compiled = torch.compile(ours, backend="aot_eager", fullgraph=True)
    assert torch.equal(compiled(x), ours(x))
    program = torch.export.export(ours, (x.detach(),), dynamic_shapes=({0: torch.export.Dim("batch")},))
    targets = [node.target for node in program.graph.nodes if node.op == "call_function"]
    assert targets == [torch.ops.fastgru.linear.default]
    wider = torch.randn(5, 3, 7)
    assert torch.equal(program.module()(wider), ours(wider))
    with pytest.raises(TypeError, match="expected float32 or float64"):
        torch.ops.fastgru.linear(x.half(), ours.weight.half(), None)
    with pytest.raises(RuntimeError, match=r"shapes cannot be multiplied|size mismatch|must match"):
        torch.ops.fastgru.linear(x, torch.zeros(3, 4), None)
    with pytest.raises(ValueError, match="linear_gradients got d_output"):
        torch.ops.fastgru.linear_gradients(x, x, ours.weight, [True, True, True])


def test_torchs_checks_of_operators_pass():
    x, weight, bias = torch.randn(3, 4, requires_grad=True), torch.randn(5, 4, requires_grad=True), torch.randn(5)
    torch.library.opcheck(torch.ops.fastgru.linear, (x, weight, bias))
    torch.library.opcheck(torch.ops.fastgru.linear_gradients, (torch.randn(3, 5), x, weight, [True, False, True]))


@pytest.mark.parametrize(
    "arguments",
    [
        (torch.zeros(3, 5), torch.zeros(2, 4), None),
        (torch.zeros(3, 4), torch.zeros(2, 4), torch.zeros(3)),
        (torch.zeros(3, 4), torch.zeros(2, 4).double(), None),
        (torch.zeros(()), torch.zeros(2, 4), None),
        ("text", torch.zeros(2, 4), None),
        (torch.zeros(3, 4), None, None),
    ],
    ids=["features", "bias", "dtype", "scalar", "text", "no_weight"],
)
def test_mistakes_end_as_with_torch(arguments):
    with pytest.raises(Exception) as theirs:  # noqa: PT011  (whatever torch raises)
        nn.functional.linear(*arguments)
    with pytest.raises(type(theirs.value)) as mine:
        linear(*arguments)
    assert str(mine.value) == str(theirs.value)


def test_released_memory_is_an_error():
    x = torch.randn(3, 4)
    x.untyped_storage().resize_(0)
    with pytest.raises(RuntimeError, match="was released"):
        linear(x, torch.randn(2, 4))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.complex64])
def test_other_dtypes_are_torchs(dtype):
    stock, ours = pair(4, 3, dtype=dtype)
    x = torch.randn(2, 4).to(dtype)
    assert torch.equal(ours(x), stock(x))


def test_autocast_and_the_meta_device_are_torchs():
    stock, ours = pair(4, 3)
    x = torch.randn(2, 4)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(ours(x), stock(x))
        assert ours(x).dtype is torch.bfloat16
    assert fastgru.Linear(4, 3, device="meta")(x.to("meta")).shape == (2, 3)
    with fastgru.use_backend("aten"):
        assert torch.equal(ours(x), stock(x))


def test_it_is_a_drop_in():
    torch.manual_seed(3)
    stock = nn.Linear(4, 3)
    torch.manual_seed(3)
    ours = fastgru.Linear(4, 3)
    assert isinstance(ours, nn.Linear)
    assert repr(ours) == repr(stock)
    assert list(ours.state_dict()) == list(stock.state_dict())
    assert all(map(torch.equal, ours.parameters(), stock.parameters()))
    for again in (pickle.loads(pickle.dumps(ours)), copy.deepcopy(ours)):
        assert type(again) is fastgru.Linear
        assert torch.equal(again(torch.ones(4)), ours(torch.ones(4)))
    file = io.BytesIO()
    torch.save(ours.state_dict(), file)
    file.seek(0)
    fastgru.Linear(4, 3).load_state_dict(torch.load(file))


def test_tools():
    ours, x = fastgru.Linear(4, 3), torch.randn(2, 4)
    traced = torch.fx.symbolic_trace(nn.Sequential(ours))
    assert [node.op for node in traced.graph.nodes] == ["placeholder", "call_module", "output"]
    torch.testing.assert_close(torch.jit.trace(ours, x)(x), ours(x))
    torch.testing.assert_close(torch.jit.script(nn.Sequential(ours))(x), ours(x))
    normed = nn.utils.parametrizations.weight_norm(fastgru.Linear(4, 3))
    assert torch.equal(normed(x)[0], normed(x[0]))
    with torch.profiler.profile() as profile:
        ours(x)
    assert "fastgru::linear" in {event.key for event in profile.key_averages()}


def test_a_write_to_what_was_saved_is_told():
    x, weight = torch.randn(3, 4), torch.randn(2, 4, requires_grad=True)
    y = linear(x, weight)
    x.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()
