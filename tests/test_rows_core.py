"""Row-wise operations of the core on NumPy arrays: values, strides, errors of functions, bad arguments."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

import fastgru.call.memory  # noqa: F401  (makes tensors known to the core)
from fastgru import _core
from fastgru.levels import use_level
from strategies import seeds
from tolerance import FUNCTION_ULP, LINEAR_UNITS, NORM_UNITS, assert_within_units

Wide = np.longdouble
types = st.sampled_from((np.float32, np.float64))
widths = st.sampled_from((0, 1, 2, 3, 7, 8, 15, 16, 17, 31, 33, 48, 65, 130))
heights = st.one_of(st.integers(0, 20), st.sampled_from((33, 130, 300)))


def drawn(rng, dtype, *shape):
    """Values in memory with gaps between the vectors, which nobody may touch."""
    held = rng.standard_normal((*shape[:-1], shape[-1] + 2)).astype(dtype)
    return held[..., : shape[-1]]


@pytest.mark.usefixtures("level")
@settings(max_examples=60)
@given(types, heights, widths, widths, st.booleans(), st.integers(1, 2), seeds)
def test_linear_is_right(dtype, rows, features, outputs, has_bias, threads, seed):
    rng = np.random.default_rng(seed)
    x, weight = drawn(rng, dtype, rows, features), rng.standard_normal((outputs, features)).astype(dtype)
    bias = rng.standard_normal(outputs).astype(dtype) if has_bias else None
    out = np.full((rows, outputs + 3), 7, dtype)
    assert _core.linear(x, weight, bias, out[:, :outputs], threads) is not None
    truth = x.astype(Wide) @ weight.astype(Wide).T + (0 if bias is None else bias.astype(Wide))
    assert_within_units(out[:, :outputs], truth, LINEAR_UNITS, features + 8)
    assert (out[:, outputs:] == 7).all()
    packed = np.empty((rows, outputs), dtype)
    assert _core.PackedLinear(weight, bias).run(x, packed, threads) is packed
    assert_array_equal(packed, out[:, :outputs])


@pytest.mark.usefixtures("level")
@settings(max_examples=60)
@given(types, heights, widths, widths, st.integers(1, 2), seeds)
def test_gradients_of_linear_are_right(dtype, rows, features, outputs, threads, seed):
    rng = np.random.default_rng(seed)
    x, weight = drawn(rng, dtype, rows, features), rng.standard_normal((outputs, features)).astype(dtype)
    d_y = drawn(rng, dtype, rows, outputs)
    found = np.empty((rows, features), dtype), np.empty((outputs, features), dtype), np.empty(outputs, dtype)
    assert _core.linear_gradients(d_y, x, weight, *found, threads) is not None
    wide = d_y.astype(Wide)
    truths = wide @ weight.astype(Wide), wide.T @ x.astype(Wide), wide.sum(0)
    for got, truth, terms in zip(found, truths, (outputs, rows, rows), strict=True):
        assert_within_units(got, truth, LINEAR_UNITS, terms + 8)
    some = np.empty_like(found[1])
    assert _core.linear_gradients(d_y, x, weight, False, some, False, threads)[::2] == (None, None)
    assert_array_equal(some, found[1])


@pytest.mark.parametrize("name", ["none", "relu", "sigmoid", "tanh", "gelu"])
@pytest.mark.parametrize("rows", [1, 5, 40])
def test_an_activation_behind_linear_has_the_bits_of_its_own_call(name, rows):
    rng = np.random.default_rng(0)
    x, weight = rng.standard_normal((rows, 20)), rng.standard_normal((75, 20))
    fused, out = np.empty((rows, 75)), np.empty((rows, 75))
    _core.linear(x, weight, None, fused, 1, name)
    _core.linear(x, weight, None, out, 1)
    _core.activate(out, name, 0, 0, out, 1)
    assert_array_equal(fused, out)


# ---- functions of one value

BOOKS = {
    "exp": (np.exp, {}),
    "log": (np.log, {}),
    "sqrt": (np.sqrt, {}),
    "elu": (lambda x: np.where(x > 0, x, np.expm1(x) / 2), {"a": 0.5}),
    "softplus": (lambda x: np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))), {"a": 1, "b": 1e30}),
}


def activated(name, x, a=0.0, b=0.0):
    y = np.empty_like(x)
    assert _core.activate(x, name, a, b, y, 2) is y
    return y


def dense_values(dtype):
    """All magnitudes, subnormal ones among them, and the ranges where functions bend."""
    rng, whole = np.random.default_rng(0), {np.float32: np.uint32, np.float64: np.uint64}[dtype]
    bits = rng.integers(0, np.iinfo(whole).max, 200_000, whole, endpoint=True).view(dtype)
    tiny = rng.integers(0, 2 ** (23 if dtype is np.float32 else 52), 20_000).astype(whole).view(dtype)
    ranges = [np.linspace(-m, m, 100_001) for m in (800, 110, 20, 2)]
    near_one = 1 + 1e-3 * rng.standard_normal(50_000)
    return np.concatenate([bits[np.isfinite(bits)], tiny, *(r.astype(dtype) for r in ranges), near_one.astype(dtype)])


def worst_ulp(got, truth):
    """In units in the last place of the true value, which subnormal values share; infinities have to agree."""
    limits = np.finfo(got.dtype)
    rounded = truth.astype(got.dtype)
    is_finite = np.isfinite(rounded) & np.isfinite(got)
    assert_array_equal(got[~is_finite & ~np.isnan(got)], rounded[~is_finite & ~np.isnan(got)])
    assert_array_equal(np.isnan(got), np.isnan(truth))
    size = np.maximum(np.abs(truth[is_finite]), Wide(limits.tiny))
    unit = Wide(limits.eps) * np.exp2(np.floor(np.log2(size)))
    return (np.abs(got[is_finite].astype(Wide) - truth[is_finite]) / unit).max()


@pytest.mark.usefixtures("level")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", BOOKS)
def test_functions_are_within_their_bounds(name, dtype):
    book, parameters = BOOKS[name]
    x = dense_values(dtype)
    with np.errstate(all="ignore"):
        truth = book(x.astype(Wide))
        assert worst_ulp(activated(name, x, **parameters), truth) <= FUNCTION_ULP


@pytest.mark.usefixtures("level")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_erf_is_within_its_bound(dtype):
    x = dense_values(dtype)
    x = x[np.abs(x) < 30]
    # Of float64 only torch's own is at hand, which errs by up to a unit too.
    truth = torch.special.erf(torch.from_numpy(x.astype(np.float64))).numpy().astype(Wide)
    assert worst_ulp(activated("erf", x), truth) <= FUNCTION_ULP


@pytest.mark.usefixtures("level")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_special_values(dtype):
    inf, nan = np.inf, np.nan
    x = np.array([inf, -inf, nan, 0.0, -0.0, 1.0], dtype)
    expected = {
        "exp": [inf, 0, nan, 1, 1, np.exp(dtype(1))],
        "log": [inf, nan, nan, -inf, -inf, 0],
        "erf": [1, -1, nan, 0, 0, np.float64(0.8427007929497149)],
        "relu": [inf, 0, nan, 0, 0, 1],
        "softplus": [inf, 0, nan, np.log(2), np.log(2), np.log1p(np.e)],
        "hard_swish": [inf, nan, nan, 0, 0, 1 / 6 + 0.5],
        "sigmoid": [1, 0, nan, 0.5, 0.5, 1 / (1 + np.exp(-1))],
        "tanh": [1, -1, nan, 0, 0, np.tanh(1)],
        "abs": [inf, inf, nan, 0, 0, 1],
        "clip": [2, -1, nan, 0, 0, 1],
    }
    for name, values in expected.items():
        a, b = {"softplus": (1, 20), "clip": (-1, 2)}.get(name, (0, 0))
        got = activated(name, x, a, b)
        np.testing.assert_allclose(got, np.array(values, dtype), rtol=4 * np.finfo(dtype).eps, err_msg=name)
    assert_array_equal(np.signbit(activated("negate", x)[:2]), [True, False])


@pytest.mark.usefixtures("level")
@pytest.mark.parametrize("name", _core.FUNCTIONS)
def test_a_value_does_not_depend_on_its_lane(name):
    x = np.abs(np.random.default_rng(0).standard_normal(67).astype(np.float32)) + np.float32(0.1)
    whole = activated(name, x, 0.5, 2)
    assert_array_equal(np.concatenate([activated(name, x[i : i + 1], 0.5, 2) for i in range(67)]), whole)
    out = x.copy()
    assert _core.activate(out, name, 0.5, 2, out, 1) is out
    assert_array_equal(out, whole)


# ---- two values, and sums

OPERATIONS = {"add": np.add, "subtract": np.subtract, "multiply": np.multiply, "divide": np.divide}


@settings(max_examples=40)
@given(st.sampled_from(sorted(OPERATIONS)), types, st.integers(1, 5), st.sampled_from((1, 15, 16, 33)), st.data())
def test_operations_broadcast_as_numpy(name, dtype, rows, width, data):
    rng = np.random.default_rng(1)
    shapes = st.sampled_from(((rows, width), (1, width), (rows, 1), (1, 1)))
    left, right = (drawn(rng, dtype, *data.draw(shapes)) for _ in range(2))
    out = np.empty((rows, width), dtype)
    assert _core.combine(name, left, right, out, 2) is out
    assert_array_equal(out, np.broadcast_to(OPERATIONS[name](left, right), out.shape))


@pytest.mark.usefixtures("level")
@settings(max_examples=40)
@given(types, st.integers(0, 5), widths.filter(bool), st.integers(1, 2), seeds)
def test_sums_over_vectors_are_right(dtype, rows, width, threads, seed):
    rng = np.random.default_rng(seed)
    x = drawn(rng, dtype, rows, width) * dtype(5)
    weight, bias = rng.standard_normal((2, width)).astype(dtype)
    soft, log, norm = np.empty((3, rows, width), dtype)
    mean, scale = np.empty((2, rows, 1), dtype)
    _core.softmax(x, False, soft, threads)
    _core.softmax(x, True, log, threads)
    assert _core.layer_norm(x, weight, bias, 1e-3, norm, mean, scale, threads)[0] is norm
    wide = x.astype(Wide)
    exps = np.exp(wide - wide.max(-1, keepdims=True))
    truth = exps / exps.sum(-1, keepdims=True)
    assert_within_units(soft, truth, NORM_UNITS, 1)
    assert_within_units(log, np.log(truth), NORM_UNITS, 10)
    centered = wide - wide.mean(-1, keepdims=True)
    stretch = 1 / np.sqrt((centered**2).mean(-1, keepdims=True) + Wide(dtype(1e-3)))
    assert_within_units(norm, centered * stretch * weight + bias, NORM_UNITS, 10 * max(1, stretch.max(initial=0)))
    assert_within_units(mean, wide.mean(-1, keepdims=True), NORM_UNITS, 10)
    assert_within_units(scale, stretch, NORM_UNITS, 10 * max(1, stretch.max(initial=0)) ** 2)


@pytest.mark.usefixtures("level")
def test_a_nan_fills_its_own_vector_alone():
    x = np.random.default_rng(0).standard_normal((3, 40))
    x[1, 39] = np.nan
    soft, norm = np.empty((2, 3, 40))
    _core.softmax(x, False, soft, 1)
    _core.layer_norm(x, None, None, 1e-5, norm, None, None, 1)
    for got in (soft, norm):
        assert np.isnan(got[1]).all()
        assert np.isfinite(got[[0, 2]]).all()


# ---- what arrays may be


def test_strides_and_dimensions():
    rng = np.random.default_rng(0)
    weight, out = rng.standard_normal((3, 4)), np.empty((2, 5, 3))
    x = rng.standard_normal((2, 5, 4))
    _core.linear(x, weight, None, out, 1)
    backwards, of_backwards = x.reshape(10, 4)[::-1], np.empty((10, 3))
    assert _core.linear(backwards, weight, None, of_backwards, 1) is not None
    assert_array_equal(of_backwards[::-1].reshape(out.shape), out)
    one = np.empty(3)
    assert _core.linear(x[0, 1], weight, None, one, 1) is one
    assert_array_equal(one, out[0, 1])
    assert _core.linear(np.broadcast_to(x[0, 1], (5, 4)), weight, None, out[0], 1) is not None
    assert (out[0] == one).all()


def test_arrays_that_do_not_fit_are_refused():
    x, weight, out = np.zeros((2, 5, 4)), np.zeros((3, 4)), np.zeros((2, 5, 3))
    read_only = out.copy()
    read_only.flags.writeable = False
    assert _core.linear(x, weight, np.zeros(3), out, 1) is out
    for wrong in (
        (x, np.zeros((3, 5)), None, out),
        (x, np.zeros((4, 3)).T, None, out),
        (x, weight.astype(np.float32), None, out),
        (x, weight, np.zeros(4), out),
        (x, weight, None, np.zeros((2, 5, 4))),
        (x, weight, None, np.zeros((10, 3))),
        (x, weight, None, read_only),
        (x, weight, None, None),
        (x.transpose(1, 0, 2), weight, None, np.zeros((5, 2, 3))),
        (x.transpose(0, 2, 1), np.zeros((3, 5)), None, np.zeros((2, 4, 3))),
        (x.astype(np.int64), weight, None, out),
        (np.zeros(()), weight, None, out),
        ("text", weight, None, out),
    ):
        assert _core.linear(*wrong, 1) is None
    with pytest.raises(ValueError, match="no function of this name"):
        _core.activate(x, "sine", 0, 0, np.zeros_like(x), 1)
    with pytest.raises(ValueError, match="packed from a dense weight"):
        _core.PackedLinear(weight.T, None)
    assert _core.PackedLinear(weight, None).run(np.zeros((2, 5)), np.zeros((2, 3)), 1) is None
    assert _core.linear_gradients(out, x, weight, np.zeros_like(x), False, np.zeros(4), 1) is None


def test_packed_weights_keep_their_level_and_values():
    weight, x = np.random.default_rng(0).standard_normal((2, 9, 9))
    packed = _core.PackedLinear(weight, np.ones(9))
    before, after = np.empty((2, 9, 9))
    packed.run(x, before, 1)
    weight[:] = 0
    with use_level(_core.levels()[-1][0]):
        packed.run(x, after, 1)
    assert_array_equal(before, after)
