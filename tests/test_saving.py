"""`fastgru.save` and `fastgru.load`: models of torch as files, and back."""

# ruff: noqa: E501  (the tables of what is refused have a row for each case)

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence as pack
from torch.nn.utils.rnn import pad_packed_sequence as pad

import fastgru
from fastgru import errors, runtime
from tolerance import MODEL


class Tagger(nn.Module):
    def __init__(self, layer=nn.GRU):
        super().__init__()
        self.words = nn.Embedding(10, 4)
        self.gru = layer(4, 6, 2, bidirectional=True, batch_first=True)
        self.drop = nn.Dropout(0.5)
        self.norm = nn.LayerNorm(12)
        self.tags = nn.Linear(12, 3)

    def forward(self, words):
        output, _ = self.gru(self.words(words))
        return self.tags(torch.relu(self.norm(self.drop(output)))).softmax(-1)


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(4, 6, 2, bidirectional=True)
        self.label = nn.Linear(12, 3)

    def forward(self, x):
        output, h_n = self.gru(x)
        return self.label(torch.cat([h_n[-2], h_n[-1]], -1)), self.label(output[-1])


class TwoStates(nn.Module):
    def __init__(self):
        super().__init__()
        self.front = nn.Linear(4, 6)
        self.lower = nn.GRU(6, 6, batch_first=True)
        self.upper = nn.GRU(6, 6, batch_first=True)
        self.back = nn.Linear(6, 2)

    def forward(self, x, h):
        y, first = self.lower(torch.tanh(self.front(x)), h[0:1])
        z, second = self.upper(y, h[1:2])
        return torch.sigmoid(self.back(y + z)), torch.cat([first, second])


class Policy(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(4, 8), nn.SiLU())
        self.cell = nn.GRUCell(8, 6)
        self.action = nn.Linear(6, 2)
        self.value = nn.Linear(6, 1)

    def forward(self, x, h):
        h = self.cell(self.encoder(x), h)
        return self.action(h).log_softmax(-1), self.value(h).squeeze(-1), h


class OneStep(nn.Module):
    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(4, 6, 2)
        self.out = nn.Linear(6, 2)

    def forward(self, x, h):
        y, h = self.gru(x.unsqueeze(0), h)
        return self.out(y.squeeze(0)), h


class Flattened(nn.Module):
    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(4, 6, batch_first=True)
        self.out = nn.Linear(6, 2)

    def forward(self, x):
        y, _ = self.gru(x)
        batch, steps, width = y.shape
        return self.out(y.reshape(batch * steps, width)).view(batch, steps, 2)


