"""Saved models hold for all numbers of rows and steps, or are refused: examples of any sizes."""

# ruff: noqa: E501  (the tables have a row for each case)

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import fastgru
from fastgru import errors, runtime


class Model(nn.Module):
    """A layer, and a function of it and the arguments."""

    def __init__(self, function):
        super().__init__()
        self.function = function
        self.gru = nn.GRU(4, 4, batch_first=True)
        self.two = nn.GRU(4, 4, 4, batch_first=True)
        self.one = nn.Linear(4, 1)

    def forward(self, x, row=None, mask=None):
        return self.function(self, x) if row is None else self.function(self, x, row, mask)


def shaped(m, x):
    batch, steps, features = x.shape
    y = m.gru(x)[0].reshape(batch * steps, features)
    return m.one(y).view(batch, steps, 1).expand(-1, -1, 1)


USES = {
    "outputs": lambda m, x: m.gru(x)[0],
    "steps first": lambda m, x: m.gru(x)[0].transpose(0, 1),
    "states side by side": lambda m, x: m.two(x)[1].transpose(0, 1).reshape(x.shape[0], -1),
    "a state": lambda m, x: m.two(x)[1][2],
    "the only state": lambda m, x: m.gru(x)[1].squeeze(0),
    "a reshape": shaped,
    "numbers": lambda m, x: m.one(m.gru(x)[0]).squeeze(-1),
    "the last step": lambda m, x: m.gru(x)[0][:, -1],
    "functions alone": lambda m, x: torch.tanh(x) * 2,
    "zeros of its size": lambda m, x: m.gru(x, torch.zeros(1, x.shape[0], 4, dtype=x.dtype))[0],
    "parts": lambda m, x: torch.cat([*torch.tanh(x).chunk(2, -1)][::-1], -1),
}


@pytest.mark.parametrize("example", [(4, 4), (1, 4), (4, 1), (1, 1)])
@pytest.mark.parametrize("name", USES)
def test_an_example_of_any_sizes_gives_a_model_for_all(name, example, tmp_path):
    """Also where rows, steps, features and layers have the same size, or there is one of them."""
    torch.manual_seed(0)
    model = Model(USES[name]).double()
    fastgru.save(model, tmp_path / "m.safetensors", args=torch.randn(*example, 4).double())
    found = runtime.load(tmp_path / "m.safetensors")
    for batch, steps in ((3, 5), (4, 4), (1, 1), (2, 1)):
        x = torch.randn(batch, steps, 4).double()
        x = x if found.graph.parameters else x.float()
        with torch.no_grad():
            wanted = model(x).numpy()
        limit = 1e-12 if found.graph.parameters else 1e-6
        np.testing.assert_allclose(found.run(x.numpy())[0], wanted, rtol=0, atol=limit, strict=True)


def test_arguments_by_name_in_any_order(tmp_path):
    model = Model(lambda m, x, row, mask: m.gru(x * mask + row)[0]).double()
    example = {"mask": torch.ones(1, 3, 1), "row": torch.randn(4), "x": torch.randn(1, 3, 4)}
    shapes = {"mask": (2, 5, 1), "row": (2, 1, 4), "x": (2, 5, 4)}
    example["row"] = torch.randn(1, 1, 4)
    fastgru.save(model, tmp_path / "m.safetensors", kwargs={name: one.double() for name, one in example.items()})
    found = runtime.load(tmp_path / "m.safetensors")
    given = {name: torch.randn(shape).double() for name, shape in shapes.items()}
    with torch.no_grad():
        wanted = model(**given).numpy()
    fed = {port.name: given[port.name].numpy() for port in found.graph.inputs}
    np.testing.assert_allclose(found.run(fed)[0], wanted, rtol=0, atol=1e-12, strict=True)


def branch(condition):
    return lambda m, x: m.gru(x)[0] * 2 if condition(x.shape[0], x.shape[1]) else m.gru(x)[0]


X = torch.randn(3, 5, 4)
ONE = "removes an axis of steps, rows or unknown meaning"
REFUSED = {
    "squeeze of all": (lambda m, x: m.gru(x)[0].squeeze(), [X[:1], X[:, :1], X], ONE),
    "squeeze of rows": (lambda m, x: m.gru(x)[0].squeeze(0), [X[:1], X], ONE),
    "squeeze of steps": (lambda m, x: m.gru(x)[0].squeeze(1), [X[:, :1], X], ONE),
    "squeeze of an input": (lambda m, x: m.gru(x.squeeze(0))[0], [X[:1]], ONE),
    "squeeze of states": (lambda m, x: torch.tanh(m.gru(x)[1].squeeze()), [X], ONE),
    "the only row": (lambda m, x: m.gru(x[0])[0], [X[:1]], ONE),
    "the only step": (lambda m, x: m.one(x[:, 0]), [X[:, :1]], ONE),
    "steps as a number": (lambda m, x: m.gru(x)[0] / x.shape[1], [X, X[:, :1]], "depends on the sizes"),
    "steps as a fixed number": (lambda m, x: m.gru(x)[0] * float(x.shape[1]), [X], "fixes the number of steps to 5"),
    "the root of steps": (lambda m, x: m.gru(x)[0] / x.shape[1] ** 0.5, [X], "depends on the sizes of the call"),
    "rows as a fixed number": (lambda m, x: m.gru(x)[0].view(3, -1, 4), [X], "this reshape cuts an axis"),
    "few steps": (branch(lambda batch, steps: steps > 3), [X], r"test_saving_sizes.py:\d+: the model computes something else where this does not hold"),
    "one step": (branch(lambda batch, steps: steps == 1), [X, X[:, :1]], r"does not hold: Ne\(x.shape\[1\], 1\)|does not hold: Eq\(x.shape\[1\], 1\)|fixes the number of steps to 1"),
    "even steps": (branch(lambda batch, steps: steps % 2 == 0), [X], "does not hold"),
    "as many rows as steps": (branch(lambda batch, steps: batch == steps), [X, torch.randn(4, 4, 4)], r"does not hold|fixes the number of steps to x\.shape\[0\]"),
    "fewer rows than steps": (branch(lambda batch, steps: batch < steps), [X], "does not hold"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_holds_for_some_sizes_only_is_refused(name, tmp_path):
    function, examples, message = REFUSED[name]
    for example in examples:
        with pytest.raises(errors.ConversionError, match=message):
            fastgru.save(Model(function), tmp_path / "m.safetensors", args=example)
