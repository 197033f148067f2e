"""Weights computed by parametrizations, old norms and pruning: training steps are those of torch's layer."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize, prune, spectral_norm, weight_norm

import fastgru
from fastgru.errors import FrozenError
from layer_pairs import batches, everything, example, of_form, sgd, trained
from tolerance import assert_agrees

old_ways = pytest.mark.filterwarnings("ignore:.*(weight|spectral)_norm.* is deprecated:FutureWarning")


class Skew(nn.Module):
    """Three square matrices with nothing but what is above the diagonal to learn."""

    def forward(self, weight):
        upper = weight.unflatten(0, (3, -1)).triu(1)
        return (upper - upper.mT).flatten(0, 1)


def skewed(layer):
    parametrize.register_parametrization(layer, "weight_hh_l0", Skew())


def chained(layer):
    parametrizations.spectral_norm(layer, "weight_hh_l0")
    skewed(layer)


def pruned(layer):
    prune.l1_unstructured(layer, "weight_hh_l0", amount=0.5)
    prune.random_structured(layer, "weight_ih_l0", amount=1, dim=1)


def pruned_twice(layer):
    pruned(layer)
    prune.random_unstructured(layer, "weight_hh_l0", amount=0.3)


def pruned_everywhere(layer):
    kinds = [(layer, name) for name in ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0")]
    prune.global_unstructured(kinds, pruning_method=prune.L1Unstructured, amount=0.4)


PARAMETRIZATIONS = {
    "own": skewed,
    "weight_norm": lambda layer: parametrizations.weight_norm(layer, "weight_hh_l0"),
    "spectral_norm": lambda layer: parametrizations.spectral_norm(layer, "weight_hh_l0"),
    "orthogonal": lambda layer: parametrizations.orthogonal(layer, "weight_hh_l0"),
    "two in a row": chained,
}
BY_HOOKS = {
    "old weight_norm": lambda layer: weight_norm(layer, "weight_hh_l0"),
    "old spectral_norm": lambda layer: spectral_norm(layer, "weight_hh_l0"),
    "pruned": pruned,
    "pruned twice": pruned_twice,
    "pruned everywhere": pruned_everywhere,
}
COMPUTED = PARAMETRIZATIONS | BY_HOOKS


class ComputingOnce(nn.Module):
    """Calls a layer with each weight computed once: torch's reads them several times a call, and spectral_norm takes a
    step towards the norm at each."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        with parametrize.cached():
            return self.layer(x)


def both_with(way, **options):
    """Our layer and torch's, each with `way` applied with the same random numbers."""
    layers = of_form("GRU", **options)
    for layer in layers:
        torch.manual_seed(3)
        COMPUTED[way](layer)
    return layers


@old_ways
@pytest.mark.parametrize("way", COMPUTED)
def test_computed_weights_are_trained_as_torchs(way):
    layers = both_with(way, bidirectional=True)
    ours, stock = (trained(ComputingOnce(layer), batches(), sgd) for layer in layers)
    assert "layer.weight_hh_l0" not in ours
    assert_agrees(ours, stock)
    assert_agrees(*(everything(layer.eval(), example("GRU")) for layer in layers))


@old_ways
@pytest.mark.parametrize("way", COMPUTED)
def test_a_copy_of_a_layer_with_computed_weights_is_trained_as_torchs(way):
    """Copied after a training; torch's own layer cannot always be, so it is trained on."""
    original, stock = map(ComputingOnce, both_with(way))
    trained(original, batches(), sgd)
    trained(stock, batches(), sgd)
    copied = copy.deepcopy(original)
    before = {name: p.detach().clone() for name, p in original.named_parameters()}
    assert_agrees(trained(copied, batches(), sgd), trained(stock, batches(), sgd))
    assert all(torch.equal(p, before[name]) for name, p in original.named_parameters())


def test_a_computed_weight_is_computed_once_a_call():
    layer, calls = fastgru.GRU(3, 5), []
    parametrize.register_parametrization(layer, "weight_hh_l0", Skew())
    layer.parametrizations.weight_hh_l0.register_forward_hook(lambda *_: calls.append(1))
    layer(torch.randn(4, 2, 3))[0].sum().backward()
    assert len(calls) == 1


@old_ways
@pytest.mark.parametrize("way", COMPUTED)
def test_computed_weights_cannot_be_frozen(way):
    layer, _ = both_with(way)
    with pytest.raises(FrozenError, match=r"weight_.h_l0 is a Tensor and not a plain Parameter"):
        layer.freeze()
    assert not layer.is_frozen


REMOVALS = {
    "own": lambda layer: parametrize.remove_parametrizations(layer, "weight_hh_l0"),
    "old weight_norm": lambda layer: nn.utils.remove_weight_norm(layer, "weight_hh_l0"),
    "old spectral_norm": lambda layer: nn.utils.remove_spectral_norm(layer, "weight_hh_l0"),
    "pruned": lambda layer: [prune.remove(layer, name) for name in ("weight_hh_l0", "weight_ih_l0")],
}


@old_ways
@pytest.mark.parametrize("way", REMOVALS)
def test_weights_that_are_plain_again_are_trained_and_frozen(way):
    layers = both_with(way)
    found = []
    for layer in layers:
        trained(layer, batches(), sgd)
        REMOVALS[way](layer)
        found.append(trained(layer, batches(), sgd))
    assert_agrees(*found)
    ours, stock = layers
    with torch.no_grad():
        output = ours.freeze()(example("GRU"))[0]
        assert_agrees({"output": output}, {"output": stock(example("GRU"))[0]})
