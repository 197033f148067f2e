"""Saved models whose layers begin with values: encoders and decoders, contexts, and what is refused."""

# ruff: noqa: E501  (the tables have a row for each case)

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import fastgru
from fastgru import errors, runtime
from fastgru.runtime.numpy_execution import NumPyExecution


class Model(nn.Module):
    """Layers of usual sizes, and a function of them and the arguments."""

    def __init__(self, function, layers=1, bidirectional=False):
        super().__init__()
        self.function = function
        self.encoder = nn.GRU(3, 6, layers, bidirectional=bidirectional, batch_first=True)
        self.decoder = nn.GRU(4, 6, layers, bidirectional=bidirectional, batch_first=True)
        self.one = nn.GRU(4, 6)
        self.cell = nn.GRUCell(4, 6)
        self.fc = nn.Linear(6, 6)
        self.wide = nn.Linear(12, 6)
        self.doubled = nn.Linear(6, 12)

    def forward(self, *args):
        return self.function(self, *args)


def merged(m, x, y):
    """As in a translator whose encoder reads in both directions."""
    h = m.encoder(x)[1]
    return m.one(y.transpose(0, 1), torch.tanh(m.wide(torch.cat([h[-2], h[-1]], 1))).unsqueeze(0))[0]


def summed(m, x, y):
    h = m.encoder(x)[1]
    return m.one(y.transpose(0, 1), h[0::2] + h[1::2])[0]


def side_by_side(m, x, y):
    h = m.encoder(x)[1]
    return m.one(y.transpose(0, 1), m.wide(torch.cat([h[0::2], h[1::2]], 2)).relu())[0]


def last(m, x, y):
    output, h = m.encoder(x)
    return m.decoder(y, torch.stack([output[:, -1], h[0]]))[0]


TWO, BOTH = {"layers": 2}, {"bidirectional": True}
BEGINNINGS = {
    "an encoder": ({}, lambda m, x, y: m.decoder(y, m.encoder(x)[1])[0]),
    "an encoder of two layers": (TWO, lambda m, x, y: m.decoder(y, m.encoder(x)[1])[0]),
    "an encoder in both directions": (BOTH, lambda m, x, y: m.decoder(y, m.encoder(x)[1])[0]),
    "states and outputs": (TWO, lambda m, x, y: m.decoder(m.decoder(y, m.encoder(x)[1])[0][..., :4], m.encoder(x)[1])[0]),
    "a context": ({}, lambda m, c, y: m.decoder(y, torch.tanh(m.fc(c)).unsqueeze(0))[0]),
    "a context for two": (TWO, lambda m, c, y: m.decoder(y, torch.tanh(m.fc(c)).unsqueeze(0).repeat(2, 1, 1))[0]),
    "a context expanded": (TWO, lambda m, c, y: m.decoder(y, m.fc(c).unsqueeze(0).expand(2, -1, -1))[0]),
    "a context cut": (TWO, lambda m, c, y: m.decoder(y, m.doubled(c).view(-1, 2, 6).transpose(0, 1).contiguous())[0]),
    "contexts stacked": (TWO, lambda m, c, y: m.decoder(y, torch.stack([m.fc(c), c * 2]))[0]),
    "contexts one after another": (TWO, lambda m, c, y: m.decoder(y, torch.cat([c[None].tanh(), m.fc(c)[None]]))[0]),
    "a cell": ({}, lambda m, c, row: m.cell(row, torch.tanh(m.fc(c)))),
    "an encoder and a layer above": (TWO, lambda m, x, y: m.decoder(y, m.fc(m.encoder(x)[1]).tanh())[0]),
    "merged directions": (BOTH, merged),
    "summed directions": (BOTH, summed),
    "directions side by side": (BOTH, side_by_side),
    "a last step": (TWO, last),
    "a last step of an input": ({}, lambda m, s, row: m.cell(row, s[:, -1])),
    "a last step of an input, by a slice": ({}, lambda m, s, y: m.decoder(y, s[:, -1:].transpose(0, 1))[0]),
    "one state for all layers": (TWO, lambda m, x, y: m.decoder(y, m.encoder(x)[1][-1:].repeat(2, 1, 1))[0]),
}  # fmt: skip


