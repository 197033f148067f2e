"""Frozen layers with weights in fewer bytes: what they compute, and what cannot be stored."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils.rnn import pack_sequence
from torch.utils.flop_counter import FlopCounterMode

import fastgru
from fastgru.errors import ArgumentError, FrozenError
from fastgru.levels import use_level
from strategies import batches, laid_out, layouts, seeds, sizes, steps

LEVELS = [level.name for level in fastgru.cpu_info() if level.available]
HALVES = {"float16": torch.float16, "bfloat16": torch.bfloat16}
every_level = pytest.mark.parametrize("level", LEVELS)
every_half = pytest.mark.parametrize("weights", HALVES)


def quietly(layer, *args, **kwargs):
    with torch.no_grad():
        return layer(*args, **kwargs)


def with_rounded_weights(layer, weights):
    """A plain layer with the values that the stored weights have."""
    other = copy.deepcopy(layer)
    with torch.no_grad():
        for name, parameter in other.named_parameters():
            if name.startswith("weight"):
                parameter.copy_(parameter.to(HALVES[weights]).float())
    return other


@every_half
@every_level
@settings(max_examples=20)
@given(st.data())
def test_sixteen_bits_give_the_bits_of_a_layer_with_rounded_weights(weights, level, data):
    draw, generator = data.draw, torch.Generator().manual_seed(data.draw(seeds))
    kwargs = {"num_layers": draw(st.integers(1, 2)), "bias": draw(st.booleans())}
    kwargs |= {"bidirectional": draw(st.booleans()), "batch_first": draw(st.booleans())}
    layer = fastgru.GRU(draw(sizes), draw(sizes), **kwargs)
    count, batch = draw(steps), draw(batches)
    shape = (batch, count) if layer.batch_first else (count, batch)
    x = laid_out(torch.randn(*shape, layer.input_size, generator=generator), draw(layouts))
    cells = layer.num_layers * (2 if layer.bidirectional else 1)
    h_0 = torch.randn(cells, batch, layer.hidden_size, generator=generator) if draw(st.booleans()) else None
    options = {}
    if draw(st.booleans()):
        options["lengths"] = torch.randint(count + 1, (batch,), generator=generator)
    if draw(st.booleans()):
        options["reset"] = torch.rand(shape, generator=generator) < 0.3
    with use_level(level):
        want = quietly(with_rounded_weights(layer, weights), x, h_0, **options)
        got = quietly(layer.freeze(weights), x, h_0, **options)
    assert all(torch.equal(a, b) for a, b in zip(got, want, strict=True))


@every_half
@every_level
@pytest.mark.parametrize("batch", [1, 2, 5])
@pytest.mark.parametrize("sizes", [(7, 65), (33, 131), (64, 301)])
def test_sixteen_bits_of_large_layers_give_the_same_bits(weights, level, batch, sizes):
    layer, x = fastgru.GRU(*sizes), torch.randn(6, batch, sizes[0])
    with use_level(level):
        want = quietly(with_rounded_weights(layer, weights), x)
        got = quietly(layer.freeze(weights), x)
    assert all(torch.equal(a, b) for a, b in zip(got, want, strict=True))


@every_half
def test_packed_sequences_and_other_ways_of_a_call(weights):
    layer = fastgru.GRU(3, 5, 2, learn_h0=True, return_all_layers=False)
    packed, x = pack_sequence([torch.randn(4, 3), torch.randn(2, 3)]), torch.randn(4, 2, 3)
    rounded = with_rounded_weights(layer, weights)
    want = [quietly(rounded, packed)[0].data, quietly(rounded, x)[0]]
    layer.freeze(weights)
    with FlopCounterMode(display=False):  # the core cannot serve what a mode follows
        followed = quietly(layer, x)[0]
    got = [quietly(layer, packed)[0].data, quietly(layer, x)[0]]
    assert all(torch.equal(a, b) for a, b in zip(got, want, strict=True))
    assert torch.equal(followed, want[1])
    assert torch.equal(torch.vmap(lambda x: quietly(layer, x)[0])(x.unsqueeze(0))[0], want[1])
    assert torch.equal(quietly(torch.compile(layer, backend="eager"), x)[0], want[1])


@every_half
def test_another_level_gives_its_own_bits(weights):
    layer, x = fastgru.GRU(3, 5), torch.randn(4, 1, 3)
    rounded = with_rounded_weights(layer, weights)
    layer.freeze(weights)
    for name in LEVELS:
        with use_level(name):
            assert torch.equal(quietly(layer, x)[0], quietly(rounded, x)[0])


@every_half
def test_a_stepper_gives_the_bits_of_the_frozen_layer(weights):
    layer, x = fastgru.GRU(8, 33, 2), torch.randn(7, 3, 8)
    alone = layer.stepper(batch=3, weights=weights)
    outputs = [alone(step).clone() for step in x]
    want = quietly(layer.freeze(weights), x)[0]
    assert torch.equal(torch.stack(outputs), want)
    frozen = layer.stepper(batch=3)
    assert torch.equal(torch.stack([frozen(step).clone() for step in x]), want)


def test_stateful_layers_too():
    layer, x = fastgru.StatefulGRU(4, 6), torch.randn(6, 2, 4)
    rounded = with_rounded_weights(layer, "bfloat16")
    layer.freeze("bfloat16")
    assert torch.equal(torch.cat([quietly(layer, part)[0] for part in x.split(2)]), quietly(rounded, x)[0])


def test_calls_with_gradients_take_the_parameters():
    layer, x = fastgru.GRU(3, 5, 2), torch.randn(4, 2, 3, requires_grad=True)
    tensors = [x, *layer.parameters()]
    output = layer(x)[0]
    before = [output, *torch.autograd.grad(output.sum(), tensors)]
    output = layer.freeze("bfloat16")(x)[0]
    after = [output, *torch.autograd.grad(output.sum(), tensors)]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_other_parameters_take_the_plain_way():
    layer, x = fastgru.GRU(3, 5), torch.randn(4, 2, 3)
    others = {name: torch.randn_like(p) for name, p in layer.named_parameters()}
    with torch.no_grad():
        want = torch.func.functional_call(layer, others, (x,))[0]
        got = torch.func.functional_call(layer.freeze("bfloat16"), others, (x,))[0]
    assert torch.equal(got, want)


@every_half
def test_a_write_is_announced(weights):
    layer, x = fastgru.GRU(3, 5).freeze(weights), torch.randn(4, 1, 3)
    with torch.no_grad():
        layer.weight_hh_l0.mul_(2)
    for input in (x, x.mT.contiguous().mT):
        with pytest.raises(FrozenError, match="unfreeze"):
            quietly(layer, input)


def test_freezing_again_changes_the_type_and_unfreezing_ends_it():
    layer, x = fastgru.GRU(3, 5), torch.randn(4, 1, 3)
    plain = quietly(layer, x)[0]
    layer.freeze("bfloat16").freeze("float16")
    assert "weights=float16" in repr(layer)
    assert "weights: frozen, stored as float16" in str(fastgru.explain(layer, x))
    assert torch.equal(quietly(layer, x)[0], quietly(with_rounded_weights(layer, "float16"), x)[0])
    layer.unfreeze()
    assert "weights=" not in repr(layer)
    assert fastgru.explain(layer, x).weights is None
    assert torch.equal(quietly(layer, x)[0], plain)
    assert torch.equal(quietly(layer.freeze(), x)[0], plain)
    assert "weights=" not in repr(layer)


def test_a_model_in_one_line():
    model = nn.Sequential(nn.GRU(3, 4))
    report = fastgru.replace_gru(model, freeze=True, weights="bfloat16")
    assert report.freezing.frozen == ("0",)
    assert "weights=bfloat16" in repr(model)
    model = nn.ModuleList([fastgru.GRU(3, 4), fastgru.GRU(3, 4, dtype=torch.float64)])
    report = fastgru.freeze(model, weights="float16")
    assert report.frozen == ("0",)
    assert "float64" in report.skipped["1"]


@pytest.mark.parametrize("wrong", ["int4", "float32", 8, torch.float16, ["float16"]])
def test_unknown_names_list_the_choices(wrong):
    layer = fastgru.GRU(3, 4)
    for refused in (layer.freeze, lambda weights: layer.stepper(weights=weights), lambda w: fastgru.freeze(layer, w)):
        with pytest.raises(ArgumentError, match="'float16', 'bfloat16', 'int8'"):
            refused(wrong)
    stock = nn.GRU(3, 4)
    with pytest.raises(ValueError, match="'float16', 'bfloat16', 'int8'"):
        fastgru.replace_gru(stock, freeze=True, weights=wrong)
    assert type(stock) is not fastgru.GRU
    assert not layer.is_frozen


def test_weights_without_freezing_are_refused():
    with pytest.raises(ArgumentError, match="freeze=True"):
        fastgru.replace_gru(nn.GRU(3, 4), weights="float16")


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
@every_half
def test_only_float32_layers_are_stored_otherwise(weights, dtype):
    with pytest.raises(FrozenError, match=f"{dtype} and not torch"):
        fastgru.GRU(3, 4, dtype=dtype).freeze(weights)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@every_half
def test_what_is_not_finite_is_refused_by_name(weights, value):
    layer = fastgru.GRU(3, 4, 2)
    with torch.no_grad():
        layer.weight_ih_l1[2, 1] = value
    for refused in (layer.freeze, lambda weights: layer.stepper(weights=weights)):
        with pytest.raises(FrozenError, match="weight_ih_l1 has a NaN or infinite value"):
            refused(weights)
    assert not layer.is_frozen


@pytest.mark.parametrize(("weights", "value"), [("float16", 65520.0), ("float16", -1e6), ("bfloat16", 3.4e38)])
def test_what_becomes_infinite_is_refused_by_name(weights, value):
    layer = fastgru.GRU(3, 4)
    with torch.no_grad():
        layer.weight_hh_l0[0, 0] = value
    with pytest.raises(FrozenError, match=r"weight_hh_l0 .* becomes infinite"):
        layer.freeze(weights)
    with torch.no_grad():
        layer.weight_hh_l0[0, 0] = 65519.0
    layer.freeze(weights)


@every_half
def test_copies_are_not_frozen(weights):
    layer, x = fastgru.GRU(3, 5), torch.randn(4, 1, 3)
    plain = quietly(layer, x)[0]
    copied = copy.deepcopy(layer.freeze(weights))
    assert not copied.is_frozen
    assert torch.equal(quietly(copied, x)[0], plain)
