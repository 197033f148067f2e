"""Frozen layers: the same bits, faster, and no call uses outdated weights."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils.rnn import pack_sequence
from torch.utils.flop_counter import FlopCounterMode

import fastgru
from fastgru.call.frozen_parameter import FrozenParameter
from fastgru.errors import FrozenError
from fastgru.levels import use_level
from strategies import batches, dtypes, seeds, sizes, steps
from test_drop_in_state import CHANGES

LEVELS = [level.name for level in fastgru.cpu_info() if level.available]
# Torch's counters cannot see a write through memory that NumPy shares; the documentation of freeze says so.
UNSEEN = {"by_numpy"}
SEEN = [change for change in CHANGES if change.__name__ not in UNSEEN]


def quietly(layer, *args):
    with torch.no_grad():
        return layer(*args)


@pytest.mark.parametrize("level", LEVELS)
@settings(max_examples=30)
@given(dtypes, sizes, sizes, st.integers(1, 3), st.booleans(), st.booleans(), st.booleans(), steps, batches, seeds)
def test_freezing_changes_no_bit(level, dtype, inputs, hidden, layers, bias, both, batch_first, count, batch, seed):
    torch.manual_seed(seed)
    layer = fastgru.GRU(inputs, hidden, layers, bias, batch_first, 0.0, both, dtype=dtype)
    x = (
        torch.randn(batch, count, inputs, dtype=dtype)
        if batch_first
        else torch.randn(count, batch, inputs, dtype=dtype)
    )
    h_0 = torch.randn(layers * (2 if both else 1), batch, hidden, dtype=dtype)
    with use_level(level):
        plain = [*quietly(layer, x), *quietly(layer, x, h_0)]
        layer.freeze()
        frozen = [*quietly(layer, x), *quietly(layer, x, h_0)]
        layer.unfreeze()
    assert all(torch.equal(a, b) for a, b in zip(plain, frozen, strict=True))


def test_packed_weights_are_used(monkeypatch):
    layer = fastgru.GRU(3, 5).freeze()
    monkeypatch.setattr("fastgru.dispatch.run", None)  # the way of the plain call
    quietly(layer, torch.randn(4, 2, 3))
    quietly(layer, pack_sequence([torch.randn(4, 3), torch.randn(2, 3)]))


@pytest.mark.parametrize("change", SEEN, ids=lambda change: change.__name__)
@pytest.mark.parametrize("grad", [False, True], ids=["inference", "training"])
def test_no_call_uses_weights_that_have_changed(change, grad):
    frozen, plain = fastgru.GRU(3, 5), fastgru.GRU(3, 5)
    plain.load_state_dict(frozen.state_dict())
    x = torch.randn(6, 2, 3)
    frozen.freeze()
    quietly(frozen, x)
    torch.manual_seed(0)
    change(plain)
    torch.manual_seed(0)
    with torch.set_grad_enabled(grad):
        try:
            with torch.enable_grad():
                change(frozen)
            output, _ = frozen(x)
        except FrozenError as error:
            assert "unfreeze()" in str(error)  # noqa: PT017  (raising is one of two right outcomes)
        else:
            assert torch.equal(output, plain(x)[0])


@pytest.mark.parametrize(
    "write",
    [
        lambda p: p.add_(1),
        lambda p: p.data.add_(1),
        lambda p: p.detach().mul_(2),
        lambda p: p.data.copy_(torch.zeros_like(p)),
        lambda p: nn.init.zeros_(p),
        lambda p: torch.add(p, 1, out=p),
        lambda p: p.__setitem__(0, 3.0),
        lambda p: torch._foreach_add_([p], 1.0),
        lambda p: p.view(-1)[1:].zero_(),
        lambda p: setattr(p, "data", torch.zeros_like(p)),
        lambda p: p.data.view(-1).fill_(1.0),
    ],
)
def test_a_write_is_refused_or_announced(write):
    layer, x = fastgru.GRU(3, 5).freeze(), torch.randn(4, 1, 3)
    quietly(layer, x)
    with pytest.raises(FrozenError, match="unfreeze"):  # noqa: PT012  (which of the two raises differs)
        with torch.no_grad():
            write(layer.weight_hh_l0)
        quietly(layer, x)
    layer.unfreeze()
    assert torch.equal(quietly(layer.freeze(), x)[0], quietly(copy.deepcopy(layer), x)[0])


def test_every_kind_of_call_announces_a_write():
    layer = fastgru.GRU(3, 5).freeze()
    with torch.no_grad():
        layer.bias_ih_l0.add_(1)
    for args in ((torch.randn(4, 1, 3),), (torch.randn(4, 3),), (torch.randn(4, 1, 3, requires_grad=True),)):
        with pytest.raises(FrozenError):
            layer(*args)


def test_an_optimizer_step_is_announced():
    layer, x = fastgru.GRU(3, 5).freeze(), torch.randn(4, 2, 3)
    optimizer = torch.optim.Adam(layer.parameters())
    layer(x)[0].sum().backward()
    optimizer.step()
    with pytest.raises(FrozenError):
        quietly(layer, x)


def test_gradients_flow_as_before():
    layer, x = fastgru.GRU(3, 5, 2, bidirectional=True), torch.randn(4, 2, 3, requires_grad=True)
    tensors = [x, *layer.parameters()]
    before = torch.autograd.grad(layer(x)[0].sum(), tensors)
    after = torch.autograd.grad(layer.freeze()(x)[0].sum(), tensors)
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_packed_sequences_dropout_and_other_weights_give_the_same_bits():
    layer = fastgru.GRU(3, 5, 2, dropout=0.5)
    packed, x = pack_sequence([torch.randn(4, 3), torch.randn(2, 3)]), torch.randn(4, 2, 3)
    others = {name: torch.randn_like(p) for name, p in layer.named_parameters()}
    torch.manual_seed(1)
    before = [layer(packed)[0].data, layer(x)[0], torch.func.functional_call(layer, others, (x,))[0]]
    layer.freeze()
    torch.manual_seed(1)
    after = [layer(packed)[0].data, layer(x)[0], torch.func.functional_call(layer, others, (x,))[0]]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_parameters_stay_the_same_objects_and_become_plain_again():
    layer = fastgru.GRU(3, 5)
    before = list(layer.parameters())
    assert layer.freeze() is layer
    assert layer.is_frozen
    layer.freeze()  # once more is no harm
    assert all(type(p) is FrozenParameter for p in layer.parameters())
    assert layer.unfreeze() is layer
    assert not layer.is_frozen
    layer.unfreeze()
    assert all(
        a is b and type(b) is nn.Parameter and not vars(b) for a, b in zip(before, layer.parameters(), strict=True)
    )


def test_a_tied_parameter_is_frozen_until_the_last_layer_lets_go():
    first, second = fastgru.GRU(5, 5), fastgru.GRU(5, 5)
    second.weight_hh_l0 = first.weight_hh_l0
    first.freeze()
    second.freeze()
    first.unfreeze()
    first.weight_hh_l0.data.add_(1)
    with pytest.raises(FrozenError):
        quietly(second, torch.randn(2, 1, 5))
    second.unfreeze()
    assert type(first.weight_hh_l0) is nn.Parameter


@pytest.mark.parametrize("how", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))], ids=["deepcopy", "pickle"])
def test_copies_are_not_frozen(how):
    layer, x = fastgru.GRU(3, 5).freeze(), torch.randn(4, 1, 3)
    copied = how(layer)
    assert not copied.is_frozen
    assert all(type(p) is nn.Parameter for p in copied.parameters())
    assert torch.equal(quietly(copied, x)[0], quietly(layer, x)[0])
    quietly(layer, x)


def test_state_dict_replace_and_moves_that_move_nothing():
    model = nn.Sequential(nn.GRU(3, 5))
    fastgru.replace_gru(model)
    x = torch.randn(4, 1, 3)
    expected = quietly(model, x)[0]
    model[0].freeze()
    assert torch.equal(quietly(model.to("cpu").float(), x)[0], expected)
    assert set(model.state_dict()) == set(nn.Sequential(nn.GRU(3, 5)).state_dict())
    with pytest.raises(FrozenError):
        model.double()
    fastgru.restore_gru(model)
    assert all(type(p) is nn.Parameter for p in model.parameters())
    model.double()


def test_another_level_takes_the_plain_way():
    layer, x = fastgru.GRU(3, 5).freeze(), torch.randn(4, 1, 3)
    for name in LEVELS:
        with use_level(name):
            assert torch.equal(quietly(layer, x)[0], quietly(copy.deepcopy(layer), x)[0])


def with_nested_weight(layer):
    layer.weight_hh_l0 = nn.Parameter(torch.nested.nested_tensor([torch.randn(5)] * 15, layout=torch.strided))
    return layer


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (lambda: fastgru.GRU(3, 5, device="meta"), "meta"),
        (lambda: nn.utils.parametrizations.weight_norm(fastgru.GRU(3, 5), "weight_hh_l0"), "weight_hh_l0"),
        (lambda: with_nested_weight(fastgru.GRU(3, 5)), "weight_hh_l0 is a nested tensor"),
    ],
    ids=["meta", "parametrized", "nested"],
)
def test_what_cannot_be_frozen_says_why(layer, words):
    with pytest.raises(FrozenError, match=words):
        layer().freeze()


def test_a_frozen_layer_compiles():
    layer, x = fastgru.GRU(3, 5).freeze(), torch.randn(4, 1, 3)
    compiled = torch.compile(layer, backend="eager")
    with torch.no_grad():
        torch.testing.assert_close(compiled(x)[0], layer(x)[0])


def test_a_frozen_layer_compiles_after_another_was_compiled_in_a_dispatch_mode():
    first, layer, x = fastgru.GRU(3, 5), fastgru.GRU(3, 5).freeze(), torch.randn(4, 1, 3)
    with FlopCounterMode(display=False), torch.no_grad():
        torch.compile(lambda x: first(x), backend="eager")(x)
    compiled = torch.compile(layer, backend="eager")
    with torch.no_grad():  # the compiler begins anew below the layer: it must not follow into the core
        torch.testing.assert_close(compiled(x)[0], layer(x)[0])
