"""`fastgru.GRU` and `GRUCell` against torch's: everything that a program can observe."""

from __future__ import annotations

import inspect
import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pack_sequence

import fastgru
from layer_pairs import KINDS, everything, pair
from strategies import layer_calls
from tolerance import assert_agrees

CONFIGURATIONS = [
    ("GRU", (3, 5), {}),
    ("GRU", (3, 5, 2), {"bias": False, "batch_first": True}),
    ("GRU", (4, 2, 3), {"dropout": 0.25, "bidirectional": True, "dtype": torch.float64}),
    ("GRUCell", (3, 5), {}),
    ("GRUCell", (3, 5, False), {"dtype": torch.float64}),
]
every_configuration = pytest.mark.parametrize(("kind", "args", "kwargs"), CONFIGURATIONS)
every_kind = pytest.mark.parametrize("kind", KINDS)


def build(library, kind, *args, **kwargs):
    return getattr(library, kind)(*args, **kwargs)


def outcome(call, *args):
    """What a call gives, or the error that it raises."""
    try:
        return call(*args)
    except Exception as error:
        return error


# -- building ------------------------------------------------------------------------------------


def test_constructor_takes_torchs_arguments():
    parameters = dict(inspect.signature(fastgru.GRU).parameters)
    own = [p for p in parameters.values() if p.kind is inspect.Parameter.KEYWORD_ONLY]
    defaults = {p.name: parameters.pop(p.name).default for p in own}
    assert defaults.pop("reset_after") is True
    assert all(value in (False, 0) for value in defaults.values())
    assert {name: p.default for name, p in parameters.items()} == {
        "input_size": inspect.Parameter.empty,
        "hidden_size": inspect.Parameter.empty,
        "num_layers": 1,
        "bias": True,
        "batch_first": False,
        "dropout": 0.0,
        "bidirectional": False,
        "device": None,
        "dtype": None,
    }
    ours, stock = (inspect.signature(library.GRUCell).parameters for library in (fastgru, nn))
    assert {n: p.default for n, p in ours.items() if n != "reset_after"} == {n: p.default for n, p in stock.items()}
    assert ours["reset_after"].kind is inspect.Parameter.KEYWORD_ONLY


@every_kind
def test_forward_takes_torchs_arguments(kind):
    ours, stock = (inspect.signature(getattr(library, kind).forward).parameters for library in (fastgru, nn))
    shared, own = list(ours.values())[: len(stock)], list(ours.values())[len(stock) :]
    assert all(p.default is None for p in own)  # by position too: exporters fill in defaults so
    assert [(p.name, p.default, p.kind) for p in shared] == [(p.name, p.default, p.kind) for p in stock.values()]


@every_configuration
def test_same_seed_same_weights_same_generator_afterwards(kind, args, kwargs):
    torch.manual_seed(1)
    stock, stock_next = build(nn, kind, *args, **kwargs), torch.rand(1)
    torch.manual_seed(1)
    ours, ours_next = build(fastgru, kind, *args, **kwargs), torch.rand(1)
    for (name, want), (got_name, got) in zip(stock.named_parameters(), ours.named_parameters(), strict=True):
        assert got_name == name
        assert isinstance(got, nn.Parameter)
        assert torch.equal(got, want)
    assert torch.equal(ours_next, stock_next)


@every_configuration
def test_state_dict_loads_strictly_both_ways(kind, args, kwargs):
    ours, stock = build(fastgru, kind, *args, **kwargs), build(nn, kind, *args, **kwargs)
    assert list(ours.state_dict()) == list(stock.state_dict())
    stock.load_state_dict(ours.state_dict(), strict=True)
    again = build(fastgru, kind, *args, **kwargs)
    again.load_state_dict(stock.state_dict(), strict=True)
    for name, weight in again.state_dict().items():
        assert torch.equal(weight, ours.state_dict()[name])


@every_configuration
def test_text_and_attributes_are_torchs(kind, args, kwargs):
    ours, stock = pair(kind, *args, **kwargs)
    assert repr(ours) == repr(stock)
    assert ours.extra_repr() == stock.extra_repr()
    for name in [*type(stock).__constants__, "training"]:
        assert getattr(ours, name) == getattr(stock, name)
        assert type(getattr(ours, name)) is type(getattr(stock, name))
    missing = {name for name in dir(stock) if not name.startswith("_")} - set(dir(ours))
    assert missing == set()


def test_all_weights_are_the_parameters_themselves():
    ours, stock = pair("GRU", 3, 5, 2, bidirectional=True)
    assert [len(weights) for weights in ours.all_weights] == [4] * 4
    for mine, torchs in zip(ours.all_weights, stock.all_weights, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(mine, torchs, strict=True))
    assert ours.all_weights[3][1] is ours.weight_hh_l1_reverse
    assert [id(w) for w in ours._flat_weights] == [id(w) for w in ours.parameters()]


@every_kind
def test_documentation_comes_with_the_class(kind):
    assert "GRU" in getattr(fastgru, kind).__doc__


