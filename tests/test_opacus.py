"""The layers in Opacus: per-sample gradients are those of single samples. Skipped without Opacus."""

from __future__ import annotations

import time
import warnings

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from torch.utils.data import DataLoader, TensorDataset

import fastgru
from tolerance import assert_agrees

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    opacus = pytest.importorskip("opacus")

# Theirs: about random numbers that are not for production, and hooks of other layers.
pytestmark = pytest.mark.filterwarnings("ignore")

BATCH, STEPS = 4, 5


@pytest.fixture(autouse=True)
def _registered():
    fastgru.opacus.register()


class Reader(nn.Module):
    """A GRU whose results a loss reads in one of several ways."""

    def __init__(self, uses, **options):
        super().__init__()
        self.uses = uses
        self.gru = fastgru.GRU(3, 4, **options, dtype=torch.float64)

    def losses(self, output, h_n):
        """One for each sample; a step of padding costs nothing."""
        rows, states = 0 if self.gru.batch_first else 1, 0 if self.gru.state_batch_first else 1
        parts = {"output": output.movedim(rows, 0).sin(), "h_n": h_n.movedim(states, 0).cos()}
        return sum(parts[name].flatten(1).sum(1) for name in self.uses)

    def forward(self, *args, **kwargs):
        return self.losses(*self.gru(*args, **kwargs))


def example(model):
    """An input and a state for every row."""
    gru = model.gru
    x = torch.randn(BATCH, STEPS, 3).double()
    cells = gru.num_layers * (2 if gru.bidirectional else 1)
    return x if gru.batch_first else x.transpose(0, 1), torch.randn(cells, BATCH, 4).double()


def row_of(name, value, i, at):
    """What of an argument belongs to one sample."""
    at = {"hx": 1, "lengths": 0}.get(name, at)
    return None if value is None else value.narrow(at, i, 1)


def one_by_one(model, x, **options):
    """The gradients of each row's loss, by name of the parameter, rows first."""
    at = 0 if model.gru.batch_first else 1
    names, found = dict(model.named_parameters()), []
    for i in range(BATCH):
        own = {name: row_of(name, value, i, at) for name, value in options.items()}
        gradients = torch.autograd.grad(model(x.narrow(at, i, 1), **own).sum(), list(names.values()))
        found.append(gradients)
    return {name: torch.stack(each) for name, each in zip(names, zip(*found, strict=True), strict=True)}


def samples(model, call, batch_first=True, loss_reduction="sum"):
    """The gradients of the rows of one backward pass, as Opacus finds them."""
    wrapped = opacus.GradSampleModule(model, batch_first=batch_first, loss_reduction=loss_reduction)
    losses = call(wrapped)
    (losses.sum() if loss_reduction == "sum" else losses.mean()).backward()
    found = {name: p.grad_sample for name, p in model.named_parameters() if p.requires_grad}
    wrapped.to_standard_module()
    return found


@pytest.mark.parametrize("uses", [("output",), ("h_n",), ("output", "h_n")], ids="+".join)
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize(("layers", "bidirectional"), [(1, False), (2, False), (1, True), (2, True)])
def test_samples_are_those_of_rows_alone(layers, bidirectional, batch_first, uses):
    model = Reader(uses, num_layers=layers, bidirectional=bidirectional, batch_first=batch_first)
    x, hx = example(model)
    for opacus_batch_first in (False, True):
        for reduction in ("sum", "mean"):
            got = samples(model, lambda wrapped: wrapped(x), opacus_batch_first, reduction)
            assert_agrees(got, one_by_one(model, x))
    assert_agrees(samples(model, lambda wrapped: wrapped(x, hx)), one_by_one(model, x, hx=hx))
    assert_agrees(samples(model, lambda wrapped: wrapped(x, hx=hx)), one_by_one(model, x, hx=hx))
    assert_agrees(samples(model, lambda wrapped: wrapped(x.clone().requires_grad_(), None)), one_by_one(model, x))


