"""Every error: torch's type, torch's text, then what to do; and no kernel runs."""

from __future__ import annotations

import re
import sys

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence, pack_sequence

import fastgru
from fastgru import errors
from ways import no_kernel

PACKED = pack_sequence([torch.randn(3, 3), torch.randn(2, 3)])


DATA = torch.randn(5, 3)


def packed(*sizes):
    """A PackedSequence of five rows with any batch sizes, as no packing function would make it."""
    return PackedSequence(DATA, torch.tensor(sizes))


def layer_with(name, value):
    def build(kind):
        layer = kind(3, 4)
        layer.register_parameter(name, nn.Parameter(value))
        return layer

    return build


def call(*arguments, build=lambda kind: kind(3, 4)):
    return lambda library: build(library.GRU)(*arguments)


def call_cell(*arguments):
    return lambda library: library.GRUCell(3, 4)(*arguments)


# Mistake -> (what to do with torch.nn or with fastgru, the words of ours that tell how to mend it).
MISTAKES = {
    "vector": (call(torch.randn(3)), "Expected shape (T, B, I)"),
    "four dimensions": (call(torch.randn(2, 2, 2, 3)), "input.unsqueeze"),
    "features": (call(torch.randn(2, 2, 5)), "Check the layer before this one"),
    "features of a packed sequence": (call(pack_sequence([torch.randn(3, 5)])), "has input_size=3"),
    "float64 input": (call(torch.randn(2, 2, 3).double()), "input.to(torch.float32)"),
    "integer input": (call(torch.ones(2, 2, 3, dtype=torch.int64)), "input.to(torch.float32)"),
    "unbatched state": (call(torch.randn(2, 2, 3), torch.randn(1, 4)), "(layers * directions, batch, hidden_size)"),
    "batched state": (call(torch.randn(2, 3), torch.randn(1, 1, 4)), "(layers * directions, hidden_size)"),
    "batch of the state": (call(torch.randn(2, 2, 3), torch.randn(1, 3, 4)), "hx.transpose(0, 1)"),
    "state of a packed sequence": (call(PACKED, torch.randn(1, 3, 4)), "hx.transpose(0, 1)"),
    "packed: rows that are not there": (call(packed(3, 3)), "adds up to 6, `input` has 5 rows"),
    "packed: more rows at once than there are": (call(packed(3_000_000)), "adds up to 3000000"),
    "packed: int32": (call(PackedSequence(DATA, torch.tensor([3, 2], dtype=torch.int32))), "on the CPU as int64"),
    "type of the state": (call(torch.randn(2, 2, 3), torch.randn(1, 2, 4).double()), "Convert one of them"),
    "device of the input": (call(torch.randn(2, 2, 3, device="meta")), "Move the input or the layer"),
    "device of the state": (call(torch.randn(2, 2, 3), torch.randn(1, 2, 4, device="meta")), "Move the input"),
    "None": (call(None), "Expected a torch.Tensor"),
    "array": (call(np.zeros((2, 2, 3), np.float32)), "torch.as_tensor(input)"),
    "list as state": (call(torch.randn(2, 2, 3), [1]), "torch.as_tensor(hx)"),
    "state of an LSTM": (call(torch.randn(2, 2, 3), (torch.randn(1, 2, 4), torch.randn(1, 2, 4))), "one state tensor"),
    "sizes of a weight": (
        call(torch.randn(2, 2, 3), build=layer_with("weight_hh_l0", torch.randn(12, 5))),
        "`weight_hh_l0` has shape (12, 5)",
    ),
    "sizes of a bias": (
        call(torch.randn(2, 2, 3), build=layer_with("bias_hh_l0", torch.randn(11))),
        "`bias_hh_l0` has shape (11,)",
    ),
    "type of a weight": (
        call(torch.randn(2, 2, 3), build=layer_with("weight_hh_l0", torch.randn(12, 4).double())),
        "`weight_hh_l0` is torch.float64",
    ),
    "cell: three dimensions": (call_cell(torch.randn(1, 2, 3)), "(batch, input_size)"),
    "cell: features": (call_cell(torch.randn(2, 5)), "Check the layer before this one"),
    "cell: state of three dimensions": (call_cell(torch.randn(2, 3), torch.randn(1, 2, 4)), "hx.squeeze"),
    "cell: batch": (call_cell(torch.randn(2, 3), torch.randn(3, 4)), "one state row for each input row"),
    "cell: hidden size": (call_cell(torch.randn(2, 3), torch.randn(2, 5)), "Pass the state that this cell returned"),
    "cell: vector as state": (call_cell(torch.randn(2, 3), torch.randn(4)), "one state row"),
    "cell: batched state": (call_cell(torch.randn(3), torch.randn(1, 4)), "Pass the state"),
    "cell: type of the state": (call_cell(torch.randn(2, 3), torch.randn(2, 4).double()), "Convert one of them"),
    "cell: device of the state": (call_cell(torch.randn(2, 3), torch.randn(2, 4, device="meta")), "Move the input"),
    "cell: None": (call_cell(None), "Expected a torch.Tensor"),
}


