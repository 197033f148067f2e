"""Replacing the layers of a model in place, and restoring them."""

from __future__ import annotations

import copy
import pickle
import types

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, weight_norm

import fastgru
from layer_pairs import results
from tolerance import assert_agrees

STOCK_GRU = nn.GRU
STOCK_CELL = nn.GRUCell


class Tagger(nn.Module):
    """A layer, the same layer once more, a list of layers and a cell."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = STOCK_GRU(4, 5, num_layers=2, bidirectional=True, batch_first=True)
        self.again = self.encoder
        self.stack = nn.ModuleList([STOCK_GRU(10, 3, bias=False), nn.Sequential(nn.Linear(3, 3))])
        self.cell = STOCK_CELL(3, 6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        output, _ = self.encoder(x)
        output, _ = self.stack[0](output)
        return self.cell(output[-1])


class OwnForward(STOCK_GRU):
    def forward(self, input: torch.Tensor, hx: torch.Tensor | None = None):
        output, h_n = super().forward(input, hx)
        return 2 * output, h_n


def close(got, want) -> None:
    assert_agrees(dict(enumerate(results(got))), dict(enumerate(results(want))))


def test_every_layer_is_swapped_and_the_report_names_it():
    model = Tagger()
    report = fastgru.replace_gru(model)
    assert report.model is model
    assert report.swapped == {
        "encoder": "fastgru.GRU",
        "stack.0": "fastgru.GRU",
        "cell": "fastgru.GRUCell",
    }
    assert report.skipped == {}
    assert type(model.encoder) is type(model.stack[0]) is fastgru.GRU
    assert type(model.cell) is fastgru.GRUCell
    assert model.again is model.encoder
    assert "_flat_weights" not in vars(model.encoder), "torch's list would keep old weights alive"


def test_the_report_reads_well():
    model = nn.ModuleDict({"a": STOCK_GRU(1, 2), "b": OwnForward(1, 2)})
    assert str(fastgru.replace_gru(model)) == (
        "Layers changed: 1; left as they were: 1.\n"
        "  a: now fastgru.GRU\n"
        f"  b: left, {__name__}.OwnForward is a subclass that may have code of its own"
    )


def test_outputs_stay_the_same():
    model = Tagger()
    x = torch.randn(2, 7, 4)
    want = model(x)
    fastgru.replace_gru(model)
    close(model(x), want)


def test_parameters_are_the_same_objects_so_an_optimizer_goes_on():
    model = Tagger()
    before = dict(model.named_parameters())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    fastgru.replace_gru(model)
    after = dict(model.named_parameters())
    assert list(before) == list(after)
    assert all(before[name] is after[name] for name in before)
    x = torch.randn(2, 7, 4)
    loss = model(x).square().sum()
    loss.backward()
    optimizer.step()
    assert model(x).square().sum() < loss


def test_state_dict_keeps_its_keys_in_order():
    model = Tagger()
    keys = list(model.state_dict())
    fastgru.replace_gru(model)
    assert list(model.state_dict()) == keys


def test_a_bare_layer_is_swapped_in_place():
    layer = STOCK_GRU(3, 4)
    report = fastgru.replace_gru(layer)
    assert report.model is layer
    assert type(layer) is fastgru.GRU
    assert "the model itself: now fastgru.GRU" in str(report)


def test_flags_hooks_and_own_attributes_stay():
    layer = STOCK_GRU(3, 4, num_layers=2, dropout=0.5, dtype=torch.float64)
    layer.eval()
    layer.weight_hh_l0.requires_grad_(False)
    layer.note = "mine"
    seen = []
    layer.register_forward_hook(lambda module, args, result: seen.append(type(module)))
    fastgru.replace_gru(layer)
    layer(torch.randn(5, 3, dtype=torch.float64))
    assert seen == [fastgru.GRU]
    assert not layer.training
    assert not layer.weight_hh_l0.requires_grad
    assert layer.weight_ih_l0.dtype is torch.float64
    assert layer.note == "mine"


def test_doing_it_twice_changes_nothing():
    model = Tagger()
    fastgru.replace_gru(model)
    report = fastgru.replace_gru(model)
    assert not report.swapped
    assert not report.skipped


@pytest.mark.parametrize("swap_first", [True, False])
def test_restore_brings_torchs_layers_back(swap_first):
    model = Tagger()
    x = torch.randn(2, 7, 4)
    want = model(x)
    parameters = list(model.parameters())
    if swap_first:
        fastgru.replace_gru(model)
    report = fastgru.restore_gru(model)
    assert type(model.encoder) is STOCK_GRU
    assert type(model.cell) is STOCK_CELL
    assert report.swapped == (
        {"encoder": "torch.nn.GRU", "stack.0": "torch.nn.GRU", "cell": "torch.nn.GRUCell"} if swap_first else {}
    )
    assert all(a is b for a, b in zip(parameters, model.parameters(), strict=True))
    close(model(x), want)


def test_a_layer_built_as_ours_can_be_restored_pickled_and_scripted():
    layer = fastgru.GRU(3, 4, num_layers=2)
    x = torch.randn(5, 3)
    want = layer(x)[0]
    fastgru.restore_gru(layer)
    close(layer(x)[0], want)
    close(pickle.loads(pickle.dumps(layer))(x)[0], want)
    layer.double()
    assert layer._flat_weights[0] is layer.weight_ih_l0


def test_restored_weights_changed_by_functional_call_are_seen():
    layer = fastgru.GRU(3, 4)
    fastgru.restore_gru(layer)
    other = STOCK_GRU(3, 4)
    x = torch.randn(5, 3)
    got = torch.func.functional_call(layer, dict(other.named_parameters()), (x,))[0]
    close(got, other(x)[0])


def test_a_subclass_with_its_own_forward_is_left_alone():
    model = nn.Sequential(OwnForward(3, 4))
    report = fastgru.replace_gru(model)
    assert type(model[0]) is OwnForward
    assert "OwnForward is a subclass" in report.skipped["0"]


def test_a_forward_replaced_on_the_object_is_left_alone():
    layer = STOCK_GRU(3, 4)
    layer.forward = types.MethodType(lambda self, x: x, layer)
    report = fastgru.replace_gru(layer)
    assert type(layer) is STOCK_GRU
    assert report.skipped == {"": "its `forward` was replaced on this object"}


@pytest.mark.parametrize("kind", [STOCK_GRU, STOCK_CELL])
def test_parametrized_layers_are_swapped_and_restored(kind):
    layer = kind(3, 4)
    name = next(name for name, _ in layer.named_parameters() if "weight_hh" in name)
    parametrizations.weight_norm(layer, name)
    x = torch.randn(2, 3)
    want = layer(x)
    keys = list(layer.state_dict())

    fastgru.replace_gru(layer)
    assert isinstance(layer, fastgru.GRU if kind is STOCK_GRU else fastgru.GRUCell)
    assert list(layer.state_dict()) == keys
    close(layer(x), want)
    close(copy.deepcopy(layer)(x), want)
    assert not fastgru.replace_gru(layer).swapped

    fastgru.restore_gru(layer)
    assert isinstance(layer, kind)
    close(layer(x), want)


def test_a_parametrization_removed_after_the_swap_leaves_our_class():
    layer = STOCK_GRU(3, 4)
    parametrizations.spectral_norm(layer, "weight_hh_l0")
    fastgru.replace_gru(layer)
    nn.utils.parametrize.remove_parametrizations(layer, "weight_hh_l0")
    assert type(layer) is fastgru.GRU


@pytest.mark.filterwarnings("ignore:.*weight_norm.* is deprecated:FutureWarning")
def test_weight_norm_of_the_old_kind_goes_on_after_the_swap():
    layer = weight_norm(STOCK_GRU(3, 4), "weight_hh_l0")
    x = torch.randn(5, 3)
    layer(x)
    fastgru.replace_gru(layer)
    with torch.no_grad():
        layer.weight_hh_l0_g.mul_(2)
    want = STOCK_GRU(3, 4)
    layer(x)
    with torch.no_grad():
        for name, parameter in want.named_parameters():
            parameter.copy_(getattr(layer, name))
    close(layer(x)[0], want(x)[0])


def test_what_is_not_a_module_is_refused():
    with pytest.raises(TypeError, match=r"`model` is a type\. Expected a torch\.nn\.Module\. Pass"):
        fastgru.replace_gru(STOCK_GRU)
    with pytest.raises(TypeError, match=r"`model` is a list"):
        fastgru.restore_gru([STOCK_GRU(3, 4)])


# -- freezing a whole model ----------------------------------------------------------------------


def test_a_model_is_swapped_and_frozen_in_one_line():
    model, x = Tagger().eval(), torch.randn(2, 6, 4)
    with torch.no_grad():
        expected = model(x)
        report = fastgru.replace_gru(model, freeze=True)
        assert report.freezing.frozen == ("encoder", "stack.0")
        assert report.freezing.skipped == {}
        assert torch.allclose(model(x), expected, atol=1e-6)
        assert model.encoder.is_frozen
        model.encoder.weight_hh_l0.mul_(2)
        with pytest.raises(fastgru.errors.FrozenError):
            model(x)


def test_freezing_gives_the_same_bits():
    model, x = fastgru.replace_gru(Tagger().eval()).model, torch.randn(2, 6, 4)
    with torch.no_grad():
        expected = model(x)
        fastgru.freeze(model)
        assert torch.equal(model(x), expected)
        fastgru.unfreeze(model)
        assert not model.encoder.is_frozen
        assert torch.equal(model(x), expected)


def test_a_layer_that_cannot_be_frozen_is_reported_and_the_others_are_frozen():
    model = nn.Sequential(
        fastgru.GRU(3, 4), parametrizations.weight_norm(fastgru.GRU(3, 4), "weight_hh_l0"), nn.Linear(3, 4)
    )
    model.append(STOCK_GRU(3, 4)).append(fastgru.GRU(3, 4, proj_size=2))
    report = fastgru.freeze(model)
    assert report.frozen == ("0",)
    assert list(report.skipped) == ["1", "3", "4"]
    assert "weight_hh_l0" in report.skipped["1"]
    assert "replace_gru" in report.skipped["3"]
    assert "proj_size" in report.skipped["4"]
    assert repr(report).startswith("Layers frozen: 1; not frozen: 3.")


@pytest.mark.parametrize("call", [fastgru.freeze, fastgru.unfreeze])
def test_freezing_takes_models_alone(call):
    with pytest.raises(TypeError, match=r"Expected a torch\.nn\.Module"):
        call([fastgru.GRU(3, 4)])
