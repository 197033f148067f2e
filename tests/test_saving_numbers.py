"""Saved models where one number, of a gate or a mask, meets vectors; and normalizations over batches, at rest."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import fastgru
from fastgru import errors, runtime
from fastgru.runtime.numpy_execution import NumPyExecution


class Gated(nn.Module):
    """Layers, and a function of them and the arguments."""

    def __init__(self, function):
        super().__init__()
        self.function = function
        self.gru = nn.GRU(4, 6, batch_first=True)
        self.gate = nn.Linear(6, 1)
        self.row = nn.Linear(3, 1)
        self.norm, self.bare = nn.BatchNorm1d(6), nn.BatchNorm1d(4, affine=False)
        for array in (self.norm.weight.data, self.norm.bias.data, self.norm.running_mean, self.bare.running_mean):
            array.normal_()
        self.norm.running_var.uniform_(0.5, 2)

    def forward(self, *args):
        return self.function(self, *args)


def weighted(m, x, row):
    y = m.gru(x)[0]
    return y * torch.sigmoid(m.gate(y)) + m.row(row).unsqueeze(1)


USES = {
    "a gate": (lambda m, x: m.gate(m.gru(x)[0]).sigmoid() * m.gru(x)[0], ["BT4"]),
    "a gate that comes first": (lambda m, x: 1 - m.gate(m.gru(x)[0]) / (2 + m.gru(x)[0]), ["BT4"]),
    "a mask": (lambda m, x, mask: m.gru(x * mask)[0] * mask, ["BT4", "BT1"]),
    "a mask of rows": (lambda m, x, mask: m.gru(x)[0][:, -1] - mask, ["BT4", "B1"]),
    "a mask before vectors": (lambda m, mask, x: m.gru(mask * x)[0], ["BT1", "BT4"]),
    "a number of the row": (weighted, ["BT4", "B3"]),
    "one feature and several": (lambda m, x: (m.gru(x)[0][..., :1] * m.gru(x)[0]).chunk(2, -1)[1], ["BT4"]),
    "a number without its axis": (
        lambda m, x: m.gate(m.gru(x)[0]).squeeze(-1).sigmoid().unsqueeze(-1) + m.gru(x)[0],
        ["BT4"],
    ),
    "a normalization of vectors": (lambda m, x: m.norm(m.gru(x)[1][-1]), ["BT4"]),
    "a normalization of steps": (lambda m, x: m.norm(m.gru(x)[0].transpose(1, 2)).transpose(1, 2), ["BT4"]),
    "a normalization of an input": (lambda m, x: m.gru(m.bare(x).transpose(1, 2))[0].transpose(1, 2), ["B4T"]),
    "a normalization of rows and steps": (
        lambda m, x: m.norm(m.gru(x)[0].reshape(-1, 6)).view(x.shape[0], x.shape[1], 6),
        ["BT4"],
    ),
    "vectors of the row": (lambda m, x, row: m.gru(x)[0] + row, ["BT4", "B#6"]),
}


def arrays(axes, batch, steps):
    sizes = {"B": batch, "T": steps, "#": 1}
    return [torch.randn([sizes.get(axis) or int(axis) for axis in one], dtype=torch.float64) for one in axes]


def test_a_normalization_over_steps_is_refused(tmp_path):
    """BatchNorm1d takes the second axis for the features, whatever it is."""
    model = Gated(lambda m, x: m.bare(m.gru(x)[0]))
    with pytest.raises(errors.ConversionError, match="bare: the same axis of an array is that of time and of features"):
        fastgru.save(model, tmp_path / "m.safetensors", args=torch.randn(3, 4, 4))


@pytest.mark.parametrize("name", USES)
def test_a_number_meets_vectors(name, tmp_path):
    function, axes = USES[name]
    torch.manual_seed(0)
    model = Gated(function).double().eval()
    fastgru.save(model, tmp_path / "m.safetensors", args=arrays(axes, 2, 3))
    found, module = runtime.load(tmp_path / "m.safetensors"), fastgru.load(tmp_path / "m.safetensors")
    defined = runtime.Model(found.graph)
    defined._execution = NumPyExecution(found.graph)
    for batch, steps in ((5, 7), (4, 4), (1, 1)):
        args = arrays(axes, batch, steps)
        with torch.no_grad():
            wanted = model(*args).numpy()
        fed = {port.name: array.numpy() for port, array in zip(found.graph.inputs, args, strict=True)}
        for one in (found, defined):
            np.testing.assert_allclose(one.run(fed)[0], wanted, rtol=0, atol=1e-12, strict=True)
        again, _ = module({port: torch.from_numpy(array) for port, array in fed.items()})
        np.testing.assert_allclose(again.detach().numpy(), wanted, rtol=0, atol=1e-12, strict=True)