def test_is_a_sibling_of_torchs_layer():
    assert issubclass(fastgru.GRU, nn.RNNBase)
    assert issubclass(fastgru.GRUCell, nn.RNNCellBase)
    assert not issubclass(fastgru.GRU, nn.GRU)
    assert not issubclass(fastgru.GRUCell, nn.GRUCell)


@pytest.mark.parametrize("size", [-1, 5, 6, 2.0])
def test_impossible_projections_are_refused_in_torchs_words(size):
    with pytest.raises(ValueError, match="proj_size") as torchs:
        nn.LSTM(3, 5, proj_size=size if size != 2.0 else -1)
    with pytest.raises(ValueError, match="proj_size") as ours:
        fastgru.GRU(3, 5, proj_size=size)
    assert str(torchs.value) in str(ours.value)


def test_dropout_of_a_single_layer_warns_as_torch_does():
    def caught(library):
        with warnings.catch_warnings(record=True) as record:
            warnings.simplefilter("always")
            library.GRU(3, 5, dropout=0.5)
        return [(w.category, str(w.message)) for w in record]

    ours, stock = caught(fastgru), caught(nn)
    assert [category for category, _ in ours] == [category for category, _ in stock]
    assert stock[0][1] in ours[0][1]


@pytest.mark.parametrize("dropout", [-0.1, 1.1, True])
def test_dropout_outside_its_range_is_refused_as_by_torch(dropout):
    for library in (nn, fastgru):
        with pytest.raises(ValueError, match="dropout should be a number in range"):
            library.GRU(3, 5, 2, dropout=dropout)


def test_flatten_parameters_does_nothing_and_says_nothing():
    layer = fastgru.GRU(3, 5)
    before = [w.data_ptr() for w in layer.parameters()]
    assert layer.flatten_parameters() is None
    assert [w.data_ptr() for w in layer.parameters()] == before


def test_from_torch_shares_the_parameters():
    stock = nn.GRU(3, 5, 2, batch_first=True, dropout=0.5, bidirectional=True).eval()
    ours = fastgru.GRU.from_torch(stock)
    assert repr(ours) == repr(stock)
    assert not ours.training
    assert all(a is b for a, b in zip(ours.parameters(), stock.parameters(), strict=True))


# -- calling -------------------------------------------------------------------------------------


@settings(max_examples=250)
@given(layer_calls())
def test_random_layers_and_inputs(call):
    ours, stock = pair(call.kind, *call.args, **call.kwargs)
    assert_agrees(everything(ours, *call.inputs), everything(stock, *call.inputs))


@pytest.mark.slow
@settings(max_examples=3000)
@given(layer_calls())
def test_many_more_random_layers_and_inputs(call):
    ours, stock = pair(call.kind, *call.args, **call.kwargs)
    assert_agrees(everything(ours, *call.inputs), everything(stock, *call.inputs))


@pytest.mark.parametrize("bidirectional", [False, True])
def test_an_empty_batch_gives_what_torch_does(bidirectional):
    ours, stock = pair("GRU", 3, 5, bidirectional=bidirectional)
    x = torch.randn(4, 0, 3, requires_grad=True)
    assert_agrees(everything(ours, x), everything(stock, x))


@pytest.mark.parametrize("is_sorted", [True, False])
@pytest.mark.parametrize("with_h_0", [True, False])
@pytest.mark.parametrize("bidirectional", [True, False])
def test_packed_sequences(is_sorted, with_h_0, bidirectional):
    ours, stock = pair("GRU", 3, 5, 2, bidirectional=bidirectional)
    lengths = (7, 4, 4, 1) if is_sorted else (4, 1, 7, 4)
    packed = pack_sequence([torch.randn(n, 3) for n in lengths], enforce_sorted=is_sorted)
    packed.data.requires_grad_()
    h_0 = torch.randn(4 if bidirectional else 2, 4, 5, requires_grad=True) if with_h_0 else None
    assert_agrees(everything(ours, packed, h_0), everything(stock, packed, h_0))

    got, want = ours(packed, h_0)[0], stock(packed, h_0)[0]
    assert isinstance(got, PackedSequence)
    for ours_part, torchs_part in zip(got[1:], want[1:], strict=True):
        assert ours_part is torchs_part or torch.equal(ours_part, torchs_part)


def test_a_packed_batch_of_equal_lengths_and_batch_first():
    ours, stock = pair("GRU", 3, 5, batch_first=True)
    x = torch.randn(4, 6, 3)
    packed = pack_padded_sequence(x, [6, 6, 6, 6], batch_first=True)
    assert_agrees(everything(ours, packed), everything(stock, packed))
    assert_agrees(everything(ours, x), everything(stock, x))


@pytest.mark.parametrize("dropout", [0.3, 1.0])
@pytest.mark.parametrize("is_packed", [False, True])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_same_seed_same_dropout_masks(dropout, is_packed, bidirectional):
    ours, stock = pair("GRU", 3, 5, 3, dropout=dropout, bidirectional=bidirectional)
    x = torch.randn(6, 2, 3, requires_grad=True)
    if is_packed:
        x = pack_padded_sequence(x.detach(), [6, 4])
    assert_agrees(everything(ours, x, seed=3), everything(stock, x, seed=3))

    after = []
    for layer in (ours, stock):
        torch.manual_seed(3)
        layer(x)
        after.append(torch.rand(1))
    assert torch.equal(*after)


