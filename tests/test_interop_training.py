"""Training in common ways: optimizers, averages, tied and swapped weights, compared with torch's layer."""

from __future__ import annotations

import copy
import functools

import pytest
import torch
from torch import nn
from torch.optim import swa_utils

import fastgru
from layer_pairs import FORMS, batches, everything, example, of_form, pair, sgd, trained
from tolerance import assert_agrees

# -- optimizers ----------------------------------------------------------------------------------

OPTIMIZERS = {
    "SGD": sgd,
    "SGD fused": functools.partial(sgd, fused=True),
    "SGD foreach": functools.partial(sgd, foreach=True),
    "Adam fused": functools.partial(torch.optim.Adam, lr=0.01, fused=True),
    "Adam foreach": functools.partial(torch.optim.Adam, lr=0.01, foreach=True, amsgrad=True),
    "AdamW": functools.partial(torch.optim.AdamW, lr=0.01),
    "Adagrad fused": functools.partial(torch.optim.Adagrad, lr=0.01, fused=True),
    "RMSprop": functools.partial(torch.optim.RMSprop, lr=0.01, centered=True),
    "LBFGS": functools.partial(torch.optim.LBFGS, max_iter=3),
}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_optimizers_take_the_same_steps(optimizer):
    ours, stock = (trained(la, batches(), OPTIMIZERS[optimizer]) for la in of_form("GRU", num_layers=2))
    assert ours["loss 4"] < ours["loss 0"]
    assert_agrees(ours, stock)


@pytest.mark.parametrize("foreach", [False, True])
def test_clipped_gradients(foreach):
    found = []
    for layer in of_form("GRU", bidirectional=True):
        norms = []

        def clip(layer=layer, norms=norms):
            norms.append(nn.utils.clip_grad_norm_(layer.parameters(), 0.05, foreach=foreach))
            nn.utils.clip_grad_value_(layer.parameters(), 0.01, foreach=foreach)

        found.append(trained(layer, batches(), sgd, clip) | {f"norm {i}": norm for i, norm in enumerate(norms)})
    assert_agrees(*found)


AVERAGES = {
    "equal": {},
    "exponential": {"multi_avg_fn": swa_utils.get_ema_multi_avg_fn(0.9)},
    "of buffers too": {"avg_fn": swa_utils.get_ema_avg_fn(0.9), "use_buffers": True},
}


@pytest.mark.parametrize("average", AVERAGES)
def test_averages_of_the_weights(average):
    """The average is a copy of the layer, made after calls, whose weights are written in place."""
    found = []
    for layer in of_form("GRU"):
        layer(example("GRU"))
        mean = swa_utils.AveragedModel(layer, **AVERAGES[average])
        trained(layer, batches(), sgd, functools.partial(mean.update_parameters, layer))
        found.append(everything(mean, example("GRU")))
    assert_agrees(*found)


def test_gradients_may_stay_and_be_set_to_zero():
    found = []
    for layer in of_form("GRU"):
        trained(layer, batches(), sgd)
        kept = {name: p.grad for name, p in layer.named_parameters()}
        torch.optim.SGD(layer.parameters()).zero_grad(set_to_none=False)
        assert not any(grad.any() for grad in kept.values())
        layer(example("GRU"))[0].sum().backward()
        assert all(p.grad is kept[name] for name, p in layer.named_parameters())
        found.append(kept)
    assert_agrees(*found)


# -- shared and swapped weights ------------------------------------------------------------------


class TwoLayers(nn.Module):
    """A layer upon another, with some weights of the first in both; `twice` is the first, under another name."""

    def __init__(self, first, second):
        super().__init__()
        self.first, self.second, self.twice = first, second, first
        second.weight_hh_l0 = first.weight_hh_l0
        second.bias_hh_l0 = first.bias_hh_l0

    def forward(self, x):
        return self.twice(self.second(self.first(x)[0])[0])


def test_tied_weights_are_trained_as_torchs():
    models = [TwoLayers(*layers) for layers in zip(pair("GRU", 5, 5), pair("GRU", 5, 5), strict=True)]
    data = [torch.randn(4, 2, 5, dtype=torch.float64) for _ in range(5)]
    found = [trained(model.double(), data, sgd) for model in models]
    assert "second.weight_hh_l0" not in found[0]  # counted once
    assert_agrees(*found)
    for model in models:
        copied = copy.deepcopy(model)
        assert copied.second.weight_hh_l0 is copied.first.weight_hh_l0
        assert copied.first.weight_hh_l0 is not model.first.weight_hh_l0


@pytest.fixture
def swapping():
    """Parameters go on as the same objects when a module is moved or loaded, from the call of what this yields."""
    yield lambda: torch.__future__.set_swap_module_params_on_conversion(True)
    torch.__future__.set_swap_module_params_on_conversion(False)


@pytest.mark.parametrize(("kind", "options"), FORMS, ids=str)
def test_conversion_may_swap_the_parameters(swapping, kind, options):
    layers = pair(kind, 3, 5, **options)
    swapping()
    found = []
    for layer in layers:
        everything(layer, example(kind).float())
        before = list(layer.parameters())
        layer.to(torch.float64)
        assert all(a is b and b.dtype is torch.float64 for a, b in zip(before, layer.parameters(), strict=True))
        found.append(everything(layer, example(kind)))
    assert_agrees(*found)


@pytest.mark.parametrize("assign", [False, True])
def test_loading_may_swap_the_parameters_of_layers(swapping, assign):
    """Torch's own layer refuses this."""
    swapping()
    layer, other, x = fastgru.GRU(3, 4, 2), fastgru.GRU(3, 4, 2), torch.randn(5, 2, 3)
    before = list(layer.parameters())
    layer.load_state_dict(other.state_dict(), assign=assign)
    assert all(a is b for a, b in zip(before, layer.parameters(), strict=True))
    assert torch.equal(layer(x)[0], other(x)[0])
    layer.freeze().load_state_dict(fastgru.GRU(3, 4, 2).state_dict())
    with torch.no_grad(), pytest.raises(fastgru.errors.FrozenError, match="written to after freeze"):
        layer(x)


def test_loading_may_swap_the_parameters_of_cells(swapping):
    swapping()
    found = []
    for layer in of_form("GRUCell"):
        before = list(layer.parameters())
        layer.load_state_dict({name: 2 * weight for name, weight in layer.state_dict().items()})
        torch.utils.swap_tensors(layer.bias_hh, nn.Parameter(torch.ones_like(layer.bias_hh)))
        assert all(a is b for a, b in zip(before, layer.parameters(), strict=True))
        found.append(everything(layer, example("GRUCell")))
    assert_agrees(*found)