def words_of(text):
    """The text without numbers in shapes, which torch writes in two ways."""
    return re.sub(r"\s+", " ", text.splitlines()[0])


@pytest.mark.parametrize("is_training", [False, True])
@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_raise_what_torch_raises_and_tell_more(mistake, is_training):
    act, remedy = MISTAKES[mistake]
    with pytest.raises(Exception, match=r".") as torchs:
        act(nn)
    with torch.set_grad_enabled(is_training), no_kernel(), pytest.raises(errors.FastGRUError) as ours:
        act(fastgru)
    assert isinstance(ours.value, type(torchs.value))
    text = str(ours.value)
    if mistake != "sizes of a bias":  # torch's text tells the sizes of its own inner tensors
        assert words_of(str(torchs.value)) in text
    else:
        assert "The expanded size of the tensor (12) must match the existing size" in text
    assert remedy in text


def test_a_cell_refuses_other_types_than_its_weights():
    with pytest.raises(errors.OperandError, match=r"input.to\(torch.float32\)"):
        fastgru.GRUCell(3, 4)(torch.randn(2, 3).double())


X, WEIGHTS = torch.randn(5, 2, 3), list(fastgru.GRU(3, 4).parameters())
FUNCTIONAL = {
    "no tensor": (lambda f: f([1], None, WEIGHTS), AttributeError, "Expected a torch.Tensor"),
    "array as state": (lambda f: f(X, X.numpy(), WEIGHTS), AttributeError, "torch.as_tensor(h_0)"),
    "no weight": (lambda f: f(X, None, [*WEIGHTS[:3], None]), AttributeError, "`weights[3]` is of type NoneType"),
    "names of weights": (lambda f: f(X, None, dict(enumerate(WEIGHTS))), AttributeError, "`weights[0]` is of type int"),
    "rank of a weight": (
        lambda f: f(X, None, [WEIGHTS[2], *WEIGHTS[1:]]),
        RuntimeError,
        "`weights[0]` has shape (12,)",
    ),
    "no layers": (lambda f: f(X, None, [], num_layers=0), ValueError, "greater than zero, got 0"),
    "layers in words": (lambda f: f(X, None, WEIGHTS, num_layers="1"), ValueError, "greater than zero, got '1'"),
    "too few weights": (lambda f: f(X, None, WEIGHTS[:3]), RuntimeError, "got 3 weights, expected 4"),
    "layers": (lambda f: f(X, None, WEIGHTS, num_layers=2), RuntimeError, "got 4 weights, expected 8"),
    "rank": (lambda f: f(X[0], None, WEIGHTS), ValueError, "got 2D instead"),
    "dropout": (lambda f: f(X, None, WEIGHTS, dropout=1.5), ValueError, "in range [0, 1], got 1.5"),
    "packed rank": (lambda f: f(X, None, WEIGHTS, batch_sizes=torch.tensor([2])), RuntimeError, "2 dimensions, got 3"),
    "type of batch sizes": (
        lambda f: f(X[0], None, WEIGHTS, batch_sizes=torch.tensor([2.0])),
        RuntimeError,
        "`batch_sizes` is of type torch.float32",
    ),
    "no batch sizes": (
        lambda f: f(X[0], None, WEIGHTS, batch_sizes=torch.zeros(0, dtype=torch.int64)),
        RuntimeError,
        "`batch_sizes` is empty",
    ),
    "growing": (
        lambda f: f(X[0], None, WEIGHTS, batch_sizes=torch.tensor([1, 2])),
        RuntimeError,
        "`batch_sizes` grows",
    ),
    "empty step": (lambda f: f(X[0], None, WEIGHTS, batch_sizes=torch.tensor([2, 0])), RuntimeError, "ends with 0"),
    "sum": (lambda f: f(X[0], None, WEIGHTS, batch_sizes=torch.tensor([2, 1])), RuntimeError, "adds up to 3"),
    "rank of batch sizes": (
        lambda f: f(X[0], None, WEIGHTS, batch_sizes=torch.tensor([[2]])),
        RuntimeError,
        "has 2 dimensions",
    ),
}


