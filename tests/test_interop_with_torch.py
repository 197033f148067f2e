"""The layer with torch's mechanisms: views, saved tensors, checkpoints, meta and fake tensors."""

from __future__ import annotations

import functools

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.nn.utils.rnn import pack_padded_sequence
from torch.utils.checkpoint import (
    CheckpointPolicy,
    checkpoint,
    checkpoint_sequential,
    create_selective_checkpoint_contexts,
)

import fastgru
from fastgru.backends.cpu import node
from layer_pairs import FORMS, KINDS, everything, example, of_form, pair, results
from tolerance import assert_agrees

every_kind = pytest.mark.parametrize("kind", KINDS)
every_form = pytest.mark.parametrize(("kind", "options"), FORMS, ids=str)


# -- results are tensors of their own ------------------------------------------------------------


def are_views(layer, x):
    """Of results with gradients and without."""
    with torch.no_grad():
        quiet = results(layer(x))
    return [t._is_view() for t in (*results(layer(x)), *quiet)]


@every_form
def test_results_are_no_views_as_torchs_are_none(kind, options):
    ours, stock = of_form(kind, **options)
    x = example(kind)
    assert not any(are_views(stock, x))
    assert not any(are_views(ours, x))
    if kind == "GRU":
        assert not any(are_views(ours.freeze(), x))
        with_dropout = fastgru.GRU(3, 5, **{**options, "num_layers": 2}, dropout=0.5, dtype=torch.float64)
        assert not any(are_views(with_dropout, x))


@every_form
def test_results_may_be_detached_in_place(kind, options):
    """As in a program that cuts the gradient between two pieces of a sequence by `h.detach_()`."""
    for layer in of_form(kind, **options):
        for result in results(layer(example(kind))):
            assert result.detach_().grad_fn is None


@every_form
def test_results_made_without_gradients_may_be_changed_by_what_has_them(kind, options):
    changed = []
    for layer in of_form(kind, **options):
        with torch.no_grad():
            outcome = results(layer(example(kind)))
        factor = torch.full((), 2.0, dtype=torch.float64, requires_grad=True)
        for result in outcome:
            result.mul_(factor)
        (grad,) = torch.autograd.grad(sum(t.sum() for t in outcome), factor)
        changed.append({"gradient": grad, **{str(i): t.detach() for i, t in enumerate(outcome)}})
    assert_agrees(*changed)


@every_form
def test_results_changed_in_place_give_the_same_gradients(kind, options):
    found = []
    for layer in of_form(kind, **options):
        x = example(kind)
        outcome = [result.mul_(2) for result in results(layer(x))]
        outcome[0][1].zero_()
        wanted = {"x": x, **dict(layer.named_parameters())}
        grads = torch.autograd.grad(sum(t.square().sum() for t in outcome), list(wanted.values()))
        found.append(dict(zip(wanted, grads, strict=True)))
    assert_agrees(*found)


@pytest.mark.parametrize("dropout", [0.0, 0.5])
@pytest.mark.parametrize("batch_first", [False, True])
def test_only_a_changed_output_is_computed_twice(monkeypatch, batch_first, dropout):
    calls = []
    for forward in (node._plain_forward, node._forward):
        counted = lambda *args, forward=forward: (calls.append(1), forward(*args))[1]  # noqa: E731
        monkeypatch.setattr(node, forward.__name__, counted)
    layer = fastgru.GRU(3, 5, 2, batch_first=batch_first, dropout=dropout)
    once = 2 if dropout else 1  # calls of the core for a stack
    layer(torch.randn(4, 2, 3))[0].sum().backward()
    assert len(calls) == once
    layer(torch.randn(4, 2, 3))[0].mul_(2).sum().backward()
    assert len(calls) == 2 * once + 1


# -- what autograd keeps -------------------------------------------------------------------------

SAVING = {
    "on the CPU": torch.autograd.graph.save_on_cpu,
    "packed": lambda: torch.autograd.graph.saved_tensors_hooks(lambda t: t.numpy(force=True).copy(), torch.from_numpy),
    "no hooks allowed": lambda: torch.autograd.graph.disable_saved_tensors_hooks("none here"),
    "changes allowed": torch.autograd.graph.allow_mutation_on_saved_tensors,
}


@every_form
@pytest.mark.parametrize("way", SAVING)
def test_saved_tensors_may_be_kept_elsewhere(kind, options, way):
    ours, stock = of_form(kind, **options)
    with SAVING[way]():
        got = everything(ours, example(kind))
    assert_agrees(got, everything(stock, example(kind)))


@every_form
@pytest.mark.parametrize("changed", ["input", "weight", "result"])
def test_saved_tensors_may_be_changed_where_torch_keeps_copies(kind, options, changed):
    found = []
    for layer in of_form(kind, **options):
        leaf = example(kind)
        with torch.autograd.graph.allow_mutation_on_saved_tensors():
            x = leaf * 1
            outcome = results(layer(x))
            total = sum(t.sum() for t in outcome)
            with torch.no_grad():
                {"input": x, "weight": next(layer.parameters()), "result": outcome[0]}[changed].mul_(2)
            wanted = {"x": leaf, **dict(layer.named_parameters())}
            grads = torch.autograd.grad(total, list(wanted.values()))
        found.append(dict(zip(wanted, grads, strict=True)))
    assert_agrees(*found)


