"""Packages that count operations by module class: they count our layers like torch's.

The packages themselves are rows of tests/compatibility, which run where they are installed. Here are small ones of the
same make.
"""

from __future__ import annotations

import importlib
import sys
from types import SimpleNamespace

import pytest
import torch
from torch import nn

import fastgru
from fastgru.nn import counting

PACKAGE = """
from torch import nn

def count(layer, inputs, output):
    assert isinstance(layer, (nn.GRU, nn.GRUCell)), type(layer)
    layer.__flops__ += sum(p.numel() for p in layer.parameters()) * inputs[0].shape[0]

register_hooks = {nn.GRU: count, nn.GRUCell: count, nn.Linear: None}
"""

PAIRS = [(fastgru.GRU, nn.GRU), (fastgru.StatefulGRU, nn.GRU), (fastgru.GRUCell, nn.GRUCell)]


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Imports a package of that make, as if it were the first time."""
    (tmp_path / "thop").mkdir()
    (tmp_path / "thop/__init__.py").write_text("from .profile import register_hooks\n")
    (tmp_path / "thop/profile.py").write_text(PACKAGE)
    for name in [name for name in sys.modules if name.split(".")[0] == "thop"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield lambda: importlib.import_module("thop.profile")
    for name in ("thop", "thop.profile"):
        sys.modules.pop(name, None)


def counted(table, layer):
    layer.__flops__ = 0
    handle = layer.register_forward_hook(table[type(layer)])
    layer(torch.randn(5, 3))
    handle.remove()
    return layer.__flops__


@pytest.mark.parametrize(("ours", "stock"), PAIRS)
@pytest.mark.parametrize("imported", ["afterwards", "before", "under patch"])
def test_our_layers_are_counted_as_torchs(package, imported, ours, stock):
    if imported == "under patch":
        with fastgru.patch():
            table = package().register_hooks
            inside = counted(table, nn.GRU(3, 4))
            assert inside == 5 * sum(p.numel() for p in fastgru.GRU(3, 4).parameters())
    else:
        table = package().register_hooks
    if imported == "before":
        for ours_too, _ in PAIRS:
            table.pop(ours_too)
        counting.register(ours, stock)  # as the layer's module does
    assert counted(table, ours(3, 4)) == counted(table, stock(3, 4)) > 0


def test_a_package_whose_table_has_no_such_layer_stays_as_it_is():
    module = SimpleNamespace(register_hooks={nn.Conv1d: len})
    counting._Table("thop.profile", "register_hooks").make(module)
    assert module.register_hooks == {nn.Conv1d: len}
    counting._Table("thop.profile", "renamed").make(module)


@pytest.mark.parametrize("batch_first", [False, True])
def test_an_operator_costs_each_weight_once_a_row_and_step(batch_first):
    module = SimpleNamespace(ATEN_OPS_MAPPING={})
    counting._Operators("ptflops.aten_ops").make(module)
    cost = module.ATEN_OPS_MAPPING[torch.ops.fastgru.forward]
    layer, x = fastgru.GRU(3, 4, 2, bidirectional=True), torch.randn(5, 7, 3)
    weights = list(layer.parameters())
    arguments = x, None, None, weights, None, None, 2, True, batch_first, False, False
    assert cost(arguments, None) == 5 * 7 * sum(p.numel() for p in weights)
