"""Tensors whose memory is missing, too small, shared or about to be freed: torch's result or torch's error."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

import fastgru
from fastgru import _core
from fastgru.backends.cpu import core_calls
from fastgru.errors import FrozenError, OperandError, ShapeError
from tolerance import assert_agrees


def zeros_of(*shape):
    return torch._efficientzerotensor(*shape)


def gradient_of_sign(*shape):
    t = torch.randn(*shape, requires_grad=True)
    return torch.autograd.grad(torch.sgn(t).sum(), t)[0]


def given_back(*shape):
    tensor = torch.randn(*shape)
    tensor.untyped_storage().resize_(0)
    return tensor


def shrunk(*shape):
    tensor = torch.randn(*shape)
    tensor.untyped_storage().resize_(8)
    return tensor


def negated(*shape):
    return torch._neg_view(torch.randn(*shape))


def leaked(*shape):
    kept = []
    torch.func.grad(lambda t: (kept.append(t), t.sum())[1])(torch.randn(*shape))
    return kept[0]


STRANGE = {f.__name__: f for f in (zeros_of, gradient_of_sign, given_back, shrunk, negated, leaked)}


def infer(layer, x, h_0, _):
    with torch.no_grad():
        return layer(x, h_0)


def train(layer, x, h_0, d_output):
    output, h_n = layer(x, h_0)
    return output.detach(), h_n.detach(), *torch.autograd.grad(output, list(layer.parameters()), d_output)


def packed(layer, x, h_0, _):
    with torch.no_grad():
        output, h_n = layer(pack_padded_sequence(x, [5, 3]), h_0)
        return output.data, h_n


def frozen(layer, x, h_0, _):
    if isinstance(layer, fastgru.GRU):
        layer.freeze()
    return infer(layer, x, h_0, None)


def by_lengths(layer, x, h_0, _):
    with torch.no_grad():
        return layer(x, h_0, lengths=[5, 5]) if isinstance(layer, fastgru.GRU) else layer(x, h_0)


def outcome(make, entrance, place, strange):
    torch.manual_seed(0)
    layer = make(3, 4)
    shapes = {"x": (5, 2, 3), "h_0": (1, 2, 4), "d_output": (5, 2, 4)}
    given = {name: torch.randn(*shape) for name, shape in shapes.items()}
    torch.manual_seed(1)
    if place in shapes:
        given[place] = strange(*shapes[place])
    else:
        getattr(layer, place).data = strange(*getattr(layer, place).shape)
    try:
        return dict(enumerate(entrance(layer, *given.values())))
    except RuntimeError as error:
        return error


# What torch reads past the end of, and calls a result.
UNKNOWN = {("x", "shrunk"), ("bias_ih_l0", "shrunk"), ("bias_hh_l0", "shrunk"), ("weight_ih_l0", "shrunk")}


@pytest.mark.filterwarnings("ignore::fastgru.errors.SlowPathWarning")
@pytest.mark.parametrize("entrance", [infer, train, packed, frozen, by_lengths], ids=lambda f: f.__name__)
@pytest.mark.parametrize("place", ["x", "h_0", "d_output", "weight_ih_l0", "weight_hh_l0", "bias_hh_l0"])
@pytest.mark.parametrize("strange", STRANGE)
def test_torchs_result_or_torchs_error(entrance, place, strange):
    if place not in ("x", "h_0", "d_output") and strange == "leaked":
        return  # torch refuses to put one into a parameter
    got = outcome(fastgru.GRU, entrance, place, STRANGE[strange])
    if (place, strange) in UNKNOWN or (place == "bias_hh_l0" and strange == "given_back"):
        assert isinstance(got, RuntimeError)
        return
    want = outcome(nn.GRU, entrance, place, STRANGE[strange])
    if isinstance(want, RuntimeError):
        assert isinstance(got, RuntimeError), f"torch's says {want}"
    else:
        assert not isinstance(got, RuntimeError), got
        assert_agrees(got, want)


@pytest.mark.parametrize("strange", ["zeros_of", "negated", "given_back", "shrunk"])
@pytest.mark.parametrize("place", [0, 1])
def test_cells_and_steppers(strange, place):
    shapes = [(2, 3), (2, 4)]
    tensors = [torch.randn(*shape) for shape in shapes]
    torch.manual_seed(1)
    tensors[place] = STRANGE[strange](*shapes[place])
    cell, stepper = fastgru.GRUCell(3, 4), fastgru.GRU(3, 4).stepper(2)
    if strange in ("given_back", "shrunk"):
        with torch.no_grad(), pytest.raises(RuntimeError, match=r"not allocated|setStorage"):
            cell(*tensors)
        h_0 = STRANGE[strange](1, 2, 4)
        with pytest.raises(OperandError, match="was released"):
            stepper(tensors[0]) if place == 0 else stepper.reset(h_0)
        return
    dense = [t.clone() for t in tensors]
    with torch.no_grad():
        assert torch.equal(cell(*tensors), cell(*dense))
    stepper.reset(tensors[1][None])
    first = stepper(tensors[0]).clone()
    stepper.reset(dense[1][None])
    assert torch.equal(stepper(dense[0]), first)


def test_saved_memory_that_was_given_back_is_an_error():
    layer, x = fastgru.GRU(3, 4), torch.randn(5, 2, 3)
    for place in range(2):
        output, _ = layer(x)
        loss = output.sum()
        output.grad_fn._raw_saved_tensors[place].data.untyped_storage().resize_(0)
        with pytest.raises(RuntimeError, match="not allocated"):
            loss.backward()


@pytest.mark.parametrize("steps", [3, 1000])
def test_lengths_that_change_after_the_forward_pass_read_nothing_else(steps):
    layer, x = fastgru.GRU(3, 8), torch.randn(steps, 4, 3)
    found = []
    for is_changed in (False, True):
        lengths = np.ones(4, dtype=np.int64)
        output, _ = layer(x, lengths=lengths)
        if is_changed:
            lengths[:] = steps
        found.append(torch.autograd.grad(output.sum(), list(layer.parameters())))
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


def functional(*shape):
    return torch._to_functional_tensor(torch.randn(*shape))


@pytest.mark.parametrize("spoil", [leaked, functional, given_back, shrunk])
@pytest.mark.parametrize("place", ["weight_ih_l0", "weight_hh_l0", "bias_hh_l0"])
@pytest.mark.parametrize("trains", [False, True])
def test_under_autocast_weights_are_looked_at_before_they_are_cast(spoil, place, trains):
    layer, x = fastgru.GRU(3, 4), torch.randn(5, 2, 3)
    parameter = getattr(layer, place)
    parameter.data = spoil(*parameter.shape)
    with torch.set_grad_enabled(trains), torch.autocast("cpu"), pytest.raises(OperandError, match="not allocated"):
        layer(x)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_under_a_dispatch_mode_weights_are_looked_at_before_they_are_cast(dtype):
    layer, x = fastgru.GRU(3, 4, dtype=dtype), torch.randn(5, 2, 3, dtype=dtype)
    layer.weight_hh_l0.data = torch._to_functional_tensor(torch.randn(12, 4, dtype=dtype))
    with torch.autograd.graph.allow_mutation_on_saved_tensors(), pytest.raises(OperandError, match="not allocated"):
        layer(x)


@pytest.mark.parametrize("spoil", [given_back, shrunk])
@pytest.mark.parametrize("place", ["x", "weight_hh_l0", "bias_ih_l0"])
@pytest.mark.parametrize("transform", ["jvp", "hessian", "vmap of jvp"])
@pytest.mark.parametrize("steps", [3, 30])
def test_memory_that_is_missing_inside_transforms(spoil, place, transform, steps):
    layer, x = fastgru.GRU(3, 4), torch.randn(steps, 2, 3)
    if place == "x":
        x = spoil(steps, 2, 3)
    else:
        getattr(layer, place).data = spoil(*getattr(layer, place).shape)

    def loss(t):
        return layer(t)[0].sum()

    def jvp(_=None):
        return torch.func.jvp(loss, (x,), (torch.ones(steps, 2, 3),))[1]

    calls = {"jvp": jvp, "hessian": lambda: torch.func.hessian(loss)(x), "vmap of jvp": lambda: torch.vmap(jvp)(x)}
    with pytest.raises(RuntimeError, match=r"not allocated|storage of size"):
        calls[transform]()


def test_a_carried_state_is_looked_at_before_it_is_cast():
    layer, x = fastgru.StatefulGRU(3, 4), torch.randn(5, 2, 3)
    layer(x)
    layer.state.untyped_storage().resize_(0)
    with pytest.raises(OperandError, match="memory of `state`"), torch.autocast("cpu"):
        layer(x.bfloat16())
    with pytest.raises(OperandError, match="memory of `state`"):
        layer.double()


@pytest.mark.parametrize("spoil", [given_back, leaked])
def test_a_learned_state_is_looked_at_before_rows_are_reset_to_it(spoil):
    layer = fastgru.StatefulGRU(3, 4, learn_h0=True)
    layer.state = torch.randn(1, 2, 4, dtype=torch.float64)
    layer.h_0.data = spoil(1, 4)
    with pytest.raises(OperandError, match="memory of `h_0`"):
        layer.reset_state(torch.tensor([True, False]))


@pytest.mark.parametrize("kind", [nn.Parameter, nn.Buffer, torch.Tensor])
def test_a_stepper_looks_at_tensors_of_every_plain_class(kind):
    stepper = fastgru.GRU(3, 4).stepper(2)
    with pytest.raises(OperandError, match="memory of `input`"):
        stepper(kind(given_back(2, 3)))
    with pytest.raises(OperandError, match="memory of `h_0`"):
        stepper.reset(kind(given_back(1, 2, 4)))


@pytest.mark.parametrize("which", ["sorted_indices", "unsorted_indices"])
def test_the_order_of_a_packed_sequence_may_change_or_go(which):
    layer, h_0 = fastgru.GRU(3, 4), torch.randn(1, 300, 4)
    given = pack_padded_sequence(torch.randn(2, 300, 3), torch.ones(300).long(), enforce_sorted=False)
    order = getattr(given, which)
    own = order.clone()

    def change():
        order.fill_(1_000_000_000)
        order.copy_(own)

    changed_by_a_thread(change, lambda: layer(given, h_0))
    order.untyped_storage().resize_(0)
    with pytest.raises(OperandError, match="memory of `indices`"):
        layer(given, h_0)


@pytest.mark.parametrize("which", ["input", "hx", "lengths"])
def test_memory_given_back_before_a_backward_pass_that_torchs_operators_do(which):
    layer, x, h_0, lengths = fastgru.GRU(3, 4), torch.randn(5, 2, 3), torch.randn(1, 2, 4), torch.tensor([3, 5])
    output, _ = layer(x, h_0, lengths=lengths)
    places = {"input": 2, "hx": 3, "lengths": -1}
    output.grad_fn.saved_tensors[places[which]].untyped_storage().resize_(0)
    with pytest.raises(RuntimeError, match=f"memory of `{which}`"):
        output.backward(torch.randn(5, 2, 4).to_sparse())


@pytest.mark.parametrize("spoil", [leaked, functional, given_back, shrunk])
@pytest.mark.parametrize("convention", ["z_takes_new", "z_keeps_old"])
def test_converted_weights_are_looked_at(spoil, convention):
    weight = nn.Parameter(torch.randn(12, 3))
    weight.data = spoil(12, 3)
    with pytest.raises(OperandError, match="not allocated"):
        fastgru.convert.read("torch", {"weight_ih_l0": weight}, convention=convention)


def test_more_to_save_than_there_are_addresses():
    layer, x = fastgru.GRU(3, 4), torch.randn(1, 2, 3).expand(2**58, 2, 3)
    with torch.autograd.graph.allow_mutation_on_saved_tensors(), pytest.raises(fastgru.errors.OutOfMemoryError):
        layer(x)


def handed(kind):
    """How the core gets a tensor: itself, by its address, or as an array of NumPy's."""
    return {"tensors": lambda t: t, "addresses": core_calls.array_at, "buffers": lambda t: t.detach().numpy()}[kind]


