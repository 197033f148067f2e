"""Higher derivatives: cheaper than torch's, and the same for each way of computing them."""

from __future__ import annotations

import pytest
import torch
from torch.autograd import forward_ad
from torch.func import functional_call, hessian, jacfwd, jacrev, jvp
from torch.nn.utils.rnn import pack_padded_sequence
from torch.utils._python_dispatch import TorchDispatchMode

import fastgru
from fastgru import _core
from fastgru.backends.cpu.ops import core_tangents, functions, short
from fastgru.call.request import Call
from layer_pairs import pair
from tolerance import MOST_OF_TORCHS_OPERATORS, assert_agrees


class Count(TorchDispatchMode):
    """How many operators run."""

    def __init__(self):
        super().__init__()
        self.operators = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.operators += 1
        return function(*args, **(kwargs or {}))


def tangent(layer, x):
    with forward_ad.dual_level():
        return forward_ad.unpack_dual(layer(forward_ad.make_dual(x, x.cos()))[0]).tangent


def penalty(layer, x):
    x = x.clone().requires_grad_()
    (first,) = torch.autograd.grad(loss(layer)(x), x, create_graph=True)
    return torch.autograd.grad(first.square().sum(), [x, *layer.parameters()])


def loss(layer):
    return lambda x: layer(x)[0].sin().sum()


