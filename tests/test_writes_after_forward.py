"""Writes to tensors between forward and backward pass: whatever torch's layer survives, ours survives, and with its
gradients. Torch keeps copies in some places, and does not look again at others; programs have come to rely on both.
"""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pack_sequence

import fastgru
from strategies import laid_out, seeds
from tolerance import assert_agrees

LAYERS = {"stock": nn.GRU, "ours": fastgru.GRU}
FLAGS = st.booleans()


def outcome(kind, options, layout, sizes, given_state, wanted, written):
    """The gradients after a write to the tensors named in `written`, or the error, of one of the layers."""
    torch.manual_seed(0)
    steps, batch = sizes
    layer = LAYERS[kind](3, 4, **options)
    cells = options["num_layers"] * (2 if options["bidirectional"] else 1)
    shape = (batch, steps, 3) if options["batch_first"] else (steps, batch, 3)
    tensors = {"x": laid_out(torch.randn(shape), layout), **dict(layer.named_parameters())}
    if given_state:
        tensors["h_0"] = torch.randn(cells, batch, 4)
    for name, tensor in tensors.items():
        is_weight = name not in ("x", "h_0")
        tensor.requires_grad_(name in wanted or ("weights" in wanted and is_weight))
    x, h_0 = tensors["x"], tensors.get("h_0")
    loss = losses_of(layer(x, h_0))
    with torch.no_grad():
        for name in written & tensors.keys():
            tensors[name].mul_(0.5)
    asked = [t for t in tensors.values() if t.requires_grad]
    try:
        found = torch.autograd.grad(loss, asked)
    except RuntimeError as error:
        return str(error)
    return dict(enumerate(found))


def losses_of(results):
    return results[0].sin().sum() + results[1].cos().sum()


PARAMETERS = ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0", "weight_ih_l1", "bias_hh_l0_reverse"]


@settings(max_examples=150)
@given(
    st.fixed_dictionaries(
        {"num_layers": st.integers(1, 2), "bidirectional": FLAGS, "batch_first": FLAGS, "bias": FLAGS}
    ),
    st.sampled_from(["dense", "transposed", "gaps"]),
    st.sampled_from([(1, 1), (1, 3), (5, 1), (5, 3), (2, 2)]),
    FLAGS,
    st.sets(st.sampled_from(["x", "h_0", "weights", *PARAMETERS]), min_size=1),
    st.sets(st.sampled_from(["x", "h_0", *PARAMETERS]), min_size=1, max_size=2),
)
def test_what_torch_survives_ours_survives(options, layout, sizes, given_state, wanted, written):
    if not given_state and wanted == {"h_0"}:
        return
    known = dict(fastgru.GRU(3, 4, **options).named_parameters())
    if not any(name in known or name in ("x", "weights") or (name == "h_0" and given_state) for name in wanted):
        return
    case = (options, layout, sizes, given_state, wanted, written)
    want, got = outcome("stock", *case), outcome("ours", *case)
    if isinstance(want, dict):
        assert isinstance(got, dict), f"torch's layer survives, ours says: {got}"
        assert_agrees(got, want)
    elif isinstance(got, dict):  # ours may survive more, with the gradients from before the write
        assert_agrees(got, outcome("ours", *case[:-1], set()))


def test_the_case_of_a_residual_that_is_added_to_the_input():
    for batch_first, sizes in itertools.product((False, True), ((5, 1), (5, 3))):
        torch.manual_seed(0)
        gradients = {}
        for kind, make in LAYERS.items():
            torch.manual_seed(1)
            layer = make(4, 4, batch_first=batch_first)
            torch.manual_seed(2)
            x = torch.randn((*sizes[::-1], 4) if batch_first else (*sizes, 4))
            output, _ = layer(x)
            x += output.detach()
            try:
                output.sum().backward()
                gradients[kind] = {name: p.grad for name, p in layer.named_parameters()}
            except RuntimeError:
                gradients[kind] = None
        if gradients["stock"] is not None:
            assert_agrees(gradients["ours"], gradients["stock"])


@pytest.mark.parametrize("enforce_sorted", [True, False])
@pytest.mark.parametrize("written", ["data", "batch_sizes", "h_0", "padded", "lengths"])
def test_packed_sequences(enforce_sorted, written):
    found = {}
    for kind, make in LAYERS.items():
        torch.manual_seed(0)
        layer, padded, h_0 = make(3, 4), torch.randn(5, 3, 3), torch.randn(1, 3, 4)
        lengths = torch.tensor([5, 3, 2] if enforce_sorted else [2, 5, 3])
        packed = pack_padded_sequence(padded, lengths, enforce_sorted=enforce_sorted)
        output, h_n = layer(packed, h_0)
        loss = losses_of((output.data, h_n))
        targets = {"data": packed.data, "batch_sizes": packed.batch_sizes, "h_0": h_0, "padded": padded}
        targets["lengths"] = lengths
        with torch.no_grad():
            targets[written].zero_()
        try:
            found[kind] = dict(enumerate(torch.autograd.grad(loss, list(layer.parameters()))))
        except RuntimeError as error:
            found[kind] = str(error)
    if isinstance(found["stock"], dict):
        assert isinstance(found["ours"], dict), found["ours"]
        assert_agrees(found["ours"], found["stock"])
    else:
        assert "modified by an inplace operation" in found["ours"]


