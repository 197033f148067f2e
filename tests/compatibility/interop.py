"""The layer with torch's tools for modules."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize, prune, weight_norm
from torch.utils.checkpoint import checkpoint

from compatibility.models import Model, agree, learns, trained
from compatibility.registry import Library, capability, proved_by

HEADING = "With torch's own tools"


def learns_computed(library: Library, compute: Callable[[nn.Module], Any]) -> None:
    """A layer with a weight that `compute` makes from others learns what torch's layer learns."""
    layer, stock = library.GRU(3, 5, dtype=torch.float64), nn.GRU(3, 5, dtype=torch.float64)
    stock.load_state_dict(layer.state_dict())
    x, losses = torch.randn(5, 4, 3, dtype=torch.float64), []
    for one in (layer, stock):
        torch.manual_seed(1)  # spectral norms begin with random vectors
        compute(one)
        losses.append(torch.tensor(learns(one, x) + learns(one.eval(), x), dtype=torch.float64))
    agree(*losses)


@capability("`use_deterministic_algorithms`")
def is_deterministic(library: Library) -> None:
    model, x = Model(library), torch.randn(5, 4, 3)
    torch.use_deterministic_algorithms(True)
    try:
        first, second = trained(model, model, x), trained(model, model, x)
    finally:
        torch.use_deterministic_algorithms(False)
    assert all(torch.equal(*pair) for pair in zip(first, second, strict=True))


@capability("hooks before and after the forward and the backward pass")
def calls_hooks(library: Library) -> None:
    layer, told = library.GRU(3, 5), []
    for name in ("forward_pre", "forward", "full_backward_pre", "full_backward"):
        getattr(layer, f"register_{name}_hook")(lambda *_, name=name: told.append(name))
    layer(torch.randn(4, 2, 3, requires_grad=True))[0].sum().backward()
    assert told == ["forward_pre", "forward", "full_backward_pre", "full_backward"]


@capability("a custom parametrization")
def trains_parametrized(library: Library) -> None:
    class Halved(nn.Module):
        def forward(self, weight: torch.Tensor) -> torch.Tensor:
            return weight / 2

    learns_computed(library, lambda layer: parametrize.register_parametrization(layer, "weight_hh_l0", Halved()))


@capability("`parametrizations.weight_norm`, `spectral_norm`, `orthogonal`")
def trains_with_norms(library: Library) -> None:
    for norm in (parametrizations.weight_norm, parametrizations.spectral_norm, parametrizations.orthogonal):
        learns_computed(library, lambda layer, norm=norm: norm(layer, "weight_hh_l0"))


@capability("the old `weight_norm` and `spectral_norm`")
def trains_with_old_norms(library: Library) -> None:
    for norm in (weight_norm, nn.utils.spectral_norm):
        learns_computed(library, lambda layer, norm=norm: norm(layer, "weight_hh_l0"))


@capability("pruning")
def trains_pruned(library: Library) -> None:
    learns_computed(library, lambda layer: prune.l1_unstructured(layer, "weight_hh_l0", amount=0.5))


@capability("`deepcopy` and `pickle` after a call with the old `weight_norm`")
def copies_with_old_norm(library: Library) -> None:
    layer, x = weight_norm(library.GRU(3, 5), "weight_hh_l0"), torch.randn(4, 2, 3)
    want = layer(x)
    for copied in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        agree(copied(x), want)


@capability("`deepcopy` after a call with `parametrizations.weight_norm`")
def copies_with_norm(library: Library) -> None:
    layer, x = parametrizations.weight_norm(library.GRU(3, 5), "weight_hh_l0"), torch.randn(4, 2, 3)
    want = layer(x)
    twin = copy.deepcopy(layer)
    agree(twin(x), want)
    with torch.no_grad():
        layer.parametrizations.weight_hh_l0.original0.mul_(2)
    agree(twin(x), want)
    assert not torch.equal(layer(x)[0], want[0]), "a new weight is not seen"


@capability("weights tied between layers, also after `deepcopy`")
def trains_with_tied_weights(library: Library) -> None:
    model = nn.ModuleList([library.GRU(3, 3), library.GRU(3, 3)])
    model[1].weight_hh_l0 = model[0].weight_hh_l0
    for one in (model, copy.deepcopy(model)):
        assert one[0].weight_hh_l0 is one[1].weight_hh_l0
        one.forward = lambda x, one=one: one[1](one[0](x)[0])
        learns(one)


@contextmanager
def swapping() -> Iterator[None]:
    before = torch.__future__.get_swap_module_params_on_conversion()
    torch.__future__.set_swap_module_params_on_conversion(True)
    try:
        yield
    finally:
        torch.__future__.set_swap_module_params_on_conversion(before)


@capability("conversion by swapping parameters (`set_swap_module_params_on_conversion`)")
def converts_by_swapping(library: Library) -> None:
    layer, before = (made := library.GRU(3, 5)), list(made.parameters())
    with swapping():
        layer.to(torch.float64)
    assert all(a is b for a, b in zip(before, layer.parameters(), strict=True))
    layer(torch.randn(4, 2, 3, dtype=torch.float64))


@capability("loading by swapping parameters")
def loads_by_swapping(library: Library) -> None:
    layer, other = library.GRU(3, 5), library.GRU(3, 5)
    with swapping():
        try:
            layer.load_state_dict(other.state_dict())
        except RuntimeError as told:  # a line for each parameter, with the reason at its end
            raise AssertionError(str(told).rpartition("('")[2].partition("'")[0] or str(told)) from None
    agree(layer.state_dict(), other.state_dict())


@capability("`checkpoint`, with and without reentering, with dropout")
def trains_from_checkpoints(library: Library) -> None:
    layer, x = library.GRU(3, 5, 2, dropout=0.5), torch.randn(4, 2, 3, requires_grad=True)
    torch.manual_seed(1)
    want = trained(layer, layer, x)
    for use_reentrant in (False, True):
        torch.manual_seed(1)
        agree(trained(layer, lambda r=use_reentrant: checkpoint(layer, x, use_reentrant=r)), want)


@capability("`to_empty` from the meta device, then loading")
def arises_from_meta(library: Library) -> None:
    layer, other, x = library.GRU(3, 5, device="meta"), library.GRU(3, 5), torch.randn(4, 2, 3)
    layer = layer.to_empty(device="cpu")
    layer.load_state_dict(other.state_dict())
    agree(layer(x), other(x))


@capability("`torch.nn.utils.skip_init`")
def skips_initialisation(library: Library) -> None:
    layer, other, x = nn.utils.skip_init(library.GRU, 3, 5), library.GRU(3, 5), torch.randn(4, 2, 3)
    layer.load_state_dict(other.state_dict())
    agree(layer(x), other(x))


proved_by(
    __name__,
    "fused and foreach optimizers, LBFGS, Adagrad and others",
    "tests/test_interop_training.py::test_optimizers_take_the_same_steps",
)