@pytest.mark.parametrize("use_reentrant", [False, True])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_checkpointing_draws_the_same_dropout_again(use_reentrant, bidirectional):
    ours, stock = of_form("GRU", num_layers=3, dropout=0.5, bidirectional=bidirectional)

    def checkpointed(x):
        return checkpoint(ours, x, use_reentrant=use_reentrant)

    got, want = (gradients(ours, call) for call in (checkpointed, ours))
    assert all(torch.equal(got[name], want[name]) for name in want)
    assert_agrees(got, gradients(stock, stock))


def gradients(layer, call):
    """Gradients by `backward`, which is all that reentrant checkpointing knows."""
    layer.zero_grad()
    x = example("GRU")
    torch.manual_seed(2)
    sum(t.square().sum() for t in results(call(x))).backward()
    return {"x": x.grad, **{n: p.grad.clone() for n, p in layer.named_parameters()}}


class OutputOf(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        return self.layer(x)[0]


def test_checkpointing_in_pieces():
    """Between layers, and with torch deciding for each of its own operators what to keep."""
    pairs = [pair("GRU", 3, 3, dtype=torch.float64) for _ in range(4)]
    ours, stock = (nn.Sequential(*map(OutputOf, layers)) for layers in zip(*pairs, strict=True))
    policy = functools.partial(
        create_selective_checkpoint_contexts, lambda *args, **kwargs: CheckpointPolicy.PREFER_RECOMPUTE
    )
    want = gradients(stock, stock)
    for call in (
        lambda x: checkpoint_sequential(ours, 2, x, use_reentrant=False),
        lambda x: checkpoint(ours, x, use_reentrant=False, context_fn=policy),
    ):
        assert_agrees(gradients(ours, call), want)


# -- deterministic algorithms --------------------------------------------------------------------


@every_form
def test_deterministic_algorithms_are_all_there_are(kind, options):
    """Torch also fills fresh memory with NaN in this mode, so that reading before writing would show."""
    layer, x = of_form(kind, **options)[0], example(kind)
    plain = everything(layer, x)
    torch.use_deterministic_algorithms(True)
    try:
        runs = [everything(layer, x) for _ in range(2)]
    finally:
        torch.use_deterministic_algorithms(False)
    assert all(torch.equal(run[name], plain[name]) for run in runs for name in plain)


# -- tensors without numbers ---------------------------------------------------------------------


def shapes(found):
    return {name: (t.shape, t.dtype, t.device, type(t)) for name, t in found.items()}


@every_form
def test_meta_tensors_pass_through_training(kind, options):
    with torch.device("meta"):
        found = [shapes(everything(layer, example(kind))) for layer in of_form(kind, **options)]
    assert found[0] == found[1]
    assert all(device.type == "meta" for _, _, device, _ in found[0].values())


def test_meta_tensors_pass_through_packed():
    packed = pack_padded_sequence(torch.randn(4, 2, 3, device="meta"), torch.tensor([4, 2]))
    found = [shapes(everything(layer, packed)) for layer in pair("GRU", 3, 5, device="meta")]
    assert found[0] == found[1]


@every_kind
def test_another_default_device_changes_nothing(kind):
    ours, stock = of_form(kind)
    x = example(kind)
    with torch.device("meta"):
        outcome = results(ours(x))
        sum(t.sum() for t in outcome).backward()
    grads = {n: p.grad for n, p in ours.named_parameters()}
    assert all(t.device.type == "cpu" for t in (*outcome, x.grad, *grads.values()))
    sum(t.sum() for t in results(stock(example(kind)))).backward()
    assert_agrees(grads, {n: p.grad for n, p in stock.named_parameters()})


@every_kind
def test_a_layer_from_the_meta_device_takes_weights_by_assignment(kind):
    _, stock = of_form(kind)
    with torch.device("meta"):
        ours = getattr(fastgru, kind)(3, 5)
    ours.load_state_dict(stock.state_dict(), assign=True)
    assert_agrees(everything(ours, example(kind)), everything(stock, example(kind)))


def test_initialisation_may_be_skipped():
    """Torch's own layer cannot: its constructor does not show that it takes a device."""
    with pytest.raises(RuntimeError, match="must support a 'device' arg"):
        nn.utils.skip_init(nn.GRU, 3, 5)
    before = torch.get_rng_state()
    layer = nn.utils.skip_init(fastgru.GRU, 3, 5, num_layers=2, batch_first=True)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(p.device.type == "cpu" for p in layer.parameters())
    want = nn.GRU(3, 5, 2, batch_first=True)
    layer.load_state_dict(want.state_dict())
    assert_agrees(everything(layer, torch.ones(2, 4, 3)), everything(want, torch.ones(2, 4, 3)))


@every_form
@pytest.mark.parametrize("built", ["inside", "outside"])
def test_fake_tensors(kind, options, built):
    found = []
    for layer in of_form(kind, **options):
        with FakeTensorMode(allow_non_fake_inputs=built == "outside"):
            own = layer if built == "outside" else type(layer)(3, 5, **options, dtype=torch.float64)
            outcome = results(own(example(kind)))
            sum(t.sum() for t in outcome).backward()
        assert all(isinstance(t, FakeTensor) for t in outcome)
        found.append([t.shape for t in outcome] + [p.grad.shape for p in own.parameters()])
    assert found[0] == found[1]
