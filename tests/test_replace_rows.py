"""`fastgru.replace(model, linear=True)`: whole models on our bits, and back."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

import fastgru
from fastgru.nn import activations


class Denoiser(nn.Module):
    """A GRU between linear layers, of vectors (T, B, 6)."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(6, 20), nn.LayerNorm(20), nn.ReLU(), nn.Tanh())
        self.gru = nn.GRU(20, 12)
        self.decoder = nn.Sequential(nn.Linear(12, 6), nn.Sigmoid())

    def forward(self, x: torch.Tensor, state: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        output, state = self.gru(self.encoder(x), state)
        return self.decoder(output), state


SWAPPED = {
    "encoder.0": "fastgru.Linear",
    "encoder.1": "fastgru.LayerNorm",
    "encoder.3": "fastgru.nn.activations.Tanh",
    "gru": "fastgru.GRU",
    "decoder.0": "fastgru.Linear",
    "decoder.1": "fastgru.nn.activations.Sigmoid",
}


def test_a_whole_model_and_back():
    model = Denoiser()
    before = {path: type(module) for path, module in model.named_modules()}
    objects = {path: (module, list(module.parameters())) for path, module in model.named_modules()}
    x = torch.randn(9, 3, 6)
    want = model(x)
    report = fastgru.replace(model, linear=True)
    assert report.model is model
    assert report.swapped == SWAPPED
    assert report.skipped == {}
    for path, module in model.named_modules():
        assert module is objects[path][0]
        assert all(a is b for a, b in zip(module.parameters(), objects[path][1], strict=True))
    torch.testing.assert_close(model(x), want)
    assert fastgru.replace(model, linear=True).swapped == {}
    assert fastgru.replace(model, linear=True).skipped == {}
    restored = fastgru.restore(model)
    assert restored.swapped == {path: f"torch.nn.{name.split('.')[-1]}" for path, name in SWAPPED.items()}
    assert {path: type(module) for path, module in model.named_modules()} == before
    assert torch.equal(model(x)[0], want[0])


@pytest.mark.parametrize("steps", [1, 4, 9])
def test_the_model_gives_the_same_bits_in_chunks_and_for_any_batch(steps):
    model = Denoiser()
    fastgru.replace(model, linear=True)
    x = torch.randn(9, 3, 6)
    with torch.no_grad():
        whole, last = model(x)
        state, pieces = None, []
        for piece in x.split(steps):
            y, state = model(piece, state)
            pieces.append(y)
        alone, _ = model(x[:, 1:2])
    assert torch.equal(torch.cat(pieces), whole)
    assert torch.equal(state, last)
    assert torch.equal(alone, whole[:, 1:2])


def test_what_is_asked_for_alone_is_changed():
    assert set(fastgru.replace(Denoiser()).swapped) == {"gru"}
    assert set(fastgru.replace(Denoiser(), gru=False, linear=True).swapped) == set(SWAPPED) - {"gru"}
    model = Denoiser()
    fastgru.replace(model, linear=True)
    assert fastgru.restore_gru(model).swapped == {"gru": "torch.nn.GRU"}
    assert set(fastgru.restore(model).swapped) == set(SWAPPED) - {"gru"}
    with pytest.raises(TypeError):
        fastgru.replace("text", linear=True)


def test_what_has_ways_of_its_own_is_left_and_named():
    class Own(nn.Linear):
        pass

    patched = nn.Linear(2, 2)
    patched.forward = lambda x: x
    model = nn.Sequential(Own(2, 2), patched, nn.SiLU(inplace=True), nn.Softmax(), nn.MultiheadAttention(2, 1))
    report = fastgru.replace(model, linear=True)
    assert report.swapped == {}
    assert "subclass" in report.skipped["0"]
    assert "`forward` was replaced" in report.skipped["1"]
    assert "in place" in report.skipped["2"]
    assert "no dimension" in report.skipped["3"]
    assert "subclass" in report.skipped["4.out_proj"]


def test_hooks_parametrizations_optimizers_and_copies():
    model = nn.Sequential(nn.Linear(4, 3), parametrizations.weight_norm(nn.Linear(3, 2)), nn.Sigmoid())
    seen = []
    model[0].register_forward_hook(lambda module, inputs, output: seen.append(type(module)))
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    x = torch.randn(5, 4)
    fastgru.replace(model, linear=True)
    assert type(model[1]).__name__ == "ParametrizedLinear"
    assert isinstance(model[1], fastgru.Linear)
    before = model(x)
    before.sum().backward()
    optimizer.step()
    assert not torch.equal(model(x), before)
    assert seen == [fastgru.Linear] * 2
    fastgru.restore(model)
    assert not isinstance(model[1], fastgru.Linear)
    plain = nn.Sequential(nn.Linear(4, 3), nn.GELU())
    fastgru.replace(plain, linear=True)
    for again in (copy.deepcopy(plain), pickle.loads(pickle.dumps(plain))):
        assert type(again[1]) is activations.GELU
        assert torch.equal(again(x), plain(x))


def test_tools_that_read_models_take_it():
    model = nn.Sequential(nn.Linear(6, 5), nn.LayerNorm(5), nn.GELU(), nn.Softplus(), nn.Softmax(-1))
    x = torch.randn(3, 6, requires_grad=True)
    fastgru.replace(model, linear=True)
    y, seed = model(x), torch.randn(3, 5)
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    wanted = [x, *model.parameters()]
    plain = torch.autograd.grad(y, wanted, seed, retain_graph=True)
    assert torch.equal(compiled(x), y)
    assert all(map(torch.equal, torch.autograd.grad(compiled(x), wanted, seed), plain))
    traced = torch.fx.symbolic_trace(model)
    assert torch.equal(traced(x), y)
    assert torch.equal(torch.export.export(model, (x.detach(),)).module()(x.detach()), y)


def test_quantization_tells_that_it_skips_the_layer():
    model = nn.Sequential(nn.Linear(4, 3))
    fastgru.replace(model, linear=True)
    with pytest.warns(UserWarning, match=r"does not quantize fastgru.Linear. Call fastgru.restore\(model\) first"):
        model[0].qconfig = None