every_kind = pytest.mark.parametrize("kind", ["tensors", "addresses", "buffers"])
WHOLE_BATCH = (None, None, None, None, False)  # no batch sizes, lengths or resets, and the steps first


@every_kind
def test_the_core_refuses_memory_that_is_too_small(kind):
    sizes, to = _core.LayerSizes(3, 4, 1, 1, True, "float32"), handed(kind)
    layer, x = fastgru.GRU(3, 4), torch.randn(5, 2, 3)
    inputs = (to(x), None, tuple(map(to, layer.parameters())), *WHOLE_BATCH)
    needed = sizes.saved_values(10, 10, False)
    output, h_n, outer = torch.empty(5, 2, 4), torch.empty(1, 2, 4), torch.ones(5, 2, 4)
    d_weights = [torch.empty_like(weight) for weight in layer.parameters()]
    gradients = (False, False, False, *map(to, d_weights))
    for count in (needed, needed - 1):
        saved = torch.empty(count)

        def forward(saved=saved):
            return sizes.forward(*inputs, None, False, 1, (to(output), to(h_n), to(saved)))

        def backward(saved=saved):
            return sizes.backward(*inputs, to(output), to(saved), False, to(outer), None, gradients, 1)

        for run in (forward, backward):
            if count == needed:
                assert run() is not None
            else:
                with pytest.raises(ValueError, match="too small"):
                    run()


