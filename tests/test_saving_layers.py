"""Layers and cells as files, which need no example call, and layers that begin with what was learned."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import fastgru
from fastgru import errors, runtime
from saved_models import learned, model_of

LAYERS = [
    lambda: fastgru.GRU(3, 5, 2, bidirectional=True, batch_first=True),
    lambda: nn.GRU(3, 5, bias=False),
    lambda: fastgru.GRU(3, 5, reset_after=False),
    lambda: learned(fastgru.GRU(3, 5, 2, bidirectional=True, learn_h0=True)),
    lambda: nn.GRU(3, 5, dtype=torch.float64),
    lambda: fastgru.GRUCell(3, 5),
    lambda: nn.GRUCell(3, 5, bias=False),
    lambda: fastgru.GRUCell(3, 5, reset_after=False),
]


@pytest.mark.parametrize("make", LAYERS)
def test_a_layer_alone_needs_no_example_and_comes_back_as_itself(make, tmp_path):
    layer = make()
    fastgru.save(layer, tmp_path / "m.safetensors")
    again = fastgru.load(tmp_path / "m.safetensors")
    assert repr(again) == repr(layer)
    for name, parameter in layer.named_parameters():
        assert torch.equal(again.get_parameter(name), parameter)
    is_cell = isinstance(layer, nn.RNNCellBase)
    x = (
        torch.randn(4, 3, dtype=layer.weight_ih.dtype)
        if is_cell
        else torch.randn(4, 6, 3, dtype=layer.weight_ih_l0.dtype)
    )
    found = runtime.load(tmp_path / "m.safetensors")
    output, state = found.run(x.numpy())
    with torch.no_grad():
        wanted = again(x) if is_cell else again(x)[0]
    np.testing.assert_array_equal(output, wanted.numpy())
    np.testing.assert_array_equal(state["gru"][0], (wanted if is_cell else again(x)[1][0].detach()).numpy())


def test_a_learned_start(tmp_path):
    """States begin with it, also after a reset, in a model too."""
    model = model_of(lambda m, x, reset: m.gru(x, reset=reset)[0], ("gru", learned(fastgru.GRU(4, 6, learn_h0=True))))
    x, reset = torch.randn(5, 3, 4), torch.rand(5, 3) < 0.4
    fastgru.save(model, tmp_path / "m.safetensors", args=(x, reset))
    found = runtime.load(tmp_path / "m.safetensors")
    output, state = found.run(x.numpy(), reset=reset.numpy())
    np.testing.assert_allclose(output, model(x, reset).detach().numpy(), atol=1e-6)
    state.reset([1])
    np.testing.assert_array_equal(state["gru"][:, 1], model.gru.h_0.detach().numpy())
    np.testing.assert_array_equal(found.initial_state(2)["gru"][:, 0], model.gru.h_0.detach().numpy())
    loaded, _ = fastgru.load(tmp_path / "m.safetensors")(x, reset=reset)
    np.testing.assert_array_equal(loaded.detach().numpy(), output)


@pytest.mark.parametrize("option", [{"proj_size": 3}, {"return_all_layers": True}])
def test_options_that_the_runtime_does_not_have_are_refused(option, tmp_path):
    with pytest.raises(errors.ConversionError, match=next(iter(option))):
        fastgru.save(fastgru.GRU(4, 6, **option), tmp_path / "m.safetensors")
