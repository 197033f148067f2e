"""What cannot be converted is refused: by the parameter's name, with what to do."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as stnp

import fastgru
from converters.comparing import BIAS, KERAS, KERNEL, RECURRENT, without
from fastgru.convert.frameworks import FRAMEWORKS

STATE = {name: array.numpy() for name, array in torch.nn.GRU(2, 3).state_dict().items()}
TWO_LAYERS = {name: array.numpy() for name, array in torch.nn.GRU(2, 3, num_layers=2).state_dict().items()}
MLX = fastgru.convert.write("mlx", STATE)
ONNX = fastgru.convert.write("onnx", STATE)
NO_BIAS = {name: array for name, array in STATE.items() if "weight" in name}


BAD_READS = [
    ("keras", MLX, {}, 'These names look like those of "mlx"'),
    ("mlx", KERAS, {}, 'look like those of "keras"'),
    ("flax_nnx", fastgru.convert.write("flax_linen", STATE), {}, 'look like those of "flax_linen"'),
    ("equinox", STATE, {}, 'look like those of "torch"'),
    ("mlx", {"model": {"weight_ih": KERNEL.T, "weight_hh": RECURRENT.T}}, {}, 'look like those of "equinox"'),
    (
        "openvino",
        {"W": ONNX["W"], "R": ONNX["R"]},
        {},
        'missing: B. Expected W, R, B. These names look like those of "onnx"',
    ),
    ("keras", {"weights": KERNEL}, {}, "missing: kernel, recurrent_kernel; unknown: weights. Expected kernel,"),
    ("keras", {}, {}, "missing: kernel, recurrent_kernel"),
    ("equinox", without(fastgru.convert.write("equinox", STATE), "bias_n"), {}, "some biases are missing"),
    ("keras", [KERNEL, RECURRENT, BIAS], {}, "of type ndarray. Expected its arrays by name"),
    ("keras", KERNEL, {}, "of type ndarray. Expected its arrays by name"),
    ("keras", [], {}, "there are no layers"),
    ("keras", KERAS | {"bias": [0.0] * 9}, {}, "'bias' is of type list. Expected an array"),
    ("keras", KERAS | {"bias": BIAS[:, :8]}, {}, "'bias' has shape (2, 8). Expected (2, 3H) or (3H)"),
    ("keras", KERAS | {"bias": np.zeros((), np.float32)}, {}, "'bias' has shape ()"),
    ("keras", KERAS | {"kernel": KERNEL.T}, {}, "'kernel' has shape (9, 2). Expected (I, 3H)"),
    ("keras", KERAS | {"recurrent_kernel": RECURRENT.T}, {}, "'recurrent_kernel' has shape (9, 3). Expected (H, 3H)"),
    ("keras", KERAS | {"kernel": KERNEL[:, :8]}, {}, "'kernel' has shape (2, 8). Expected (I, 3H), in which H is"),
    ("keras", KERAS | {"kernel": KERNEL[:0]}, {}, "'kernel' has shape (0, 9)"),
    ("keras", KERAS | {"bias": BIAS.astype(int)}, {}, "'bias' has dtype int64. Expected one of: float16"),
    ("keras", KERAS | {"bias": BIAS.astype(complex)}, {}, "'bias' has dtype complex128"),
    ("keras", KERAS | {"bias": BIAS.astype(float)}, {}, "'bias' is float64, 'kernel' is float32"),
    ("keras", KERAS | {"bias": torch.zeros(2, 9).bfloat16()}, {}, "cannot be converted to a NumPy array"),
    ("keras", KERAS | {"bias": torch.zeros(2, 9, device="meta")}, {}, "cannot be converted to a NumPy array"),
    ("keras", {"a/kernel": KERNEL, "b/recurrent_kernel": RECURRENT}, {}, "there are arrays under 2 names: 'a', 'b'"),
    ("keras", {"a": {"kernel": KERNEL}, "a/kernel": KERNEL}, {}, "two arrays with the name 'a/kernel'"),
    ("keras", without(KERAS, "bias"), {}, "Pass reset_after=True for a layer with reset_after=True"),
    ("onnx", ONNX, {}, "linear_before_reset=1 (the attribute is 0 if the node does not have it)"),
    ("onnx", {name: array[0] for name, array in ONNX.items()}, {}, "must count directions"),
    ("onnx", {name: np.concatenate([array] * 3) for name, array in ONNX.items()}, {}, "must count directions"),
    ("onnx", ONNX | {"B": ONNX["B"][:, :17]}, {"reset_after": True}, "'B' has shape (directions, 17)"),
    ("keras", [KERAS, KERAS], {}, "layer 1 has 1 direction(s) with input size 2, hidden size 3"),
    ("keras", {"forward": KERAS, "backward": KERAS | {"bias": BIAS[0]}}, {}, "the two directions act in different"),
    ("keras", {"forward": KERAS, "backward": KERAS | {"kernel": np.ones((5, 9), np.float32)}}, {}, "input size 5"),
    (
        "keras",
        {"forward": KERAS, "backward": without(KERAS, "bias")},
        {"reset_after": True},
        "whether they have biases",
    ),
    ("keras", KERAS, {"convention": "z_takes_new"}, "no option 'convention'"),
]


@pytest.mark.parametrize(("framework", "arrays", "options", "words"), BAD_READS)
def test_what_cannot_be_read_is_refused_by_name(framework, arrays, options, words):
    with pytest.raises(fastgru.errors.ArgumentError) as caught:
        fastgru.convert.read(framework, arrays, **options)
    assert words in str(caught.value)


def test_a_tensor_without_memory_is_refused():
    bias = torch.zeros(2, 9)
    bias.untyped_storage().resize_(0)
    with pytest.raises(fastgru.errors.OperandError, match="bias"):
        fastgru.convert.read("keras", KERAS | {"bias": bias})


def test_endless_nesting_is_refused():
    endless = {}
    endless["cell"] = endless
    with pytest.raises(fastgru.errors.ArgumentError, match="nested too deeply"):
        fastgru.convert.read("keras", endless)


BAD_WRITES = [
    ("flax_nnx", STATE, {}, "the rows of n of bias_hh_l0 are not zero, and flax.nnx.GRUCell has no parameter"),
    ("keras", STATE, {"bias": False}, "bias_ih_l0 is not zero, so a layer without biases"),
    ("flax_linen", NO_BIAS, {"bias": False}, "a GRU of Flax linen always has biases"),
    ("mlx", STATE, {"reset_after": False}, "MLX has no GRU with reset_after=False"),
    ("mlx", STATE | {"h_0": np.zeros((1, 3))}, {}, "'h_0' is of the option learn_h0"),
    ("mlx", STATE | {"weight_hr_l0": np.zeros((1, 3))}, {}, "'weight_hr_l0' is of the option proj_size"),
    ("mlx", {f"gru.{name}": array for name, array in STATE.items()}, {}, "without the prefix of the model"),
    ("mlx", without(STATE, "bias_hh_l0"), {}, "there is no 'bias_hh_l0', but other parameters"),
    ("mlx", without(STATE, "weight_hh_l0"), {}, "there is no 'weight_hh_l0'. Pass all parameters"),
    ("mlx", {}, {}, "there is no 'weight_ih_l0'"),
    ("mlx", without(TWO_LAYERS, "bias_ih_l1"), {}, "there is no 'bias_ih_l1'"),
    ("mlx", STATE | {"bias_hh_l99999999999": STATE["bias_hh_l0"]}, {}, "not of all layers before it"),
    ("mlx", STATE | {"bias_hh": STATE["bias_hh_l0"]}, {}, "'bias_hh_l0' of a GRU and 'bias_hh' of a GRUCell"),
    ("mlx", STATE | {"bias_ih_l0": np.zeros(8, np.float32)}, {}, "'bias_ih_l0' has shape (8,). Expected (9,)"),
    ("mlx", STATE | {"weight_ih_l0": np.zeros(9, np.float32)}, {}, "'weight_ih_l0' has shape (9,). Expected a matrix"),
    ("mlx", STATE | {"bias_ih_l0": np.zeros(9)}, {}, "'bias_ih_l0' is float64, 'weight_ih_l0' is float32"),
    ("mlx", [STATE], {}, "the state is of type list. Expected a state dict"),
    ("mlx", STATE | {name: np.full(9, 3e38, np.float32) for name in STATE if "bias" in name}, {}, "overflows float32"),
    ("mlx", STATE, {"bias_n": 1}, "no option 'bias_n'"),
]


@pytest.mark.parametrize(("framework", "state", "options", "words"), BAD_WRITES)
def test_what_cannot_be_written_is_refused_by_name(framework, state, options, words):
    with pytest.raises(fastgru.errors.ArgumentError) as caught:
        fastgru.convert.write(framework, state, **options)
    assert words in str(caught.value)


@given(
    st.sampled_from(list(FRAMEWORKS)),
    st.recursive(
        stnp.arrays(np.float32, stnp.array_shapes(min_dims=0, max_dims=5, max_side=4)) | st.none() | st.integers(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(sorted({name for f in FRAMEWORKS.values() for name in f.names})) | st.text(max_size=4),
                inner,
                max_size=4,
            )
        ),
        max_leaves=8,
    ),
    st.sampled_from((None, True, False)),
)
def test_anything_else_gives_an_error_that_we_wrote(framework, arrays, reset_after):
    try:
        state = fastgru.convert.read(framework, arrays, reset_after=reset_after)
    except fastgru.errors.ArgumentError:
        return
    fastgru.convert.write(framework, state, reset_after=bool(reset_after is None or reset_after))
