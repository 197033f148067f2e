"""Copying, saving and changing the weights of a layer."""

from __future__ import annotations

import copy
import io
import pickle

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize, prune, weight_norm

import fastgru
from layer_pairs import KINDS, everything, pair
from tolerance import assert_agrees

old_weight_norm = pytest.mark.filterwarnings("ignore:.*weight_norm.* is deprecated:FutureWarning")
every_kind = pytest.mark.parametrize("kind", KINDS)


def saved_and_loaded(layer):
    file = io.BytesIO()
    torch.save(layer, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


COPIES = {
    "pickle": lambda layer: pickle.loads(pickle.dumps(layer)),
    "deepcopy": copy.deepcopy,
    "torch.save": saved_and_loaded,
}


@every_kind
@pytest.mark.parametrize("way", COPIES)
def test_a_copy_computes_the_same_and_shares_nothing(kind, way):
    layer = getattr(fastgru, kind)(3, 5).eval()
    x = torch.randn(4, 3)
    layer(x)
    twin = COPIES[way](layer)
    assert type(twin) is type(layer)
    assert not twin.training
    assert torch.equal(twin(x)[0], layer(x)[0])
    with torch.no_grad():
        next(layer.parameters()).add_(1)
    assert not torch.equal(twin(x)[0], layer(x)[0])


def test_a_copy_of_a_list_keeps_what_is_shared():
    layer = fastgru.GRU(3, 5)
    one, two = copy.deepcopy([layer, layer])
    assert one is two


def test_state_dict_survives_a_file():
    layer, other = fastgru.GRU(3, 5, 2), nn.GRU(3, 5, 2)
    file = io.BytesIO()
    torch.save(layer.state_dict(), file)
    file.seek(0)
    other.load_state_dict(torch.load(file, weights_only=True))
    x = torch.randn(4, 2, 3)
    assert_agrees(everything(layer, x), everything(other, x))


def test_deepcopy_after_a_forward_with_the_new_weight_norm():
    layer = parametrizations.weight_norm(fastgru.GRU(3, 5), "weight_hh_l0")
    x = torch.randn(4, 3)
    want = layer(x)[0]
    twin = copy.deepcopy(layer)
    assert torch.equal(twin(x)[0], want)
    with torch.no_grad():
        layer.parametrizations.weight_hh_l0.original0.mul_(2)
    assert torch.equal(twin(x)[0], want)
    assert not torch.equal(layer(x)[0], want)


@old_weight_norm
def test_deepcopy_with_the_old_weight_norm():
    layer = weight_norm(fastgru.GRU(3, 5), "weight_hh_l0")
    x = torch.randn(4, 3)
    with torch.no_grad():
        want = layer(x)[0]
        twin = copy.deepcopy(layer)
        assert torch.equal(twin(x)[0], want)
        layer.weight_hh_l0_g.mul_(2)
        assert torch.equal(twin(x)[0], want)
        assert not torch.equal(layer(x)[0], want)


# -- weights that change -------------------------------------------------------------------------


def by_optimizer(layer):
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.5)
    for parameter in layer.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()


def by_fused_optimizer(layer):
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.5, foreach=True)
    for parameter in layer.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()


def by_data(layer):
    layer.weight_hh_l0.data.mul_(2)


def by_data_of_another(layer):
    layer.weight_hh_l0.data = layer.weight_hh_l0.data.clone() * 2


def in_place(layer):
    with torch.no_grad():
        layer.weight_ih_l0.add_(1)


def by_numpy(layer):
    layer.bias_hh_l0.detach().numpy()[:] = 0.5


def by_moving_average(layer):
    average = torch.optim.swa_utils.AveragedModel(layer)
    with torch.no_grad():
        layer.weight_hh_l0.zero_()
    average.update_parameters(layer)
    layer.load_state_dict(average.module.state_dict())


def by_load_state_dict(layer):
    layer.load_state_dict({n: w + 1 for n, w in layer.state_dict().items()})


def by_assigning_state_dict(layer):
    layer.load_state_dict({n: w + 1 for n, w in layer.state_dict().items()}, assign=True)


def by_a_new_parameter(layer):
    layer.weight_hh_l0 = nn.Parameter(torch.zeros_like(layer.weight_hh_l0))


