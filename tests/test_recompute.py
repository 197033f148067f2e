"""`recompute`: less memory between the passes, and the same bits."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.utils.rnn import pack_sequence

import fastgru
from fastgru.levels import use_level
from strategies import batches, dtypes, lengths, seeds, sizes, steps

LEVELS = [level.name for level in fastgru.cpu_info() if level.available]


def all_of(layer, recompute, x, h_0):
    layer.recompute = recompute
    data = x.data if hasattr(x, "batch_sizes") else x
    output, h_n = layer(x, h_0)
    total = (output.data if hasattr(output, "batch_sizes") else output).sin().sum() + h_n.cos().sum()
    return [output.data, h_n, *torch.autograd.grad(total, [data, h_0, *layer.parameters()])]


@pytest.mark.parametrize("level", LEVELS)
@settings(max_examples=30)
@given(
    dtypes, sizes, st.one_of(sizes, st.just(130)), st.integers(1, 3), st.booleans(), st.booleans(), steps, batches,
    st.one_of(st.none(), lengths), st.integers(1, 3), seeds,
)  # fmt: skip
def test_gradients_have_the_same_bits(
    level, dtype, inputs, hidden, layers, bias, both, count, batch, own, threads, seed
):
    torch.manual_seed(seed)
    torch.set_num_threads(threads)
    layer = fastgru.GRU(inputs, hidden, layers, bias, False, 0.0, both, dtype=dtype)
    if own is None:
        x = torch.randn(40 * count, batch, inputs, dtype=dtype, requires_grad=True)
    else:
        batch = len(own)
        packed = pack_sequence([torch.randn(n, inputs, dtype=dtype) for n in sorted(own, reverse=True)])
        x = packed._replace(data=packed.data.requires_grad_())
    h_0 = torch.randn(layers * (2 if both else 1), batch, hidden, dtype=dtype, requires_grad=True)
    with use_level(level):
        kept, recomputed = all_of(layer, False, x, h_0), all_of(layer, True, x, h_0)
    torch.set_num_threads(2)
    assert all(torch.equal(a, b) for a, b in zip(kept, recomputed, strict=True))


def saved_values(layer, x):
    """Values that autograd keeps for the backward pass, parameters apart."""
    own = {p.data_ptr() for p in layer.parameters()}
    seen = {}

    def pack(tensor):
        if tensor.data_ptr() not in own:
            seen[tensor.data_ptr()] = tensor.untyped_storage().nbytes() // 4
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        layer(x)
    return sum(seen.values())


@pytest.mark.parametrize(("recompute", "units"), [(False, 6), (True, 2)])
def test_units_saved(recompute, units):
    T, B, H = 64, 64, 128
    layer = fastgru.GRU(H, H, recompute=recompute)
    found = saved_values(layer, torch.randn(T, B, H)) / (T * B * H)
    assert units <= found <= units + 0.1


def test_the_option_reaches_every_door():
    layer = fastgru.GRU(3, 5, recompute=True)
    assert layer.recompute
    assert "recompute=True" in repr(layer)
    assert "recompute" not in repr(fastgru.GRU(3, 5))
    stock = torch.nn.GRU(3, 5)
    fastgru.replace_gru(stock)
    assert stock.recompute is False
    stock.recompute = True
    x = torch.randn(4, 2, 3)
    output, _ = fastgru.functional.gru(x, None, list(layer.parameters()), recompute=True)
    assert torch.equal(output, layer(x)[0])
    with pytest.raises(TypeError):
        torch.nn.GRU(3, 5, recompute=True)


def test_double_backward_and_changed_outputs_work():
    layer = fastgru.GRU(3, 5, 2, recompute=True).double()
    x = torch.randn(4, 2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(lambda x: layer(x)[0], (x,))
    wanted = torch.autograd.grad(layer(x)[0].sum(), list(layer.parameters()))
    output, _ = layer(x)
    output += 1
    found = torch.autograd.grad(output.sum(), list(layer.parameters()))
    assert all(torch.equal(a, b) for a, b in zip(wanted, found, strict=True))
