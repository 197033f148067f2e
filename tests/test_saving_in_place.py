"""Saved models that change values in place: right, or refused."""

# ruff: noqa: E501  (the tables have a row for each case)

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import fastgru
from fastgru import errors, runtime


class Model(nn.Module):
    """Layers, and a function of them and of an input."""

    def __init__(self, function):
        super().__init__()
        self.function = function
        self.gru = nn.GRU(4, 6, batch_first=True)
        self.fc = nn.Linear(6, 6)
        self.drop = nn.Dropout(0.5)
        self.register_buffer("mean", torch.randn(6))

    def forward(self, x):
        return self.function(self, x)


def changed(change, then=lambda y, other: y):
    """The output of the layer, changed, and then what is made of it and of itself in another way."""

    def function(m, x):
        y = m.gru(x)[0]
        other = change(y)
        return then(y, other)

    return function


def residual(m, x):
    y = m.gru(x)[0]
    z = m.fc(y)
    z += y
    z.mul_(0.5).sub_(m.mean).div_(2)
    y -= z
    return nn.functional.leaky_relu(y, 0.2, inplace=True) + z


def twice(m, x):
    y = m.gru(x)[0]
    return y.tanh_().exp_().add_(y)


FUNCTIONS = [
    nn.ReLU, nn.SiLU, nn.ELU, nn.SELU, nn.LeakyReLU, nn.Hardtanh, nn.Hardsigmoid, nn.Hardswish, nn.ReLU6,
]  # fmt: skip
USES = {
    "relu_": changed(lambda y: y.relu_()),
    "what was changed is read by its name": changed(lambda y: y.mul_(2), lambda y, other: y + other),
    "an alias that nobody reads": changed(lambda y: y.transpose(0, 1), lambda y, other: y.add_(1)),
    "a view that is all that is read": changed(lambda y: y[..., :2].mul_(2), lambda y, other: other),
    "a copy": changed(lambda y: y.clone(), lambda y, other: y.mul_(2) + other),
    "residual": residual,
    "one after another": twice,
    "clamp_": changed(lambda y: y.clamp_(min=-0.1, max=0.1)),
    "sigmoid_ of a state": lambda m, x: m.gru(x)[1].sigmoid_()[-1],
    "a copy in another layout": lambda m, x: m.gru(x)[0].transpose(0, 1).contiguous().mul_(2).relu_(),
    "layers": lambda m, x: nn.Sequential(*(kind(inplace=True) for kind in FUNCTIONS))(m.fc(m.gru(x)[0])),
}  # fmt: skip


@pytest.mark.parametrize("name", USES)
def test_changes_in_place(name, tmp_path):
    torch.manual_seed(0)
    model = Model(USES[name]).double()
    fastgru.save(model.eval(), tmp_path / "m.safetensors", args=torch.randn(2, 3, 4).double())
    x = torch.randn(5, 7, 4).double()
    with torch.no_grad():
        wanted = model(x).numpy()
    output, _ = runtime.load(tmp_path / "m.safetensors").run(x.numpy())
    np.testing.assert_allclose(output, wanted, rtol=0, atol=1e-12, strict=True)


OTHER = r"changes a value of which another view is read later in place\. Write it out of place"
OWN = "changes an input or a parameter in place"
REFUSED = {
    "an alias": (changed(lambda y: y.transpose(0, 1), lambda y, other: y.mul_(2).transpose(0, 1) + other), OTHER),
    "a part": (changed(lambda y: y[..., :2].mul_(2)), OTHER),
    "a view of it": (changed(lambda y: y.transpose(1, 2).add_(1)), OTHER),
    "an alias of what was changed": (changed(lambda y: y.add_(1).transpose(1, 2), lambda y, other: y.mul_(2) + other.transpose(1, 2)), OTHER),
    "dropout, which does nothing": (lambda m, x: (lambda y: m.drop(y).mul_(2) + y)(m.gru(x)[0]), OTHER),
    "an output": (changed(lambda y: y.unsqueeze(1), lambda y, other: (other, y.mul_(2))), OTHER),
    "an input": (lambda m, x: m.gru(x.mul_(2))[0], OWN),
    "a view of an input": (lambda m, x: m.gru(x.transpose(1, 2).mul_(2).transpose(1, 2))[0], OWN),
    "a buffer": (lambda m, x: m.gru(x)[0] + m.mean.add_(1), OWN),
    "an assignment": (changed(lambda y: y[..., 0].fill_(0)), "fill_ changes a value in place"),
    "values of another": (changed(lambda y: y[..., :3].copy_(y[..., 3:])), "copy_ changes a value in place"),
    "a mask": (changed(lambda y: y.masked_fill_(y > 0, 0)), "Multiply by a mask of numbers"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_changes_that_something_else_sees_are_refused(name, tmp_path):
    function, message = REFUSED[name]
    with pytest.raises(errors.ConversionError, match=message):
        fastgru.save(Model(function), tmp_path / "m.safetensors", args=torch.randn(2, 3, 4))