def inputs_of(name, batch, steps, dtype=torch.float64):
    sizes = {"c": (batch, 6), "x": (batch, steps, 3), "s": (batch, steps, 6)}
    names = BEGINNINGS[name][1].__code__.co_varnames[1:3]
    shape = (batch, 4) if names[1] == "row" else (batch, steps, 4)
    return [torch.randn(sizes[names[0]], dtype=dtype), torch.randn(shape, dtype=dtype)]


@pytest.mark.parametrize("name", BEGINNINGS)
def test_the_runtime_begins_as_torch_does(name, tmp_path):
    """Other numbers of rows and steps than the example's; the core, the definitions and the loaded module."""
    options, function = BEGINNINGS[name]
    torch.manual_seed(0)
    model = Model(function, **options).double()
    fastgru.save(model, tmp_path / "m.safetensors", args=inputs_of(name, 2, 3))
    found, module = runtime.load(tmp_path / "m.safetensors"), fastgru.load(tmp_path / "m.safetensors")
    for batch, steps in ((5, 7), (1, 1), (3, 3)):
        args = inputs_of(name, batch, steps)
        with torch.no_grad():
            wanted = model(*args).numpy()
        fed = {port.name: array.numpy() for port, array in zip(found.graph.inputs, args, strict=True)}
        output, state = found.run(fed)
        np.testing.assert_allclose(output, wanted, rtol=0, atol=1e-12)
        defined = runtime.Model(found.graph)
        defined._execution = NumPyExecution(found.graph)
        np.testing.assert_allclose(defined.run(fed)[0], wanted, rtol=0, atol=1e-12)
        again, states = module({port: torch.from_numpy(array) for port, array in fed.items()})
        np.testing.assert_allclose(again.detach().numpy(), wanted, rtol=0, atol=1e-12)
        assert states.keys() == state.keys()


def test_a_decoder_goes_on_from_its_state(tmp_path):
    """Step by step after the first call, and anew after a reset."""
    model = Model(BEGINNINGS["a context"][1]).double()
    c, y = inputs_of("a context", 3, 6)
    fastgru.save(model, tmp_path / "m.safetensors", args=inputs_of("a context", 2, 4))
    found = runtime.load(tmp_path / "m.safetensors")
    names = [port.name for port in found.graph.inputs]
    with torch.no_grad():
        wanted = model(c, y).numpy()
    state, steps = found.initial_state(3), []
    for t in range(6):
        output, state = found.step(dict(zip(names, (c.numpy(), y[:, t].numpy()), strict=True)), state)
        steps.append(output)
    np.testing.assert_allclose(np.stack(steps, 1), wanted, rtol=0, atol=1e-12)
    state.reset([2])
    output, _ = found.step(dict(zip(names, (c.numpy(), y[:, 0].numpy()), strict=True)), state)
    np.testing.assert_allclose(output[2], wanted[2, 0], rtol=0, atol=1e-12)


def our_decoder(m, c, y, reset):
    start = m.fc(c).unsqueeze(0)
    return m.decoder(y, start, reset=reset, reset_state=start)[0]


def test_a_layer_of_ours_is_reset_to_what_it_begins_with(tmp_path):
    model = fastgru.replace(Model(our_decoder)).model.double()
    c, y = inputs_of("a context", 3, 6)
    reset = torch.rand(3, 6) < 0.4
    fastgru.save(model, tmp_path / "m.safetensors", args=(c, y, reset))
    with torch.no_grad():
        wanted = model(c, y, reset).numpy()
    found = runtime.load(tmp_path / "m.safetensors")
    fed = dict(zip([port.name for port in found.graph.inputs], (c.numpy(), y.numpy()), strict=True))
    output, _ = found.run(fed, reset=reset.numpy())
    np.testing.assert_allclose(output, wanted, rtol=0, atol=1e-12)


