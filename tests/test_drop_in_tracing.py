"""Tools that capture a model treat our layers like torch's: torch.fx, torch.jit, torch.export."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

import fastgru
from tolerance import assert_agrees

pytestmark = [
    pytest.mark.filterwarnings("ignore:`torch.jit.:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning"),  # checks of sizes, as in torch's own layers
]


class Model(nn.Module):
    """A layer and a cell inside an ordinary model."""

    def __init__(self, library):
        super().__init__()
        self.gru = library.GRU(3, 4, batch_first=True)
        self.cell = library.GRUCell(4, 4)

    def forward(self, x):
        output, h_n = self.gru(x)
        return self.cell(output[:, -1], h_n[0])


class Ragged(nn.Module):
    """A layer that packs its input itself."""

    def __init__(self, library):
        super().__init__()
        self.gru = library.GRU(3, 4)

    def forward(self, x, lengths):
        output, h_n = self.gru(pack_padded_sequence(x, lengths))
        return output.data, h_n


def both(kind):
    ours, stock = kind(fastgru), kind(nn)
    ours.load_state_dict(stock.state_dict())
    return ours, stock


def test_fx_records_our_layers_as_single_nodes():
    ours, stock = both(Model)
    graphs = [torch.fx.symbolic_trace(model) for model in (ours, stock)]
    mine, want = ([(node.op, str(node.target), str(node.args)) for node in graph.graph.nodes] for graph in graphs)
    assert mine == want
    x = torch.randn(5, 6, 3)
    assert_agrees({"": graphs[0](x).detach()}, {"": stock(x).detach()})


def test_a_jit_trace_serves_other_sizes():
    ours, stock = both(Model)
    traced = torch.jit.trace(ours, torch.randn(2, 5, 3))
    x = torch.randn(7, 3, 3)
    assert_agrees({"": traced(x).detach()}, {"": stock(x).detach()})


def test_a_jit_trace_of_packed_sequences_serves_other_batches():
    ours, stock = both(Ragged)
    traced = torch.jit.trace(ours, (torch.randn(5, 2, 3), torch.tensor([5, 3])))
    arguments = torch.randn(7, 3, 3), torch.tensor([7, 6, 2])
    for mine, want in zip(traced(*arguments), stock(*arguments), strict=True):
        assert_agrees({"": mine.detach()}, {"": want.detach()})


def test_jit_script_compiles_torchs_layers_on_the_same_parameters():
    ours, stock = both(Model)
    scripted = torch.jit.script(ours)
    assert {name: p.data_ptr() for name, p in scripted.named_parameters()} == {
        name: p.data_ptr() for name, p in ours.named_parameters()
    }
    x = torch.randn(5, 6, 3)
    assert_agrees({"": scripted(x).detach()}, {"": stock(x).detach()})


def test_an_exported_program_serves_other_batches():
    ours, stock = both(Model)
    batch = torch.export.Dim("batch", min=2, max=64)
    program = torch.export.export(ours, (torch.randn(2, 5, 3),), dynamic_shapes=({0: batch},))
    x = torch.randn(7, 5, 3)
    assert_agrees({"": program.module()(x).detach()}, {"": stock(x).detach()})