def test_the_core_refuses_a_pool_that_gives_too_little():
    sizes, weights = _core.LayerSizes(3, 64, 1, 1, True, "float32"), tuple(fastgru.GRU(3, 64).parameters())
    x = torch.randn(2000, 2, 3)
    needed = sizes.saved_values(4000, 4000, False)
    assert needed * 4 >= _core.POOLED_BYTES

    def run(from_pool):
        return sizes.forward(x, None, weights, *WHOLE_BATCH, from_pool, False, 1)

    assert run(lambda values, _: torch.empty(values))[2].shape == (needed,)
    for given in (torch.empty(needed - 1), torch.empty(needed, dtype=torch.float64), torch.empty(needed, 1), None):
        with pytest.raises(ValueError, match="too small"):
            run(lambda _, __, given=given: given)


@every_kind
@pytest.mark.parametrize("sizes", [[], [0, 2], [2, 3], [2, 0], [3, 1], [2, 1, 1], [-1, 1], [2**62, 2]])
def test_the_core_refuses_batch_sizes_that_do_not_fit(kind, sizes):
    layer, to, x = _core.LayerSizes(3, 4, 1, 1, False, "float32"), handed(kind), torch.randn(3, 3)
    own = torch.tensor(sizes, dtype=torch.int64)
    weights, results = (torch.randn(12, 3), torch.randn(12, 4)), (torch.empty(3, 4), torch.empty(1, 2, 4))
    sequences = (to(own), None, None, None, False)
    with pytest.raises(ValueError, match="do not fit"):
        layer.forward(to(x), None, tuple(map(to, weights)), *sequences, None, False, 1, (*map(to, results), None))