@pytest.mark.parametrize("batch_first", [False, True])
def test_lengths_and_resets(batch_first):
    model = Reader(("output", "h_n"), num_layers=2, bidirectional=True, batch_first=batch_first)
    x, _ = example(model)
    lengths, reset = torch.tensor([3, 0, 5, 1]), torch.rand(x.shape[:2]) < 0.4
    got = samples(model, lambda wrapped: wrapped(x, lengths=lengths.tolist(), reset=reset))
    assert_agrees(got, one_by_one(model, x, lengths=lengths, reset=reset))


@pytest.mark.parametrize("batch_first", [False, True])
def test_packed_sequences(batch_first):
    model = Reader(("output", "h_n"), num_layers=2, bidirectional=True, batch_first=batch_first)
    x, hx = example(model)
    lengths = torch.tensor([3, 2, 5, 1])
    packed = pack_padded_sequence(x, lengths, batch_first=batch_first, enforce_sorted=False)

    def losses(_):
        output, h_n = model.gru(packed, hx)
        return model.losses(pad_packed_sequence(output, batch_first)[0], h_n)

    assert_agrees(samples(model, losses), one_by_one(model, x, hx=hx, lengths=lengths))


@pytest.mark.parametrize("options", [{"learn_h0": True}, {"proj_size": 2}, {"state_batch_first": True}])
def test_options_that_torch_does_not_have(options):
    model = Reader(("output", "h_n"), num_layers=2, batch_first=True, **options)
    x, _ = example(model)
    assert_agrees(samples(model, lambda wrapped: wrapped(x)), one_by_one(model, x))


def test_several_calls_of_one_layer_add_up():
    model = Reader(("output", "h_n"), batch_first=True)
    x, _ = example(model)

    def losses(x):
        first, state = model.gru(x)
        return model.losses(*model.gru(first[:, :, :3], state))

    got = samples(model, lambda _: losses(x))
    for i in range(BATCH):
        want = torch.autograd.grad(losses(x[i : i + 1]).sum(), list(model.parameters()))
        assert_agrees({name: d[i] for name, d in got.items()}, dict(zip(got, want, strict=True)))


def test_cells_take_states_along():
    cell, xs = fastgru.GRUCell(3, 4, dtype=torch.float64), torch.randn(STEPS, BATCH, 3).double()

    def losses(cell, xs):
        state = None
        for x in xs:
            state = cell(x, state)
        return state.sin().sum(1)

    got = samples(cell, lambda wrapped: losses(wrapped, xs))
    for i in range(BATCH):
        want = torch.autograd.grad(losses(cell, xs[:, i : i + 1]).sum(), list(cell.parameters()))
        assert_agrees({name: d[i] for name, d in got.items()}, dict(zip(got, want, strict=True)))


def test_parameters_that_stay_and_empty_batches():
    model = Reader(("output", "h_n"), batch_first=True)
    x, _ = example(model)
    want = one_by_one(model, x)
    model.gru.weight_hh_l0.requires_grad_(False)
    del want["gru.weight_hh_l0"]
    assert_agrees(samples(model, lambda wrapped: wrapped(x)), want)
    empty = samples(model, lambda wrapped: wrapped(x[:0]))
    assert {name: d.shape for name, d in empty.items()} == {name: (0, *d.shape[1:]) for name, d in want.items()}


class Classifier(nn.Module):
    """What people train: a GRU between other layers, its last state read."""

    def __init__(self, kind):
        super().__init__()
        self.words = nn.Embedding(20, 8)
        self.gru = kind(8, 16, batch_first=True)
        self.labels = nn.Linear(16, 2)

    def forward(self, words):
        return self.labels(self.gru(self.words(words))[1][-1])


