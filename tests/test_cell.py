"""`GRUCell` on the way that a step without gradients takes: the core reads its matrices by itself."""

from __future__ import annotations

import pytest
import torch

import fastgru
from fastgru import _core, dispatch, functional
from fastgru.backends.cpu import core_calls, native

DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)


@pytest.fixture
def refused(monkeypatch):
    """Closes the short way, and so shows what the long way gives."""

    def close():
        monkeypatch.setattr(native, "step_shortcut", lambda *_: None)

    return close


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("rows", [1, 3, 17])
@pytest.mark.parametrize("has_state", [True, False])
def test_a_step_has_the_bits_of_the_long_way_and_of_the_layer(dtype, bias, rows, has_state, refused):
    torch.manual_seed(rows)
    cell = fastgru.GRUCell(5, 19, bias=bias, dtype=dtype)
    x, h = torch.randn(rows, 5, dtype=dtype), torch.randn(rows, 19, dtype=dtype) if has_state else None
    weights = tuple(cell.parameters())
    with torch.no_grad():
        assert dispatch.step(fastgru.GRUSpec(5, 19, bias=bias), x, h, weights) is not None
        got = cell(x, h)
        refused()
        assert torch.equal(got, cell(x, h))
        layer = functional.gru(x[None], None if h is None else h[None], weights, bias=bias)
        assert torch.equal(got, layer[1][0])


def test_the_state_is_new_memory():
    cell, x, h = fastgru.GRUCell(3, 4), torch.randn(2, 3), torch.randn(2, 4)
    before = h.clone()
    with torch.no_grad():
        first, second = cell(x, h), cell(x, h)
    assert torch.equal(h, before)
    assert first.data_ptr() not in (second.data_ptr(), h.data_ptr())
    assert first._base is None
    assert not first.requires_grad


def test_rows_with_gaps_between_them_are_read_as_they_are():
    cell, wide = fastgru.GRUCell(3, 4), torch.randn(4, 9)
    with torch.no_grad():
        for x in (wide[::2, 2:5], wide[:1, 1:4].expand(2, 3)):
            assert core_calls.step_plain(fastgru.GRUSpec(3, 4), x, None, tuple(cell.parameters())) is not None
            assert torch.equal(cell(x), cell(x.contiguous()))


def test_a_step_with_gradients_takes_the_long_way():
    cell, x, h = fastgru.GRUCell(3, 4), torch.randn(2, 3), torch.randn(2, 4)
    assert cell(x, h).requires_grad
    cell.requires_grad_(False)
    assert not cell(x, h).requires_grad
    assert cell(x, h.requires_grad_()).requires_grad


SIZES = _core.LayerSizes(3, 4, 1, 1, True, "float32")
WEIGHTS = tuple(torch.ones(shape) for shape in fastgru.GRUSpec(3, 4).parameter_shapes)


def test_the_core_takes_what_fits():
    assert SIZES.step(torch.ones(2, 3), torch.ones(2, 4), WEIGHTS, 1).shape == (2, 4)


@pytest.mark.parametrize(
    ("x", "h", "weights"),
    [
        (torch.ones(2, 2), None, WEIGHTS),
        (torch.ones(3), None, WEIGHTS),
        (torch.ones(1, 2, 3), None, WEIGHTS),
        (torch.ones(0, 3), None, WEIGHTS),
        (torch.ones(3, 2).T, None, WEIGHTS),
        (torch.ones(2, 3, dtype=torch.float64), None, WEIGHTS),
        (torch.ones(2, 3, device="meta"), None, WEIGHTS),
        (torch.ones(2, 3), torch.ones(2, 3), WEIGHTS),
        (torch.ones(2, 3), torch.ones(1, 4), WEIGHTS),
        (torch.ones(2, 3), torch.ones(4, 2).T, WEIGHTS),
        (torch.ones(2, 3), torch.ones(4), WEIGHTS),
        (torch.ones(2, 3), None, WEIGHTS[:2]),
        (torch.ones(2, 3), None, (*WEIGHTS[:3], torch.ones(11))),
        (torch.ones(2, 3), None, (*WEIGHTS[:3], None)),
        (torch.ones(2, 3), None, list(WEIGHTS)),
    ],
)
def test_the_core_refuses_what_does_not_fit(x, h, weights):
    assert SIZES.step(x, h, weights, 1) is None


def test_the_core_refuses_layers_of_more_cells():
    sizes = _core.LayerSizes(3, 4, 1, 2, True, "float32")
    assert sizes.step(torch.ones(2, 3), None, WEIGHTS * 2, 1) is None


@pytest.mark.parametrize("level", [name for name, is_there in _core.levels() if is_there])
def test_every_level_steps(level):
    cell, x, h = fastgru.GRUCell(6, 33), torch.randn(5, 6), torch.randn(5, 33)
    want = cell.to_torch()(x, h)
    with fastgru.levels.use_level(level), torch.no_grad():
        torch.testing.assert_close(cell(x, h), want, rtol=1e-5, atol=1e-6)