@every_kind
@pytest.mark.parametrize("lengths", [[6, 1], [-1, 5], [2**62, 2]])
def test_the_core_refuses_lengths_that_do_not_fit(kind, lengths):
    layer, to, x = _core.LayerSizes(3, 4, 1, 1, False, "float32"), handed(kind), torch.randn(5, 2, 3)
    own, weights = torch.tensor(lengths), (torch.randn(12, 3), torch.randn(12, 4))
    results = (torch.empty(5, 2, 4), torch.empty(1, 2, 4))
    sequences = (None, to(own), None, None, False)
    with pytest.raises(ValueError, match="lengths"):
        layer.forward(to(x), None, tuple(map(to, weights)), *sequences, None, False, 1, (*map(to, results), None))


def changed_by_a_thread(change, call, seconds=1.0):
    """Runs `call` again and again while another thread runs `change`; what went wrong in it."""
    end, errors = threading.Event(), []

    def work():
        while not end.is_set():
            change()

    thread = threading.Thread(target=work)
    thread.start()
    timer = threading.Timer(seconds, end.set)
    timer.start()
    try:
        while not end.is_set():
            try:
                call()
            except (RuntimeError, ValueError) as error:
                errors.append(error)
    finally:
        end.set()
        thread.join()
        timer.cancel()
    return errors