KINDS = {
    "forward mode": tangent,
    "jvp": lambda layer, x: jvp(loss(layer), (x,), (x.cos(),))[1],
    "jacfwd": lambda layer, x: jacfwd(loss(layer))(x),
    "penalty": penalty,
    "hvp": lambda layer, x: torch.autograd.functional.hvp(loss(layer), x, x.cos())[1],
    "hessian": lambda layer, x: hessian(loss(layer))(x),
    "jacrev twice": lambda layer, x: jacrev(jacrev(loss(layer)))(x),
    "jacfwd twice": lambda layer, x: jacfwd(jacfwd(loss(layer)))(x),
    "third": lambda layer, x: jacfwd(hessian(loss(layer)))(x[:4]),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("config", [{}, {"num_layers": 2, "bidirectional": True}], ids=str)
def test_derivatives_take_fewer_operators_than_torchs_and_agree(kind, config):
    ours, stock = pair("GRU", 2, 3, dtype=torch.float64, **config)
    x = torch.randn(24, 1, 2, dtype=torch.float64)
    found, counts = [], []
    for layer in (ours, stock):
        with Count() as count:
            result = KINDS[kind](layer, x)
        found.append(dict(enumerate(result)) if isinstance(result, tuple) else {"result": result})
        counts.append(count.operators)
    assert_agrees(*[{name: t.detach() for name, t in each.items()} for each in found])
    if kind != "third":  # of so few steps
        assert counts[0] < MOST_OF_TORCHS_OPERATORS * counts[1]


CONFIGS = [
    {},
    {"num_layers": 2, "bidirectional": True, "bias": False},
    {"num_layers": 2, "bidirectional": True, "batch_first": True, "bounded": True},
]


@pytest.mark.parametrize("config", CONFIGS, ids=str)
@pytest.mark.parametrize("is_short", [False, True])
def test_rules_for_sequences_and_for_a_few_steps(monkeypatch, config, is_short):
    torch.manual_seed(0)
    config = dict(config)
    monkeypatch.setattr(short, "MOST_STEPS", 10 * is_short)
    is_bounded = config.pop("bounded", False)
    layer = fastgru.GRU(2, 2, dtype=torch.float64, **config)
    lead = (2, 3) if layer.batch_first else (3, 2)
    reset = torch.tensor([[False, True, False], [True, False, True]])
    sequences = {"lengths": [3, 2], "reset": reset if layer.batch_first else reset.T} if is_bounded else {}
    names = [name for name, _ in layer.named_parameters()]
    cells = len(layer.all_weights)

    def run(x, h_0, anew, *weights):
        own = sequences | ({"reset_state": anew} if is_bounded else {})
        return functional_call(layer, dict(zip(names, weights, strict=True)), (x, h_0), own)

    leaves = [torch.randn(*lead, 2), torch.randn(cells, 2, 2), torch.randn(cells, 2), *layer.parameters()]
    leaves = [leaf.detach().double().requires_grad_() for leaf in leaves]
    leaves[2].requires_grad_(is_bounded)
    fast = {"fast_mode": True}
    assert torch.autograd.gradcheck(run, leaves, check_forward_ad=True, check_batched_grad=True, **fast)
    assert torch.autograd.gradgradcheck(run, leaves, check_fwd_over_rev=True, check_rev_over_rev=True, **fast)


BATCHES = [
    (),
    ("h_0",),
    ("weight_hh_l0", "bias_ih_l1"),
    ("h_0", "weight_ih_l1", "weight_hh_l1_reverse", "bias_hh_l0_reverse"),
]


@pytest.mark.parametrize("steps", [1, 3, 16])
@pytest.mark.parametrize("further", BATCHES, ids=str)
@pytest.mark.parametrize("batch_first", [False, True])
def test_gradients_in_batches_equal_torchs(steps, further, batch_first):
    ours, stock = pair("GRU", 2, 2, 2, bidirectional=True, batch_first=batch_first, dtype=torch.float64)
    x = torch.randn(*((2, steps) if batch_first else (steps, 2)), 2, dtype=torch.float64)
    own = dict(stock.named_parameters())
    given = (
        x,
        *[torch.randn(4, 2, 2, dtype=torch.float64) if name == "h_0" else own[name].detach() for name in further],
    )
    found = []
    for layer in (ours, stock):

        def run(x, *others, layer=layer):
            moved = dict(zip(further, others, strict=True))
            return functional_call(layer, moved, (x, moved.pop("h_0", None)))

        def total(*given, run=run):
            return sum(t.sin().sum() for t in run(*given))

        jacobian = torch.autograd.functional.jacobian(run, given, vectorize=True)
        second = torch.autograd.functional.hessian(total, given, vectorize=True)
        kept = torch.autograd.functional.jacobian(total, given, vectorize=True, create_graph=True)
        flat = [t for row in (*jacobian, *second) for t in row] + list(kept)
        found.append({str(place): t.detach() for place, t in enumerate(flat)})
    assert_agrees(*found)


def test_gradients_in_batches_with_ends_and_resets():
    layer, x = fastgru.GRU(2, 3, 2, dtype=torch.float64), torch.randn(5, 2, 2, dtype=torch.float64)
    reset = torch.tensor([[False, True, False, False, True], [True, False, True, False, False]]).T
    for options in ({"lengths": [5, 3]}, {"reset": reset}, {"lengths": [2, 5], "reset": reset}):
        total = lambda x, options=options: sum(t.sin().sum() for t in layer(x, **options))  # noqa: E731
        one_by_one = torch.autograd.functional.hessian(total, x)
        assert_agrees({"": torch.autograd.functional.hessian(total, x, vectorize=True)}, {"": one_by_one})


@pytest.mark.parametrize("steps", [3, 16])
def test_second_derivatives_of_packed_sequences_equal_torchs(steps):
    ours, stock = pair("GRU", 2, 3, 2, bidirectional=True, dtype=torch.float64)
    x = torch.randn(steps, 3, 2, dtype=torch.float64)
    found = []
    for layer in (ours, stock):
        data = x.clone().requires_grad_()
        packed = pack_padded_sequence(data, [steps, 2, 1])
        total = layer(packed)[0].data.sin().sum()
        (first,) = torch.autograd.grad(total, data, create_graph=True)
        own = {"x": data, **dict(layer.named_parameters())}
        found.append(dict(zip(own, torch.autograd.grad(first.square().sum(), list(own.values())), strict=True)))
    assert_agrees(*found)


def test_only_gradients_that_are_asked_for_are_computed(monkeypatch):
    layer, leaf = fastgru.GRU(2, 3), torch.randn(16, 2, 2, requires_grad=True)
    seen = []
    right = functions.backward
    monkeypatch.setattr(
        functions, "backward", lambda d, e, own, asked: seen.append(asked.wanted) or right(d, e, own, asked)
    )
    x = leaf * 1
    torch.autograd.grad(layer(x)[0].sum(), x, create_graph=True)
    torch.autograd.grad(layer(x)[0].sum(), layer.weight_hh_l0, create_graph=True)
    torch.autograd.grad(layer(leaf)[0].sum(), leaf, create_graph=True)
    torch.autograd.grad(layer(leaf)[0].sum(), [leaf, *layer.parameters()], create_graph=True)
    of_x, of_weights, none = (True, False, False), (True,) * 4, (False,) * 4
    assert [tuple(map(bool, wanted)) for wanted in seen] == [
        (*of_x, *none),
        (False, False, False, *of_weights),
        (*of_x, *none),
        (*of_x, *of_weights),
    ]


def of_higher_order(layer, x, h_0, options):
    """Second gradients, those of these and so on, and products of the matrix of second derivatives with vectors."""
    leaves = {"x": x.clone().requires_grad_(), "h_0": h_0.clone().requires_grad_(), **dict(layer.named_parameters())}
    numbers = torch.Generator().manual_seed(2)

    def along(tensors):
        return [torch.randn(t.shape, generator=numbers, dtype=torch.float64).to(t) for t in tensors]

    output, h_n = layer(leaves["x"], leaves["h_0"], **options)
    total, found, own = output.sin().sum() + h_n.cos().sum(), {}, list(leaves.values())
    first = torch.autograd.grad(total, own, create_graph=True)
    gradients = first
    for order in ("second", "third", "fourth"):
        total = sum((t * u).sum() for t, u in zip(gradients, along(own), strict=True))
        gradients = torch.autograd.grad(total, own, create_graph=True)
        found |= {f"{order} of {name}": t for name, t in zip(leaves, gradients, strict=True)}
    towards = [torch.zeros_like(t, requires_grad=True) for t in own]
    moved = torch.autograd.grad(first, own, towards, create_graph=True)
    product = torch.autograd.grad(moved, towards, along(own), create_graph=True)
    found |= {f"product, {name}": t for name, t in zip(leaves, product, strict=True)}
    last = torch.autograd.grad(sum(t.square().sum() for t in product), own, allow_unused=True)
    found |= {f"of the product, {name}": t for name, t in zip(leaves, last, strict=True) if t is not None}
    return {name: t.detach() for name, t in found.items()}


SHAPES = [
    ({}, 1, 3, 5),
    ({"bias": False}, 7, 2, 4),
    ({"num_layers": 2, "bidirectional": True}, 5, 3, 9),
    ({"num_layers": 3}, 3, 17, 17),
]


@pytest.mark.parametrize(("config", "steps", "rows", "hidden"), SHAPES, ids=str)
def test_autograd_to_the_fourth_order(level, config, steps, rows, hidden):
    ours, stock = pair("GRU", 2, hidden, dtype=torch.float64, **config)
    x = torch.randn(steps, rows, 2, dtype=torch.float64)
    h_0 = torch.randn(len(ours.all_weights), rows, hidden, dtype=torch.float64)
    assert_agrees(*[of_higher_order(layer, x, h_0, {}) for layer in (ours, stock)])


def without_the_core(monkeypatch, call):
    with monkeypatch.context() as changed:
        changed.setattr(core_tangents, "pass_through", lambda *_: None)
        return call()


@pytest.fixture
def passes(monkeypatch):
    """What the core answered to each request for a pass."""
    seen, right = [], core_tangents.pass_through
    monkeypatch.setattr(core_tangents, "pass_through", lambda *a: seen.append(right(*a)) or seen[-1])
    return seen


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("lengths", [None, [6, 0, 3, 1, 6, 2, 5, 6, 4]])
def test_the_core_and_operators_agree(level, passes, monkeypatch, dtype, lengths):
    layer = fastgru.GRU(2, 19, 2, bidirectional=True, dtype=dtype)
    x, h_0 = torch.randn(6, 9, 2, dtype=dtype), torch.randn(4, 9, 19, dtype=dtype)
    call = lambda: of_higher_order(layer, x, h_0, {"lengths": lengths})  # noqa: E731
    found = call()
    assert any(one is not None for one in passes)
    assert_agrees(found, without_the_core(monkeypatch, call))


def test_threads_do_not_change_the_bits_of_second_derivatives(passes):
    layer = fastgru.GRU(3, 40, 2, bidirectional=True)
    x = torch.randn(30, 16, 3)

    def second(rows, threads):
        torch.set_num_threads(threads)
        own = x[:, :rows].clone().requires_grad_()
        (first,) = torch.autograd.grad(loss(layer)(own), own, create_graph=True)
        return torch.autograd.grad(first.square().sum(), own)[0]

    whole = second(16, 1)
    assert torch.equal(second(16, 2), whole)
    for rows in (1, 3, 8):
        assert_agrees({"of fewer rows": second(rows, 2)}, {"of fewer rows": whole[:, :rows]})
    assert all(one is not None for one in passes)


def test_the_core_leaves_what_it_cannot_read_to_operators(passes, monkeypatch):
    class Own(torch.Tensor):
        pass

    layer = fastgru.GRU(2, 3, dtype=torch.float64)
    x = torch.randn(5, 2, 2, dtype=torch.float64)

    def second(x):
        x = x.clone().requires_grad_()
        (first,) = torch.autograd.grad(layer(x)[0].sin().sum(), x, create_graph=True)
        return {"x": torch.autograd.grad(first.square().sum(), x)[0].as_subclass(torch.Tensor)}

    expected = without_the_core(monkeypatch, lambda: second(x))
    assert_agrees(second(x.as_subclass(Own)), expected)
    assert_agrees(second(x), expected)
    assert passes[-1] is not None


def test_the_core_takes_tangents_of_the_right_sizes_only():
    sizes = _core.LayerSizes(5, 5, 1, 1, True, "float32")
    weight, bias, a, start = (
        torch.randn(1, 15, 5),
        torch.randn(1, 15),
        torch.randn(1, 4, 1, 2, 15),
        torch.zeros(1, 1, 1, 2, 5),
    )
    nothing = (None,) * 4
    right = (weight, bias, a, start, weight, bias, a, start)
    passed = sizes.forward_tangent(None, right, 1)
    assert [t.shape for t in passed] == [(1, 4, 1, 2, 5), (1, 4, 1, 2, 5), (1, 4, 1, 2, 40)]
    assert sizes.forward_tangent(None, (weight, bias, a, start, *nothing), 1) is not None
    alive = torch.ones(1, 4, 1, 2, 1, dtype=torch.bool)
    assert sizes.forward_tangent(alive, right, 1) is not None
    assert sizes.forward_tangent(alive[:, :3], right, 1) is None
    assert sizes.forward_tangent(alive.float(), right, 1) is None
    for place in range(8):
        for wrong in (right[place].double(), right[place][..., :-1], right[place].unsqueeze(0), 3):
            given = list(right)
            given[place] = wrong
            assert sizes.forward_tangent(None, tuple(given), 1) is None
    assert sizes.forward_tangent(None, right[:7], 1) is None
    assert sizes.forward_tangent(None, (weight, bias, a[:, :0], start, *nothing), 1) is None
    states, d_states, gates = passed
    assert sizes.backward_tangent(None, right, passed, states, None, 1) is not None
    for wrong in (
        (states, d_states),
        (states, d_states, gates[..., 1:]),
        (states[:, :3], d_states, gates),
        (None,) * 3,
    ):
        assert sizes.backward_tangent(None, right, wrong, states, None, 1) is None
    assert sizes.backward_tangent(None, right, passed, states[:, :3].contiguous(), None, 1) is None
    assert sizes.backward_tangent(None, right, passed, states, states.double(), 1) is None
    assert _core.LayerSizes(5, 5, 1, 1, True, "bfloat16").forward_tangent(None, right, 1) is None


def test_values_past_an_end_reach_no_derivative():
    layer = fastgru.GRU(2, 3, 2, bidirectional=True, dtype=torch.float64)
    dirty = torch.randn(9, 2, 2, dtype=torch.float64)
    dirty[4:, 1] = float("nan")

    def second(x):
        total = lambda x: sum(t.sin().sum() for t in layer(x, lengths=[9, 4]))  # noqa: E731
        return jvp(torch.func.grad(total), (x,), (torch.ones_like(x),))[1]

    clean = dirty.nan_to_num()
    assert torch.equal(second(dirty), second(clean))


def test_a_dispatch_mode_sees_the_operator():
    layer, x = fastgru.GRU(2, 3), torch.randn(4, 2, 2)
    call = Call(layer.spec, x, None, layer.parameters_in_order())
    seen = []

    class Names(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            seen.append(function.name())
            return function(*args, **(kwargs or {}))

    with Names():
        output, _ = functions.forward(call)
    assert "fastgru::forward" in seen
    assert torch.equal(output, layer(x)[0])


@pytest.mark.parametrize("dtype", [torch.uint16, torch.int32, torch.uint8])
def test_second_derivatives_of_the_operator_take_lengths_of_any_integers(dtype):
    layer, x = fastgru.GRU(2, 3), torch.randn(4, 2, 2, requires_grad=True)
    weights, options = [p.detach() for p in layer.parameters()], (1, False, False, False)

    def second(lengths):
        output, _, _ = torch.ops.fastgru.forward(x, None, None, weights, lengths, None, *options, True)
        (d_x,) = torch.autograd.grad(output.square().sum(), x, create_graph=True)
        return torch.autograd.grad(d_x.square().sum(), x)[0]

    assert torch.equal(second(torch.tensor([4, 2], dtype=dtype)), second(torch.tensor([4, 2])))