def trained(kind, mode="hooks"):
    """The parameters after private training without noise."""
    torch.manual_seed(0)
    data = TensorDataset(torch.randint(20, (24, 7)), torch.randint(2, (24,)))
    stock, model = Classifier(nn.GRU), Classifier(kind)
    for name in ("words", "gru", "labels"):
        getattr(model, name).load_state_dict(getattr(stock, name).state_dict())
    wrapped, optimizer, *criteria, loader = opacus.PrivacyEngine().make_private(
        module=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.5),
        criterion=nn.CrossEntropyLoss(),
        data_loader=DataLoader(data, batch_size=8),
        noise_multiplier=0.0,
        max_grad_norm=0.5,
        poisson_sampling=False,
        grad_sample_mode=mode,
    )
    criterion = criteria[0] if criteria else nn.CrossEntropyLoss()
    for words, labels in loader:
        optimizer.zero_grad()
        criterion(wrapped(words), labels).backward()
        optimizer.step()
    moved = {name: getattr(model.gru, name).detach() for name, _ in stock.gru.named_parameters()}
    assert all(not torch.equal(t, getattr(stock.gru, name)) for name, t in moved.items())
    return moved


@pytest.mark.parametrize("mode", ["hooks", "ghost"])
def test_private_training_goes_the_way_of_opacus_own_layer(mode):
    assert_agrees(trained(fastgru.GRU, mode), trained(opacus.layers.DPGRU))


def test_private_training_with_noise_and_poisson_batches():
    data = TensorDataset(torch.randint(20, (30, 7)), torch.randint(2, (30,)))
    model, engine = Classifier(fastgru.GRU), opacus.PrivacyEngine()
    before = model.gru.weight_hh_l0.detach().clone()
    wrapped, optimizer, loader = engine.make_private(
        module=model,
        optimizer=torch.optim.Adam(model.parameters()),
        data_loader=DataLoader(data, batch_size=2),
        noise_multiplier=1.0,
        max_grad_norm=1.0,
    )
    for words, labels in loader:  # one in eight is empty
        optimizer.zero_grad()
        nn.functional.cross_entropy(wrapped(words), labels).backward()
        optimizer.step()
    assert engine.get_epsilon(1e-3) > 0
    assert model.gru.weight_hh_l0.isfinite().all()
    assert not torch.equal(model.gru.weight_hh_l0, before)


def test_a_layer_that_was_unwrapped_is_as_before():
    layer = fastgru.GRU(3, 4)
    opacus.GradSampleModule(layer).to_standard_module()
    assert not layer._forward_hooks
    called = []
    layer.register_full_backward_hook(lambda *_: called.append("backward"))
    layer.register_forward_hook(lambda *_: called.append("forward"))
    layer(torch.randn(5, 2, 3))[0].sum().backward()
    assert called == ["forward", "backward"]
    assert not hasattr(layer.weight_ih_l0, "grad_sample")


def test_what_has_no_samples_is_refused():
    x = torch.randn(5, 2, 3)
    wrapped = opacus.GradSampleModule(fastgru.GRU(3, 4))
    nested = torch.nested.nested_tensor([x[:, 0], x[:3, 0]], layout=torch.jagged)
    for call in (
        lambda: opacus.GradSampleModule(fastgru.GRU(3, 4), force_functorch=True),
        lambda: opacus.GradSampleModule(fastgru.StatefulGRU(3, 4), strict=False),
        lambda: opacus.GradSampleModule(fastgru.GRU(3, 4, 2, dropout=0.5))(x),
        lambda: wrapped(x[0]),
        lambda: wrapped(nested),
    ):
        with pytest.raises(fastgru.errors.ArgumentError, match="no per-sample gradients for"):
            call()
    wrapped.eval()
    assert wrapped(x[0])[0].shape == (2, 4)


def test_sooner_than_opacus_own_layer():
    """Measured: 5 to 15 times."""
    x = torch.randn(32, 50, 32)

    def seconds(kind):
        model, times = opacus.GradSampleModule(kind(32, 64, batch_first=True)), []
        for _ in range(5):
            model.zero_grad()
            start = time.perf_counter()
            model(x)[0].mean().backward()
            times.append(time.perf_counter() - start)
        return min(times)

    ratio = seconds(opacus.layers.DPGRU) / seconds(fastgru.GRU)
    print(f"\nDPGRU takes {ratio:.1f} times as long")
    assert ratio > 2