def test_weights_may_get_other_memory_during_a_call():
    layer, x = fastgru.GRU(64, 512), torch.randn(2, 1, 64)

    def swap():
        for parameter in layer.parameters():
            parameter.data = parameter.data.clone()

    with torch.no_grad():
        want = layer(x)[0]
        results = []
        assert changed_by_a_thread(swap, lambda: results.append(torch.equal(layer(x)[0], want))) == []
        assert results
        assert all(results)


@pytest.mark.parametrize("is_frozen", [False, True])
def test_the_input_may_get_other_memory_during_a_short_call(is_frozen):
    layer, x = fastgru.GRU(3, 5, num_layers=2, bidirectional=True), torch.randn(2, 1, 3)
    own, other = x.clone(), torch.ones_like(x)

    def swap():
        for values in (other, own):
            x.data = values.clone()

    with torch.no_grad():
        wants = [layer(values)[0] for values in (own, other)]
        if is_frozen:
            layer.freeze()
        results = []
        changed_by_a_thread(swap, lambda: results.append(layer(x)[0]), seconds=3)
    assert results
    assert all(any(torch.equal(result, want) for want in wants) for result in results)


@pytest.mark.parametrize("kind", ["lengths", "reset"])
def test_what_the_caller_gives_may_change_during_a_call(kind):
    layer, x = fastgru.GRU(8, 64), torch.randn(50, 16, 8)
    given = {"lengths": np.ones(16, dtype=np.int64), "reset": np.zeros((50, 16), dtype=bool)}[kind]

    def change():
        given[...] = 50 if kind == "lengths" else 1
        given[...] = 1 if kind == "lengths" else 0

    changed_by_a_thread(change, lambda: layer(x, **{kind: given})[0].sum().backward())


def test_the_operators_check_what_they_are_given():
    layer, x = fastgru.GRU(3, 4), torch.randn(5, 2, 3)
    weights, options = list(layer.parameters()), (1, False, False, False)
    forward, backward = torch.ops.fastgru.forward, torch.ops.fastgru.backward

    def bad_forward(**changed):
        given = {"x": x, "h_0": None, "reset_state": None, "weights": weights, "lengths": None, "reset": None}
        return lambda: forward(*(given | changed).values(), *options, False)

    def bad_backward(outer=None, states=None, output=None, saved=None, wanted=7, lengths=None):
        inputs = (x, None, None, weights, lengths, None, *options)
        return lambda: backward(outer, states, output, saved, *inputs, [True] * wanted)

    d_output, saved = torch.ones(5, 2, 4), torch.zeros(160)
    mistakes = [
        bad_forward(weights=[w.double() for w in weights]),
        bad_forward(weights=weights[:3]),
        bad_forward(weights=[]),
        bad_forward(weights=[torch.randn(12, 2), *weights[1:]]),
        bad_forward(weights=[*weights[:3], torch.randn(1)]),
        bad_forward(weights=[*weights[:2], *[torch.randn(0)] * 2]),
        bad_forward(x=torch.randn(5, 2, 1 << 16)),
        bad_forward(x=torch.randn(3)),
        bad_forward(x=x.half()),
        bad_forward(h_0=torch.randn(1, 1, 1)),
        bad_forward(h_0=torch.randn(1, 2, 4).double()),
        bad_forward(reset_state=torch.randn(3)),
        bad_forward(lengths=torch.tensor([6, 1])),
        bad_forward(lengths=torch.tensor([1])),
        bad_forward(lengths=torch.tensor([1.0, 2.0])),
        bad_forward(reset=torch.zeros(5, 2)),
        bad_forward(reset=torch.zeros(5, 3, dtype=torch.bool)),
        bad_backward(torch.ones(5, 2, 3)),
        bad_backward(torch.ones(5, 2, 4).double()),
        bad_backward(d_output, torch.ones(1, 1, 4)),
        bad_backward(d_output, output=torch.ones(5, 2, 3), saved=saved),
        bad_backward(d_output, output=torch.ones(5, 2, 4), saved=torch.zeros(159)),
        bad_backward(d_output, wanted=3),
        bad_backward(d_output, lengths=torch.tensor([10**9, 3])),
        lambda: forward(x, None, None, weights, None, None, 0, False, False, False, False),
        lambda: forward(x, None, None, weights, None, None, -1, False, False, False, False),
        lambda: forward(x, None, None, weights * 300, None, None, 300, False, False, False, False),
    ]
    for mistake in mistakes:
        with pytest.raises(fastgru.errors.FastGRUError):
            mistake()
    bad_forward()()
    bad_backward(d_output, output=torch.ones(5, 2, 4), saved=saved)()


