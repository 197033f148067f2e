"""`fastgru.save` and `fastgru.load`: models of torch as files, and back."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

import fastgru
from fastgru import runtime
from saved_models import (
    GRU,
    STACK,
    Classifier,
    Flattened,
    Mask,
    OneStep,
    Policy,
    Tagger,
    TwoStates,
    X,
    model_of,
    words,
)
from tolerance import MODEL

FUNCTIONS = [
    nn.GELU, nn.SiLU, nn.Sigmoid, nn.Tanh, nn.ELU, nn.SELU, nn.Softplus, nn.Hardsigmoid, nn.Hardswish, nn.ReLU,
    nn.LeakyReLU, nn.ReLU6, nn.Hardtanh, nn.Softsign, nn.Identity, nn.Dropout,
]  # fmt: skip
MODELS = {
    "tagger": (Tagger, [words(3, 7)]),
    "our tagger": (lambda: Tagger(fastgru.GRU), [words(3, 7)]),
    "classifier": (Classifier, [torch.randn(7, 3, 4)]),
    "two states": (TwoStates, [torch.randn(3, 7, 4), torch.zeros(2, 3, 6)]),
    "policy": (Policy, [torch.randn(3, 4), torch.zeros(3, 6)]),
    "one step": (OneStep, [torch.randn(3, 4), torch.zeros(2, 3, 6)]),
    "flattened": (Flattened, [torch.randn(3, 7, 4)]),
    "mask": (Mask, [torch.randn(3, 4, 7), torch.randn(3, 4)]),
    "perceptron": (lambda: nn.Sequential(nn.Linear(4, 5), nn.GELU(), nn.Linear(5, 2)), [torch.randn(3, 4)]),
    "layer of steps": (lambda: nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.GRU(5, 6)), [torch.randn(7, 3, 4)]),
    "reset before": (lambda: Tagger(partial(fastgru.GRU, reset_after=False)), [words(3, 7)]),
    "all ours": (lambda: fastgru.replace(Tagger(), linear=True).model, [words(3, 7)]),
    "our perceptron": (
        lambda: (
            fastgru.replace(
                nn.Sequential(nn.Linear(4, 5), *(kind() for kind in FUNCTIONS), nn.LayerNorm(5), nn.LogSoftmax(-1)),
                linear=True,
            ).model
        ),
        [torch.randn(3, 4)],
    ),
    "float64": (lambda: Flattened().double(), [torch.randn(3, 7, 4).double()]),
}


def grown(tensor):
    """More rows and steps than the example had: the middle sizes of indices and vectors, but no features."""
    return torch.cat([tensor, tensor])


def results(output):
    return list(output.values()) if isinstance(output, dict) else [output]


def values_of(graph, tensors):
    return {port.name: tensor.numpy() for port, tensor in zip(graph.inputs, tensors, strict=False)}


@pytest.mark.parametrize("name", MODELS)
def test_a_saved_model_computes_the_same(name, tmp_path):
    make, args = MODELS[name]
    torch.manual_seed(0)
    model = make()
    before = {key: type(module) for key, module in model.named_modules()}
    assert fastgru.save(model, tmp_path / "m.safetensors", args=args) == tmp_path / "m.safetensors"
    assert {key: type(module) for key, module in model.named_modules()} == before
    assert model.training
    found = runtime.load(tmp_path / "m.safetensors")
    model.eval()
    with torch.no_grad():
        wanted = model(*args)
    wanted = [one.numpy() for one in (wanted if isinstance(wanted, tuple) else (wanted,))]
    output, state = found.run(values_of(found.graph, args))
    limit = MODEL[str(found.dtype)]
    for one, other in zip(results(output), wanted, strict=False):
        assert one.shape == other.shape
        np.testing.assert_allclose(one, other, rtol=0, atol=limit)
    again = fastgru.load(tmp_path / "m.safetensors")
    tensors = dict(zip([port.name for port in found.graph.inputs], args, strict=False))
    loaded, loaded_state = again(tensors if len(tensors) > 1 else args[0])
    for one, other in zip(results(loaded), wanted, strict=False):
        np.testing.assert_allclose(one.detach().numpy(), other, rtol=0, atol=limit)
    for key, array in state.items():
        np.testing.assert_allclose(loaded_state[key].detach().numpy(), array, rtol=0, atol=limit)
    saved = {key for key in model.state_dict() if "mean" not in key}
    assert saved <= set(again.state_dict())
    model.load_state_dict({key: again.state_dict()[key] for key in saved}, strict=False)


def test_other_numbers_of_rows_and_steps(tmp_path):
    torch.manual_seed(0)
    model, x = Flattened(), torch.randn(5, 20, 4)
    fastgru.save(model, tmp_path / "m.safetensors", args=torch.randn(2, 3, 4))
    with torch.no_grad():
        wanted = model(x).numpy()
    np.testing.assert_allclose(runtime.load(tmp_path / "m.safetensors").run(x.numpy())[0], wanted, atol=1e-6)


def test_states_go_on_from_call_to_call(tmp_path):
    torch.manual_seed(0)
    model, x = TwoStates(), torch.randn(3, 9, 4)
    fastgru.save(model, tmp_path / "m.safetensors", args=(x, torch.zeros(2, 3, 6)))
    found = runtime.load(tmp_path / "m.safetensors")
    with torch.no_grad():
        y, h = model(x[:, :4], torch.zeros(2, 3, 6))
        z, h = model(x[:, 4:], h)
    first, state = found.run(x[:, :4].numpy())
    second, state = found.run(x[:, 4:].numpy(), state)
    np.testing.assert_allclose(np.concatenate([first, second], 1), torch.cat([y, z], 1).numpy(), atol=1e-6)
    np.testing.assert_allclose(np.concatenate([state["lower"], state["upper"]]), h.numpy(), atol=1e-6)


def test_one_array_for_parameters_that_are_shared(tmp_path):
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.words = nn.Embedding(10, 6)
            self.gru = nn.GRU(6, 6, batch_first=True)
            self.out = nn.Linear(6, 10, bias=False)
            self.out.weight = self.words.weight

        def forward(self, x):
            return self.out(self.gru(self.words(x))[0])

    model = Tied()
    fastgru.save(model, tmp_path / "m.safetensors", args=words(2, 3))
    graph = runtime.load(tmp_path / "m.safetensors").graph
    assert sum(array.shape == (10, 6) for array in graph.parameters.values()) == 1


def test_lengths_and_resets_are_arguments_of_the_call(tmp_path):
    class Ragged(nn.Module):
        def __init__(self):
            super().__init__()
            self.gru = fastgru.GRU(4, 6, batch_first=True)
            self.out = nn.Linear(6, 2)

        def forward(self, x, lengths, reset):
            output, h_n = self.gru(x, lengths=lengths, reset=reset)
            return self.out(output), self.out(h_n[-1])

    model, x = Ragged(), torch.randn(3, 5, 4)
    lengths, reset = torch.tensor([5, 2, 4]), torch.rand(3, 5) < 0.3
    fastgru.save(model, tmp_path / "m.safetensors", args=(x, lengths, reset))
    found = runtime.load(tmp_path / "m.safetensors")
    assert [port.name for port in found.graph.inputs] == ["x"]
    output, _ = found.run(x.numpy(), lengths=lengths.numpy(), reset=reset.numpy())
    with torch.no_grad():
        for one, other in zip(output.values(), model(x, lengths, reset), strict=True):
            np.testing.assert_allclose(one, other.numpy(), atol=1e-6)


def test_torch_and_runtime_give_the_same_bits(tmp_path):
    """Rollout and update of a policy: what was computed step by step is computed again for whole sequences."""
    torch.manual_seed(0)

    class Actor(nn.Module):
        def __init__(self):
            super().__init__()
            self.front = nn.Sequential(nn.Linear(6, 33), nn.Tanh(), nn.LayerNorm(33))
            self.gru = nn.GRU(33, 40)
            self.back = nn.Sequential(nn.Linear(40, 17), nn.GELU(), nn.Linear(17, 5), nn.LogSoftmax(-1))

        def forward(self, x, reset):
            return self.back(self.gru(self.front(x), reset=reset)[0])

    model = fastgru.replace(Actor(), linear=True).model
    x, reset = torch.randn(40, 7, 6), torch.rand(40, 7) < 0.1
    fastgru.save(model, tmp_path / "m.safetensors", args=(x, reset))
    policy, state, steps = runtime.load(tmp_path / "m.safetensors"), None, []
    for t in range(40):
        y, state = policy.step(x[t].numpy(), state, reset=reset[t].numpy())
        steps.append(y)
    rolled = torch.from_numpy(np.stack(steps))
    trained = model(x, reset)
    assert torch.equal(trained.detach(), rolled)
    assert torch.equal((trained.detach() - rolled).exp(), torch.ones_like(rolled)), "every importance ratio is 1"
    again, _ = fastgru.load(tmp_path / "m.safetensors")(x, reset=reset)
    assert torch.equal(again.detach(), rolled)
    for rows in (slice(0, 1), slice(2, 7)):
        assert torch.equal(model(x[:, rows], reset[:, rows]).detach(), rolled[:, rows])


USES = {
    "h_n[::2]": (STACK, lambda y, h: h[::2][-1]),
    "chunk": (STACK, lambda y, h: torch.cat([part[-1] for part in h.chunk(2)], -1)),
    "split": (STACK, lambda y, h: h.split([1, 3])[1][0]),
    "unbind": (STACK, lambda y, h: h.unbind(0)[2]),
    "side by side": (STACK, lambda y, h: h.transpose(0, 1).reshape(h.shape[1], -1)),
    "squeeze of one": (GRU, lambda y, h: h.squeeze(0)),
    "squeeze of none": (STACK, lambda y, h: h.squeeze(0)[1]),
    "view of one": (GRU, lambda y, h: h.view(-1, 6)),
    "last step": (GRU, lambda y, h: y[:, -1]),
    "last step, axis kept": (GRU, lambda y, h: y[:, -1:]),
    "one feature": (GRU, lambda y, h: y[..., 2]),
    "functions of the only state": (GRU, lambda y, h: (h.sigmoid() * 2 - h).softmax(-1)),
}


@pytest.mark.parametrize("steps", [1, 5])
@pytest.mark.parametrize("name", USES)
def test_usual_ways_to_use_outputs_and_states(name, steps, tmp_path):
    layer, use = USES[name]
    model, x = model_of(lambda m, x: torch.tanh(use(*m.gru(x))), layer), torch.randn(4, 7, 4)
    fastgru.save(model, tmp_path / "m.safetensors", args=torch.randn(3, steps, 4))
    output, _ = runtime.load(tmp_path / "m.safetensors").run(x.numpy())
    np.testing.assert_allclose(output, model(x).detach().numpy(), atol=1e-6, strict=True)


def test_a_layer_that_the_model_calls_without_a_batch(tmp_path):
    model, x = model_of(lambda m, x: torch.cat([m.gru(x)[0][-1], m.gru(x)[1][-1]], -1), GRU), torch.randn(7, 4)
    fastgru.save(model, tmp_path / "m.safetensors", args=torch.randn(5, 4))
    output, _ = runtime.load(tmp_path / "m.safetensors").run(x.numpy())
    np.testing.assert_allclose(output, model(x).detach().numpy(), atol=1e-6, strict=True)


def test_the_same_value_twice(tmp_path):
    model, x = model_of(lambda m, x: (lambda y: (y, y, y * 2))(m.gru(x)[0]), GRU), torch.randn(4, 7, 4)
    fastgru.save(model, tmp_path / "m.safetensors", args=X)
    output, _ = runtime.load(tmp_path / "m.safetensors").run(x.numpy())
    again, _ = fastgru.load(tmp_path / "m.safetensors")(x)
    assert len(output) == 3
    for one, other, wanted in zip(output.values(), again.values(), model(x), strict=True):
        np.testing.assert_allclose(one, wanted.detach().numpy(), atol=1e-6)
        np.testing.assert_allclose(other.detach().numpy(), wanted.detach().numpy(), atol=1e-6)


def test_a_loaded_model_can_be_trained(tmp_path):
    fastgru.save(Tagger(), tmp_path / "m.safetensors", args=words(2, 3))
    model = fastgru.load(tmp_path / "m.safetensors")
    output, _ = model(words(2, 3))
    output.square().sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    fastgru.save(model, tmp_path / "again.safetensors")
    assert runtime.load(tmp_path / "again.safetensors").graph.nodes == model.graph.nodes