class Mask(nn.Module):
    """Features in the middle, statistics as buffers, a gate from a part of the features."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.randn(4))
        self.gru = nn.GRU(8, 6, batch_first=True)
        self.out = nn.Linear(6, 8)

    def forward(self, x, row):
        y = (x.transpose(1, 2) - self.mean) / 2.5
        row = row.unsqueeze(1)
        y, _ = self.gru(torch.cat([y * row, 1 - y], -1))
        first, second = self.out(y).chunk(2, -1)
        return x * (first * torch.sigmoid(second)).transpose(1, 2)


def words(*shape):
    return torch.randint(10, shape)


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


def learned(layer):
    with torch.no_grad():
        layer.h_0.uniform_(-1, 1)
    return layer


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


def lambda_module(function, *modules):
    class Wrapped(nn.Module):
        def __init__(self):
            super().__init__()
            for name, module in modules:
                self.add_module(name, module)

        def forward(self, *args):
            return function(self, *args)

    return Wrapped()


GRU = ("gru", nn.GRU(4, 6, batch_first=True))
OURS = ("gru", fastgru.GRU(4, 6, batch_first=True))
X = torch.randn(3, 5, 4)


def changed_by_a_view(x):
    x.transpose(1, 2).add_(1)
    return x


REFUSED = {
    "packed sequences": (lambda_module(lambda m, x, n: pad(m.gru(pack(x, n, batch_first=True))[0])[0], GRU), [X, torch.tensor([5, 3, 2])], r"gru has a packed sequence.*`self.gru\(x, lengths=lengths\)`"),
    "a packed sequence": (lambda_module(lambda m, x: m.gru(x)[0], GRU), pack(X, torch.tensor([5, 3, 2]), batch_first=True), "the example has a packed sequence"),
    "the first step": (lambda_module(lambda m, x: m.gru(x)[0][:, 0], GRU), [X], r"element 0.*`model.step`"),
    "all but the first step": (lambda_module(lambda m, x: m.gru(x[:, 1:])[0], GRU), [X], "of steps or rows. Cut steps off before the call"),
    "a choice": (lambda_module(lambda m, x, mask: torch.where(mask, m.gru(x)[0], 0), GRU), [X, torch.ones(3, 5, 1) > 0], "aten.where.*Multiply by a mask of numbers.*`lengths=`.*`reset=`"),
    "a mask": (lambda_module(lambda m, x, mask: m.gru(x)[0].masked_fill(mask, 0), GRU), [X, torch.ones(3, 5, 1) > 0], "aten.masked_fill.*Multiply by a mask of numbers"),
    "a mask that is multiplied": (lambda_module(lambda m, x, mask: m.gru(x)[0] * mask, GRU), [X, torch.ones(3, 5, 1) > 0], "aten.mul of integers or booleans. Give it to the model as numbers"),
    "last steps": (lambda_module(lambda m, x, n: m.gru(x)[0][torch.arange(3), n - 1], GRU), [X, torch.tensor([5, 3, 2])], r"h_n\[-1\]|of integers"),
    "steps turned": (lambda_module(lambda m, x: m.gru(x.flip(1))[0], GRU), [X], "aten.flip.*bidirectional=True"),
    "convolution": (lambda_module(lambda m, x: m.conv(x), ("conv", nn.Conv1d(5, 5, 1))), [X], "conv: the operation aten.conv1d"),
    "attention": (lambda_module(lambda m, x: m.gru(x)[0] @ m.gru(x)[0].transpose(1, 2), GRU), [torch.randn(3, 5, 4)], "matmul"),
    "a mean over steps": (lambda_module(lambda m, x: m.gru(x)[0].mean(1), GRU), [X], "mean: the operation aten.mean"),
    "a middle step": (lambda_module(lambda m, x: m.gru(x)[0][:, 2], GRU), [X], "element 2"),
    "every second step": (lambda_module(lambda m, x: m.gru(x[:, ::2])[0], GRU), [X], "of every second or further element"),
    "rows shifted": (lambda_module(lambda m, x: m.gru(x)[0] + m.gru(x.transpose(0, 1))[0].transpose(0, 1), GRU), [torch.randn(5, 5, 4)], "is that of"),
    "a state that is read": (lambda_module(lambda m, x, s: (m.gru(x, s)[0] + s.transpose(0, 1)), GRU), [X, torch.zeros(1, 3, 6)], "the state"),
    "an output of constants": (lambda_module(lambda m, x: (m.gru(x)[0], torch.zeros(3)), GRU), [X], "does not depend"),
    "features of a state": (lambda_module(lambda m, x: m.gru(x)[1][:, :, :3][-1], GRU), [X], "select: aten.select of the states"),
    "rows of a state": (lambda_module(lambda m, x: m.gru(x)[1][:, :1][-1], GRU), [X], "select: aten.select of the states"),
    "only states": (lambda_module(lambda m, x: m.gru(x)[1], GRU), [X], "no output but states"),
    "all but one step": (lambda_module(lambda m, x: m.gru(x)[0][:, : x.shape[1] - 1], GRU), [X], "of steps or rows"),
    "a number of steps": (lambda_module(lambda m, x: m.gru(x)[0] / x.shape[1], GRU), [X], "depends on the sizes"),
    "division that rounds": (lambda_module(lambda m, x: torch.div(m.gru(x)[0], 2, rounding_mode="floor"), GRU), [X], "rounding_mode"),
    "numbers that become integers": (lambda_module(lambda m, x: m.gru(x.long().float())[0], GRU), [X], "to torch.int64"),
    "numbers that are rounded": (lambda_module(lambda m, x: m.gru(x.half().float())[0], GRU), [X], "to torch.float16"),
    "a change of a view": (lambda_module(lambda m, x: changed_by_a_view(m.gru(x)[0]), GRU), [X], "changes a value of which another view is read later in place"),
    "numbers without features": (lambda_module(lambda m, x, mask: m.gru(x)[0] * mask.unsqueeze(-1), GRU), [X, torch.ones(3, 5)], "without an axis of features"),
    "lengths that are computed": (lambda_module(lambda m, x, n: m.gru(x, lengths=n - 1)[0], OURS), [X, torch.tensor([5, 2, 4])], "of integers or booleans"),
    "constant lengths": (lambda_module(lambda m, x: m.gru(x, lengths=torch.tensor([5, 2, 4]))[0], OURS), [X], "lengths or resets that are computed"),
    "dropout in evaluation": (lambda_module(lambda m, x: nn.functional.dropout(m.gru(x)[0]), GRU), [X], "dropout in evaluation mode"),
    "steps that become features": (lambda_module(lambda m, x: m.gru(x)[0].reshape(x.shape[0], -1) + 0, GRU), [X], "a reshape has made one"),
    "rows one after another": (lambda_module(lambda m, x: m.gru(x.reshape(1, -1, 4))[0].view(x.shape[0], x.shape[1], 6), GRU), [X], "this reshape cuts an axis"),
    "a learned start": (lambda_module(lambda m, x: m.gru(x, m.h.weight.view(1, 3, 6))[0], GRU, ("h", nn.Linear(3, 6, bias=False))), [X], "different constants"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_runtime_does_not_have_is_refused_by_name_and_place(name, tmp_path):
    model, args, message = REFUSED[name]
    with pytest.raises(errors.ConversionError, match=message):
        fastgru.save(model, tmp_path / "m.safetensors", args=args)
    assert not list(tmp_path.iterdir())
    assert type(getattr(model, "gru", None)) in (nn.GRU, fastgru.GRU, type(None))


STACK = ("gru", nn.GRU(4, 6, 2, bidirectional=True, batch_first=True))
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
    model, x = lambda_module(lambda m, x: torch.tanh(use(*m.gru(x))), layer), torch.randn(4, 7, 4)
    fastgru.save(model, tmp_path / "m.safetensors", args=torch.randn(3, steps, 4))
    output, _ = runtime.load(tmp_path / "m.safetensors").run(x.numpy())
    np.testing.assert_allclose(output, model(x).detach().numpy(), atol=1e-6, strict=True)


def test_a_layer_that_the_model_calls_without_a_batch(tmp_path):
    model, x = lambda_module(lambda m, x: torch.cat([m.gru(x)[0][-1], m.gru(x)[1][-1]], -1), GRU), torch.randn(7, 4)
    fastgru.save(model, tmp_path / "m.safetensors", args=torch.randn(5, 4))
    output, _ = runtime.load(tmp_path / "m.safetensors").run(x.numpy())
    np.testing.assert_allclose(output, model(x).detach().numpy(), atol=1e-6, strict=True)


def test_a_learned_start(tmp_path):
    """States begin with it, also after a reset, in a model too."""
    model = lambda_module(
        lambda m, x, reset: m.gru(x, reset=reset)[0], ("gru", learned(fastgru.GRU(4, 6, learn_h0=True)))
    )
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


def test_a_model_without_an_example_is_told_how_to_give_one(tmp_path):
    with pytest.raises(errors.ArgumentError, match=r"fastgru.save\(model, path, args=\(x,\)\)"):
        fastgru.save(Tagger(), tmp_path / "m.safetensors")
    with pytest.raises(TypeError, match=r"torch\.nn\.Module"):
        fastgru.save({"gru": 1}, tmp_path / "m.safetensors")


def test_weights_that_are_nan_are_not_saved(tmp_path):
    layer = fastgru.GRU(3, 4)
    with torch.no_grad():
        layer.weight_hh_l0[1, 2] = torch.nan
    with pytest.raises(errors.GraphError, match="'weight_hh_l0' has 1 values that are not a number"):
        fastgru.save(layer, tmp_path / "m.safetensors")


def test_the_same_value_twice(tmp_path):
    model, x = lambda_module(lambda m, x: (lambda y: (y, y, y * 2))(m.gru(x)[0]), GRU), torch.randn(4, 7, 4)
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