@pytest.mark.parametrize("shape", [(0, 2, 3), (5, 0, 3), (0, 4, 2, 3), (2, 0, 4, 3)])
def test_operators_with_nothing_to_compute(shape):
    models = shape[:-3]
    h_0 = torch.randn(*models, 1, shape[-2], 4)
    weights = [torch.randn(*models, *p.shape) for p in fastgru.GRU(3, 4).parameters()]
    inputs = (torch.randn(*shape), h_0, None, weights, None, None, 1, False, False, False)
    output, h_n, _ = torch.ops.fastgru.forward(*inputs, True)
    assert output.shape == (*shape[:-1], 4)
    assert torch.equal(h_n, h_0)
    d_h_n = torch.randn(h_n.shape)
    found = torch.ops.fastgru.backward(None, d_h_n, None, None, *inputs, [True, True, False, True, True, True, True])
    assert torch.equal(found[1], d_h_n)
    assert all(not d.any() for d in found[3:])


def test_side_by_side_reads_negated_states_and_weights_right():
    layer = fastgru.GRU(3, 4)
    x, h_0 = torch.randn(2, 5, 3, 3), torch._neg_view(torch.randn(2, 1, 3, 4))
    weights = [torch._neg_view(torch.randn(2, *p.shape)) for p in layer.parameters()]
    for inputs in ((h_0, weights), (h_0.clone(), [w.clone() for w in weights])):
        output, h_n, _ = torch.ops.fastgru.forward(
            x, inputs[0], None, inputs[1], None, None, 1, False, False, False, False
        )
        if inputs[0] is h_0:
            want = output, h_n
    assert torch.equal(output, want[0])
    assert torch.equal(h_n, want[1])


def test_results_can_be_resized_and_their_memory_given_back():
    layer, x = fastgru.GRU(3, 4), torch.randn(5, 2, 3)
    for frozen_ in (False, True):
        with torch.no_grad():
            output, h_n = (layer.freeze() if frozen_ else layer)(x)
        assert output.resize_(50, 2, 4).shape == (50, 2, 4)
        h_n.untyped_storage().resize_(0)
        assert h_n.untyped_storage().nbytes() == 0
        torch.add(torch.ones(3), 1, out=output.resize_(0))
        assert output.shape == (3,)
    assert torch.autograd.grad(layer.unfreeze()(x)[0].sum(), layer.bias_hh_l0)[0].resize_(20).shape == (20,)