@pytest.mark.parametrize("written", ["lengths", "reset"])
@pytest.mark.parametrize("as_array", [False, True])
def test_lengths_and_masks_are_the_callers_to_use_again(written, as_array):
    torch.manual_seed(0)
    layer, x = fastgru.GRU(3, 5), torch.randn(6, 2, 3)
    gradients = []
    for is_written in (False, True):
        given = {"lengths": torch.tensor([1, 2]), "reset": torch.zeros(6, 2, dtype=torch.bool)}
        arrays = {name: tensor.numpy() if as_array else tensor for name, tensor in given.items()}
        output, _ = layer(x, **arrays)
        if is_written:
            arrays[written][:] = 1 if written == "reset" else 6
        gradients.append(torch.autograd.grad(output.sum(), list(layer.parameters())))
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))


@pytest.mark.parametrize("how", ["in place", "view", "through .data", "twice"])
@pytest.mark.parametrize("retain", [False, True])
def test_the_output_may_be_written_to(how, retain):
    gradients = []
    for is_written in (False, True):
        torch.manual_seed(0)
        layer, x = fastgru.GRU(3, 4), torch.randn(5, 2, 3)
        output, h_n = layer(x)
        loss = h_n.square().sum() + output.cumsum(0)[-1].sum()
        if is_written and how == "in place":
            output.mul_(2)
        elif is_written and how == "view":
            output[2:, 1].zero_()
        elif is_written and how == "twice":
            output.mul_(2)
            output.add_(1)
        if retain:
            loss.backward(retain_graph=True)
            layer.zero_grad()
        loss.backward()
        gradients.append({name: p.grad for name, p in layer.named_parameters()})
    assert_agrees(*gradients)


@settings(max_examples=20)
@given(seeds, FLAGS, st.integers(1, 2))
def test_the_output_of_packed_data_may_be_written_to(seed, both, layers):
    torch.manual_seed(seed)
    layer = fastgru.GRU(3, 4, layers, bidirectional=both)
    packed = pack_sequence([torch.randn(n, 3) for n in (4, 2, 1)])
    gradients = []
    for is_written in (False, True):
        output, h_n = layer(packed)
        assert isinstance(output, PackedSequence)
        loss = output.data.cumsum(0).sum() + h_n.square().sum()
        if is_written:
            output.data.detach().mul_(3)
        gradients.append(dict(enumerate(torch.autograd.grad(loss, list(layer.parameters())))))
    assert_agrees(*gradients)


def test_hooks_on_saved_tensors_see_the_output_and_nothing_else_keeps_it():
    layer, x = fastgru.GRU(3, 4), torch.randn(5, 2, 3)
    kept = []

    def pack(tensor):
        kept.append(tensor.clone())
        return len(kept) - 1

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda place: kept[place]):
        output, _ = layer(x)
        loss = output.sum()
    assert any(torch.equal(tensor, output) for tensor in kept)
    memory = StorageWeakRef(output.untyped_storage())
    want = torch.autograd.grad(layer(x)[0].sum(), list(layer.parameters()))
    del output
    assert memory.expired()
    got = torch.autograd.grad(loss, list(layer.parameters()))
    assert all(torch.equal(a, b) for a, b in zip(got, want, strict=True))


@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("entrance", ["plain", "lengths", "packed"])
def test_the_output_goes_with_the_graph(recompute, entrance):
    layer, x = fastgru.GRU(3, 4, recompute=recompute), torch.randn(5, 2, 3)
    if entrance == "packed":
        output = layer(pack_padded_sequence(x, [5, 3]))[0].data
    else:
        output, _ = layer(x, lengths=[5, 3] if entrance == "lengths" else None)
    memory, node = StorageWeakRef(output.untyped_storage()), output.grad_fn
    loss = output.sum()
    del output
    assert not memory.expired()
    loss.backward(retain_graph=True)
    assert not memory.expired()
    loss.backward()
    assert node is not None
    assert memory.expired()


@pytest.mark.parametrize("library", [torch.nn, fastgru], ids=["torch", "fastgru"])
def test_a_packed_step_needs_no_recurrent_weight_afterwards(library):
    layer = library.GRU(3, 4)
    output, _ = layer(pack_sequence([torch.randn(1, 3), torch.randn(1, 3)]))
    with torch.no_grad():
        layer.weight_hh_l0.mul_(2)
    output.data.sum().backward()
    assert layer.weight_ih_l0.grad is not None