def test_a_state_that_is_returned_beside_what_is_computed_of_it(tmp_path):
    """A head may have as many features as the state."""

    def function(m, row, h):
        h = m.cell(row, h)
        return m.fc(h), h

    assert_goes_on(Model(function).double(), torch.zeros(3, 6).double(), tmp_path)


def test_states_of_two_cells_in_one_vector(tmp_path):
    def function(m, row, h):
        first = m.cell(row, h[:, :6])
        second = m.cell(row * 2, h[:, 6:])
        return m.fc(second + first), torch.cat([first, second], -1)

    assert_goes_on(Model(function).double(), torch.zeros(3, 12).double(), tmp_path)


def assert_goes_on(model, h, tmp_path):
    """Three calls with the state handed on, by torch and by the runtime."""
    row, state = torch.randn(3, 4).double(), None
    fastgru.save(model, tmp_path / "m.safetensors", args=(row, h))
    found = runtime.load(tmp_path / "m.safetensors")
    for _ in range(3):
        output, state = found.run(row.numpy(), state)
        wanted, h = model(row, h)
        output = next(iter(output.values())) if isinstance(output, dict) else output
        np.testing.assert_allclose(output, wanted.detach().numpy(), rtol=0, atol=1e-12)
    np.testing.assert_allclose(np.concatenate([*state.values()], -1)[0], h.detach().numpy(), rtol=0, atol=1e-12)


C, Y, X, H = torch.randn(2, 6), torch.randn(2, 5, 4), torch.randn(2, 5, 3), torch.zeros(1, 2, 6)
REFUSED = {
    "resets to zeros": ({}, lambda m, c, y, r: m.decoder(y, m.fc(c)[None], reset=r)[0], [C, Y, torch.zeros(2, 5, dtype=torch.bool)], "with resets to None. Expected what it begins with"),
    "layers turned": (TWO, lambda m, x, y: m.decoder(y, m.encoder(x)[1].flip(0))[0], [X, Y], "the operation aten.flip"),
    "rows for layers": (TWO, lambda m, c, y: m.decoder(y, m.doubled(c).view(2, -1, 6))[0], [C, Y], "this reshape cuts an axis|begins with values for several layers"),
    "layers for rows": (TWO, lambda m, c, y: m.decoder(y, m.doubled(c).view(-1, 2, 6))[0], [C, Y], "begins with values for several layers"),
    "steps": ({}, lambda m, x, y: m.one(y, m.encoder(x)[0])[0], [torch.randn(1, 5, 3), torch.randn(5, 5, 4)], "is that of|begins with"),
    "a state from layer to layer": ({}, lambda m, y, h: m.decoder(y, m.one(y.transpose(0, 1), h)[1])[0], [Y, H], "decoder: the layer begins with a state that another layer computed from a state"),
    "a state that is returned changed": ({}, lambda m, row, h: (m.cell(row, h) * 0.5).relu(), [torch.randn(2, 4), torch.zeros(2, 6)], "takes the state 'args_1' and returns 'relu', which is computed of the layer's next state"),
    "states that are returned changed": ({}, lambda m, y, h: (lambda o, n: (o, n / 2))(*m.decoder(y, h)), [Y, H], "takes the state 'args_1' and returns 'div'"),
    "cells one after the other": ({}, lambda m, row, h: m.cell(row, m.cell(row, h)), [torch.randn(2, 4), torch.zeros(2, 6)], "cell_1: the layer begins with a state that another"),
    "values for several layers": (TWO, lambda m, x, y: (m.encoder(x)[0], m.fc(m.encoder(x)[1])), [X, Y], "output 1: values for several layers and directions. Return them one by one"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_layer_cannot_begin_with_is_refused(name, tmp_path):
    options, function, args, message = REFUSED[name]
    model = fastgru.replace(Model(function, **options)).model
    with pytest.raises(errors.ConversionError, match=message):
        fastgru.save(model, tmp_path / "m.safetensors", args=args)