def test_a_stepper_goes_on_in_memory_that_its_state_was_given():
    layer, xs = fastgru.GRU(3, 4), torch.randn(6, 2, 3)
    want, _ = layer(xs)
    stepper = layer.stepper(2)
    state = stepper.state
    stepper(xs[0])
    state.share_memory_()
    assert torch.equal(stepper(xs[1]), want[1])
    assert state.is_shared()
    state.data = state.clone()
    assert torch.equal(stepper(xs[2]), want[2])
    state.set_(state.clone())
    stepper.output.data = torch.zeros(2, 4)
    assert torch.equal(stepper(xs[3]), want[3])
    stepper.state = stepper.state.clone()
    assert stepper.state is state
    assert torch.equal(stepper(xs[4]), want[4])
    stepper.state *= 1
    assert torch.equal(stepper(xs[5]), want[5])


@pytest.mark.parametrize(
    "spoil",
    [
        lambda state: state.set_(torch.zeros(3)),
        lambda state: setattr(state, "data", torch.zeros(1, 2, 4).double()),
        lambda state: setattr(state, "data", given_back(1, 2, 4)),
        lambda state: setattr(state, "data", shrunk(1, 2, 4)),
        lambda state: setattr(state, "data", torch.zeros(1, 4, 2).transpose(1, 2)),
        lambda state: setattr(state, "data", torch.zeros(1, 1, 4).expand(1, 2, 4)),
    ],
)
def test_a_stepper_does_not_write_where_its_state_is_not(spoil):
    stepper, x = fastgru.GRU(3, 4).stepper(2), torch.randn(2, 3)
    spoil(stepper.state)
    for act in (lambda: stepper(x), stepper.reset, lambda: setattr(stepper, "state", torch.zeros(1, 2, 4))):
        with pytest.raises((ShapeError, OperandError), match="state"):
            act()


def test_memory_of_a_stepper_cannot_be_taken_away():
    stepper = fastgru.GRU(3, 4).stepper(2)
    for tensor in (stepper.state, stepper.output):
        with pytest.raises(RuntimeError, match="not resizable"):
            tensor.untyped_storage().resize_(0)
    with pytest.raises(AttributeError):
        stepper.output = torch.zeros(2, 4)
    with pytest.raises(ShapeError, match="hidden size"):
        stepper.state = torch.zeros(1, 3, 4)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("hidden", [8, 256])
@pytest.mark.parametrize("which", ["output", "state"])
def test_what_a_stepper_wrote_may_be_its_next_input(threads, hidden, which):
    torch.set_num_threads(threads)
    layer = fastgru.GRU(hidden, hidden)
    fed, copied = layer.stepper(), layer.stepper()
    x = y = torch.randn(1, hidden)
    for _ in range(300):
        fed(x)
        copied(y.clone())
        x, y = (s.output if which == "output" else s.state[0] for s in (fed, copied))
        assert torch.equal(x, y)


def test_a_stepper_made_in_inference_mode_serves_outside_of_it():
    layer, x = fastgru.GRU(3, 4), torch.randn(2, 3)
    with torch.inference_mode():
        stepper = layer.stepper(2)
        stepper(x)
    stepper.state[:, 0] = 0
    stepper.reset()
    stepper(x)


@pytest.mark.parametrize("is_frozen_inside", [True, False])
def test_a_layer_made_in_inference_mode_is_frozen_like_others(is_frozen_inside):
    with torch.inference_mode():
        layer, x = fastgru.GRU(3, 4), torch.randn(5, 2, 3)
        want = layer(x)[0]
    with torch.inference_mode(is_frozen_inside):
        layer.freeze()
    with torch.inference_mode():
        assert torch.equal(layer(x)[0], want)
        layer.weight_hh_l0.add_(1)
        with pytest.raises(FrozenError, match="unfreeze"):
            layer(x)
        layer.unfreeze()
        assert not torch.equal(layer(x)[0], want)


def test_writes_to_a_parameter_that_is_not_contiguous_are_seen():
    layer, x = fastgru.GRU(3, 4), torch.randn(5, 2, 3)
    layer.weight_hh_l0 = nn.Parameter(torch.randn(4, 12).t())
    with torch.no_grad():
        want = layer(x)[0]
        layer.freeze()
        assert torch.equal(layer(x)[0], want)
        layer.weight_hh_l0.mul_(2)
        with pytest.raises(FrozenError, match="unfreeze"):
            layer(x)