def by_tying(layer):
    layer.bias_hh_l0 = layer.bias_ih_l0


def by_initialisation(layer):
    nn.init.orthogonal_(layer.weight_hh_l0)


def by_pruning(layer):
    prune.l1_unstructured(layer, "weight_hh_l0", amount=0.5)


def by_moving_there_and_back(layer):
    layer.double()
    layer.weight_hh_l0.data.mul_(2)
    layer.float()


def by_the_vector_of_all(layer):
    vector = nn.utils.parameters_to_vector(layer.parameters())
    nn.utils.vector_to_parameters(2 * vector.detach(), layer.parameters())


CHANGES = [
    in_place,
    by_data,
    by_data_of_another,
    by_numpy,
    by_optimizer,
    by_fused_optimizer,
    by_moving_average,
    by_load_state_dict,
    by_assigning_state_dict,
    by_a_new_parameter,
    by_tying,
    by_initialisation,
    by_pruning,
    by_moving_there_and_back,
    by_the_vector_of_all,
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
@pytest.mark.parametrize("grad", [False, True], ids=["inference", "training"])
def test_a_changed_weight_is_seen_by_the_next_call(change, grad):
    ours, stock = pair("GRU", 3, 5)
    x = torch.randn(6, 2, 3)
    with torch.set_grad_enabled(grad):
        before = ours(x)[0]
    torch.manual_seed(0)
    change(ours)
    torch.manual_seed(0)
    change(stock)
    with torch.set_grad_enabled(grad):
        after = ours(x)[0]
        assert not torch.equal(after, before)
        assert_agrees({"output": after}, {"output": stock(x)[0]})
    assert_agrees(everything(ours, x), everything(stock, x))


def test_functional_call_uses_the_given_weights_and_gives_them_gradients():
    ours, stock = pair("GRU", 3, 5, 2, bidirectional=True)
    x = torch.randn(6, 2, 3)
    ours(x)
    given = {n: (2 * w).detach().requires_grad_() for n, w in ours.named_parameters()}
    total = {}
    for name, layer in (("ours", ours), ("stock", stock)):
        output, _ = torch.func.functional_call(layer, given, (x,))
        grads = torch.autograd.grad(output.sin().sum(), list(given.values()))
        total[name] = {"output": output.detach(), **dict(zip(given, grads, strict=True))}
    assert_agrees(total["ours"], total["stock"])
    assert_agrees(everything(ours, x), everything(stock, x))


def test_tied_layers_add_up_their_gradients():
    ours, stock = pair("GRU", 5, 5)
    models = []
    for layer in (ours, stock):
        second = type(layer)(5, 5)
        second.weight_hh_l0 = layer.weight_hh_l0
        second.load_state_dict(layer.state_dict())
        models.append([layer, second])
    grads = []
    for first, second in models:
        first.zero_grad()
        x = torch.linspace(-1, 1, 60).view(6, 2, 5)
        second(first(x)[0])[0].square().sum().backward()
        grads.append({"weight_hh": first.weight_hh_l0.grad, "bias": first.bias_hh_l0.grad})
    assert_agrees(*grads)


def test_parametrizations_are_computed_at_each_call_and_get_gradients():
    class Double(nn.Module):
        def forward(self, weight):
            return 2 * weight

    ours, stock = pair("GRU", 3, 5)
    for layer in (ours, stock):
        parametrize.register_parametrization(layer, "weight_hh_l0", Double())
    x = torch.randn(6, 2, 3)
    for _ in range(2):
        assert_agrees(everything(ours, x), everything(stock, x))
        for layer in (ours, stock):
            layer.parametrizations.weight_hh_l0.original.data.mul_(0.5)


def test_an_ensemble_of_stacked_layers():
    layers = [fastgru.GRU(3, 5) for _ in range(3)]
    weights, buffers = torch.func.stack_module_state(layers)
    x = torch.randn(6, 2, 3)

    def run(weights, buffers):
        return torch.func.functional_call(layers[0], (weights, buffers), (x,))[0]

    got = torch.vmap(run)(weights, buffers)
    assert_agrees({"output": got}, {"output": torch.stack([layer(x)[0] for layer in layers])})