CELL_WEIGHTS = list(fastgru.GRUCell(3, 4).parameters())
FUNCTIONAL_CELL = {
    "array as weight": (lambda f: f(X[0], None, np.ones((12, 3)), *CELL_WEIGHTS[1:]), "`weight_ih` is of type ndarray"),
    "no weight": (lambda f: f(X[0], None, CELL_WEIGHTS[0], None), "`weight_hh` is of type NoneType"),
    "list as bias": (lambda f: f(X[0], None, *CELL_WEIGHTS[:3], [1.0]), "`bias_hh` is of type list"),
    "rank of a weight": (lambda f: f(X[0], None, CELL_WEIGHTS[2], *CELL_WEIGHTS[1:]), "`weight_ih` has shape (12,)"),
    "packed sequence": (lambda f: f(PACKED, None, *CELL_WEIGHTS), "`input` is of type PackedSequence"),
}


@pytest.mark.parametrize("mistake", FUNCTIONAL_CELL)
def test_mistakes_in_the_functional_cell(mistake):
    act, words = FUNCTIONAL_CELL[mistake]
    with no_kernel(), pytest.raises(errors.FastGRUError) as caught:
        act(fastgru.functional.gru_cell)
    assert words in str(caught.value)


@pytest.mark.parametrize("sizes", [(5, 0), (6, -1), (2, 3), (4,), (3, 3), (2**62, 2**62)])
@pytest.mark.parametrize("with_state", [False, True])
@pytest.mark.parametrize("is_training", [False, True])
def test_batch_sizes_that_lie_never_reach_the_core(sizes, with_state, is_training):
    h_0 = torch.randn(1, max(sizes) % 100, 4) if with_state else None
    rows = PackedSequence(DATA, torch.tensor(sizes), torch.tensor([0]), torch.tensor([0]))
    for sequence in (packed(*sizes), rows):
        with (
            torch.set_grad_enabled(is_training),
            no_kernel(),
            pytest.raises(errors.ShapeError, match="`batch_sizes`"),
        ):
            fastgru.GRU(3, 4)(sequence, h_0)


@pytest.mark.parametrize("attribute", [{"num_layers": 2}, {"bidirectional": True}, {"bias": False}])
@pytest.mark.parametrize("is_training", [False, True])
def test_an_attribute_that_no_longer_fits_the_weights(attribute, is_training):
    layer = fastgru.GRU(3, 4)
    vars(layer).update(attribute)
    told = pytest.raises(errors.ShapeError, match=r"got 4 weights, expected \d")
    with torch.set_grad_enabled(is_training), no_kernel(), told:
        layer(X)


def test_a_parameter_that_was_taken_away():
    layer = fastgru.GRU(3, 4)
    del layer.weight_hh_l0
    with pytest.raises(AttributeError, match="'GRU' object has no attribute 'weight_hh_l0'"):
        layer(X)


@pytest.mark.parametrize("mistake", FUNCTIONAL)
def test_mistakes_in_the_functional_form(mistake):
    act, kind, words = FUNCTIONAL[mistake]
    with no_kernel(), pytest.raises(kind) as caught:
        act(fastgru.functional.gru)
    assert words in str(caught.value)
    assert isinstance(caught.value, errors.FastGRUError)


def test_an_unknown_backend():
    with (
        pytest.raises(ValueError, match=r"no backend 'gpu'. Known ones: onnx, cpu, aten, reference"),
        fastgru.use_backend("gpu"),
    ):
        pass


def test_a_backend_asked_for_that_cannot_serve():
    layer = fastgru.GRU(3, 4, dtype=torch.complex64)
    with fastgru.use_backend("cpu"), pytest.raises(RuntimeError, match=r"'cpu' was requested.*complex64"):
        layer(torch.randn(2, 2, 3).to(torch.complex64))


def test_explain_wants_a_layer_of_ours():
    with pytest.raises(TypeError, match=r"fastgru\.replace_gru first"):
        fastgru.explain(nn.GRU(3, 4), X)


def test_from_torch_wants_a_layer_of_torchs():
    with pytest.raises(TypeError, match=r"fastgru\.replace_gru"):
        fastgru.GRU.from_torch(nn.Linear(3, 4))
    parametrized = torch.nn.utils.parametrizations.weight_norm(nn.GRU(3, 4), "weight_hh_l0")
    with pytest.raises(TypeError, match="keep parametrizations"):
        fastgru.GRU.from_torch(parametrized)


def test_opacus_that_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "opacus", None)
    monkeypatch.delitem(sys.modules, "opacus.grad_sample", raising=False)
    with pytest.raises(
        errors.MissingExtra, match=r"needs opacus, which is not installed\. Run: pip install 'fastgru\[op"
    ):
        fastgru.opacus.register()