def test_dropout_follows_training_and_the_attribute():
    ours, stock = pair("GRU", 3, 5, 2, dropout=0.5)
    x = torch.randn(6, 2, 3)
    assert not torch.equal(ours(x)[0], ours(x)[0])
    for layer in (ours, stock):
        layer.eval()
    assert torch.equal(ours(x)[0], ours(x)[0])
    assert_agrees(everything(ours, x), everything(stock, x))
    for layer in (ours, stock):
        layer.train()
        layer.dropout = 0.0
    assert_agrees(everything(ours, x), everything(stock, x))


LAYOUTS = {
    "transposed": lambda x: x.transpose(0, 1).contiguous().transpose(0, 1),
    "every second feature": lambda x: torch.repeat_interleave(x, 2, dim=-1)[..., ::2],
    "features first": lambda x: x.permute(2, 0, 1).contiguous().permute(1, 2, 0),
    "expanded over the batch": lambda x: x[:, :1].expand(-1, x.shape[1], -1),
    "expanded over time": lambda x: x[:1].expand(x.shape[0], -1, -1),
    "one number everywhere": lambda x: x[:1, :1, :1].expand_as(x),
    "at an odd offset": lambda x: torch.cat([torch.zeros(1), x.flatten()])[1:].view_as(x),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("batch_first", [False, True])
def test_any_layout_of_the_input_equals_its_contiguous_copy(layout, batch_first):
    ours, stock = pair("GRU", 4, 5, bidirectional=True, batch_first=batch_first)
    x = LAYOUTS[layout](torch.randn(6, 3, 4)).requires_grad_()
    batch = 6 if batch_first else 3
    h_0 = torch.randn(2, 1, 5).expand(-1, batch, -1).requires_grad_()
    got = everything(ours, x, h_0)
    assert_agrees(got, everything(stock, x, h_0))
    copied = everything(ours, *(t.detach().contiguous().requires_grad_() for t in (x, h_0)))
    assert torch.equal(got["result 0"], copied["result 0"])


@pytest.mark.parametrize("layout", ["transposed", "expanded over the batch"])
def test_weights_of_any_layout(layout):
    ours, stock = pair("GRU", 4, 5)
    reshaped = {
        "transposed": lambda w: w.T.contiguous().T,
        "expanded over the batch": lambda w: w[:1].expand_as(w),
    }[layout]
    for layer in (ours, stock):
        layer.weight_hh_l0 = nn.Parameter(reshaped(stock.weight_hh_l0.detach()))
    x = torch.randn(6, 3, 4)
    assert_agrees(everything(ours, x), everything(stock, x))


@every_kind
def test_complex_numbers_go_to_torchs_operator(kind):
    ours, stock = pair(kind, 3, 5, dtype=torch.complex64)
    x = torch.randn(4, 3, dtype=torch.complex64)
    for got, want in zip(ours(x), stock(x), strict=True):
        assert got.dtype is torch.complex64
        assert torch.equal(got, want)


@every_kind
def test_meta_device(kind):
    ours, stock = pair(kind, 3, 5, device="meta")
    x = torch.randn(4, 3, device="meta")
    for got, want in zip(ours(x), stock(x), strict=True):
        assert got.device.type == "meta"
        assert (got.shape, got.dtype) == (want.shape, want.dtype)
    materialized = ours.to_empty(device="cpu")
    materialized.reset_parameters()
    assert materialized(torch.zeros(4, 3))[0].device.type == "cpu"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("where", ["input", "h_0", "weight_ih_l0", "weight_hh_l0", "bias_hh_l0"])
def test_nan_and_infinity_spread_as_in_torch(value, where):
    ours, stock = pair("GRU", 4, 20)
    x, h_0 = torch.randn(6, 3, 4), torch.randn(1, 3, 20)
    if where == "input":
        x[2, 1, 3] = value
    elif where == "h_0":
        h_0[0, 2, 7] = value
    else:
        with torch.no_grad():
            getattr(ours, where)[5] = value
            getattr(stock, where)[5] = value
    for got, want in zip(ours(x, h_0), stock(x, h_0), strict=True):
        assert torch.equal(got.isnan(), want.isnan())
        assert_agrees({"finite": got.nan_to_num()}, {"finite": want.nan_to_num()})


@given(st.data())
@settings(max_examples=20)
def test_a_cell_is_one_step_of_a_layer(data):
    H, B = data.draw(st.integers(1, 20)), data.draw(st.integers(1, 5))
    cell, layer = fastgru.GRUCell(3, H), fastgru.GRU(3, H)
    layer.load_state_dict({f"{name}_l0": w for name, w in cell.state_dict().items()})
    x, h = torch.randn(B, 3), torch.randn(B, H)
    assert_agrees({"h": cell(x, h)}, {"h": layer(x[None], h[None])[1][0]})
