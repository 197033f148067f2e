"""Weights of other frameworks: what they computed, round trips to the bit, and what cannot be converted.

scripts/check-converters recorded the fixtures from the frameworks themselves.
"""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as stnp

import fastgru
from converters.cases import Case, from_file
from converters.comparing import assert_same_bits, part, plain
from converters.equations import output_of
from converters.fixture_files import load
from fastgru.convert.frameworks import FRAMEWORKS
from fastgru.convert.state import spec_of
from tolerance import FRAMEWORKS as TOLERANCE

FIXTURES = Path(__file__).parent / "converters" / "fixtures"


def recorded(framework):
    """The cases of a framework by their words, each with its arrays by name."""
    cases = {}
    for key, array in load(FIXTURES / f"{framework}.npz").items():
        case, _, name = key.partition(":")
        cases.setdefault(case, {})[name] = array
    return cases


RECORDED = {(name, case): arrays for name in FRAMEWORKS for case, arrays in recorded(name).items()}


@pytest.fixture(params=RECORDED, ids=" ".join)
def record(request):
    """The framework, where its reset gate acts, and the arrays of a case."""
    framework, case = request.param
    return framework, "reset-after" in case, RECORDED[request.param]


def test_every_converter_was_checked_with_both_gates_and_directions():
    for name, framework in FRAMEWORKS.items():
        cases = {case for recorded_name, case in RECORDED if recorded_name == name}
        resets = {layout.reset_after for layout in framework.layouts}
        for reset_after in (True, False):
            is_there = str(Case(reset_after, True, True, 2)) in cases and str(Case(reset_after)) in cases
            assert is_there == bool(resets & {None, reset_after}), name
        has_none = any(not layout.has_bias for layout in framework.layouts)
        assert (str(Case(bias=False)) in cases) == has_none, name


def test_the_page_has_code_for_each_framework_that_the_script_runs():
    page = (FIXTURES.parents[2] / "docs" / "converting.md").read_text()
    blocks = re.findall(r"<!-- scripts/check-converters runs this: (\w+) -->\n```py\n", page)
    assert blocks == ["keras_models", *(name for name in FRAMEWORKS if name != "onednn")]  # which has no files


def test_what_is_read_computes_what_the_framework_computed(record):
    framework, reset_after, arrays = record
    state = fastgru.convert.read(framework, from_file(part(arrays, "given")), reset_after=reset_after)
    output = output_of(state, arrays["x"], reset_after)
    np.testing.assert_allclose(arrays["output"], output, rtol=0, atol=TOLERANCE)
    other = output_of(state, arrays["x"], not reset_after)
    assert np.abs(other - arrays["output"]).max() > 1000 * TOLERANCE


def test_what_is_written_is_what_the_framework_ran(record):
    framework, reset_after, arrays = record
    state = part(arrays, "state")
    written = fastgru.convert.write(framework, state, reset_after=reset_after)
    assert_same_bits(plain(framework, written), plain(framework, from_file(part(arrays, "written"))))
    output = output_of(state, arrays["x"], reset_after)
    np.testing.assert_allclose(arrays["written_output"], output, rtol=0, atol=TOLERANCE)


def test_the_spec_is_that_of_the_recorded_layer(record):
    framework, reset_after, arrays = record
    want = spec_of(part(arrays, "state"))._replace(reset_after=reset_after)
    for side in ("given", "written"):
        layers = from_file(part(arrays, side))
        assert fastgru.convert.spec(framework, layers, reset_after=reset_after) == want
    has_bias = [layout.reset_after for layout in FRAMEWORKS[framework].layouts if layout.has_bias == want.bias]
    if None not in has_bias:
        assert fastgru.convert.spec(framework, layers) == want


def test_the_spec_of_torchs_parameters():
    single = {"weight_ih": np.ones((6, 3)), "weight_hh": np.ones((6, 2)), "bias_ih": np.ones(6)}
    assert fastgru.convert.spec("torch", single, convention="z_takes_new") == fastgru.GRUSpec(3, 2)
    layer = torch.nn.GRU(2, 3, 2, bias=False, bidirectional=True)
    assert fastgru.convert.spec("torch", layer.state_dict()) == fastgru.GRUSpec(2, 3, 2, False, True)


@pytest.mark.parametrize("case", [key for key in RECORDED if "reset-after" in key[1]], ids=" ".join)
def test_a_torch_layer_computes_what_the_framework_computed(case):
    framework, arrays = case[0], RECORDED[case]
    state = fastgru.convert.read(framework, from_file(part(arrays, "given")), reset_after=True)
    names = "".join(state)
    sizes = state["weight_ih_l0"].shape[1], state["weight_hh_l0"].shape[1]
    options = {"bias": "bias" in names, "bidirectional": "reverse" in names, "num_layers": 1 + ("_l1" in names)}
    layer = fastgru.GRU(*sizes, **options)
    layer.load_state_dict({name: torch.from_numpy(array) for name, array in state.items()})
    output = layer(torch.from_numpy(arrays["x"]))[0].detach().numpy()
    np.testing.assert_allclose(arrays["output"], output, rtol=0, atol=2 * TOLERANCE)


def test_from_the_framework_and_back_is_exact(record):
    framework, reset_after, arrays = record
    layers = from_file(part(arrays, "given"))
    state = fastgru.convert.read(framework, layers, reset_after=reset_after)
    back = fastgru.convert.write(framework, state, reset_after=reset_after)
    assert_same_bits(plain(framework, back), plain(framework, layers))


def test_the_reset_gate_is_told_by_the_arrays_or_must_be_told(record):
    framework, reset_after, arrays = record
    layers = from_file(part(arrays, "given"))
    has_bias = any("bias" in name for name in part(arrays, "state"))
    tells = {layout.reset_after for layout in FRAMEWORKS[framework].layouts if layout.has_bias == has_bias} != {None}
    if tells and reset_after:
        confirmed = fastgru.convert.read(framework, layers, reset_after=True)
        assert_same_bits(fastgru.convert.read(framework, layers), confirmed)
        words = "reset_after=False was passed, but these arrays"
    else:
        words = "the reset gate acts before the product" if tells else "do not tell where the reset gate acts"
        with pytest.raises(ValueError, match=words):
            fastgru.convert.read(framework, layers)
        words = "reset_after=True was passed, but these arrays"
    if tells:
        with pytest.raises(ValueError, match=words):
            fastgru.convert.read(framework, layers, reset_after=not reset_after)


# Any float of any of the types, NaN, infinities and zeros of both signs among them.
@st.composite
def states(draw, values=None):
    """A state dict, and its options."""
    dtype = draw(st.sampled_from((np.float16, np.float32, np.float64)))
    sizes = draw(st.integers(1, 4)), draw(st.integers(1, 4)), draw(st.integers(1, 3))
    spec = fastgru.GRUSpec(*sizes, bias=draw(st.booleans()), bidirectional=draw(st.booleans()))
    named = zip(spec.parameter_names, spec.parameter_shapes, strict=True)
    return {name: draw(stnp.arrays(dtype, shape, elements=values)) for name, shape in named}


def biases_of_sums(state):
    """The biases as they are after a sum: bias_hh has zeros for r and z."""
    for name in [name for name in state if "bias_hh" in name]:
        state[name][: 2 * len(state[name]) // 3] = 0
    return state


@given(states())
def test_where_nothing_is_merged_a_state_comes_back_to_the_bit(state):
    for framework, reset_after in (("keras", True), ("onnx", True), ("onnx", False)):
        there = fastgru.convert.write(framework, state, reset_after=reset_after)
        assert_same_bits(fastgru.convert.read(framework, there, reset_after=reset_after), state)


@given(states())
def test_where_one_bias_is_zero_a_state_comes_back_to_the_bit(state):
    state = biases_of_sums(state)
    for framework in FRAMEWORKS:
        if framework == "flax_nnx":
            for name in [name for name in state if "bias_hh" in name]:
                state[name][...] = 0
        there = fastgru.convert.write(framework, state, bias=True)
        back = fastgru.convert.read(framework, there, reset_after=True)
        zeros = {name.replace("weight", "bias"): len(array) for name, array in state.items() if "weight" in name}
        dtype = state["weight_ih_l0"].dtype
        assert_same_bits(back, {name: np.zeros(size, dtype) for name, size in zeros.items()} | state)


@given(states(st.floats(-4, 4, width=16)))
def test_merged_biases_are_the_sums(state):
    for framework, reset_after in product(("equinox", "mlx", "openvino", "onednn", "keras"), (True, False)):
        if not reset_after and framework in ("equinox", "mlx"):
            continue
        there = fastgru.convert.write(framework, state, reset_after=reset_after)
        back = fastgru.convert.read(framework, there, reset_after=reset_after)
        for name in [name for name in state if "bias_ih" in name]:
            other = name.replace("ih", "hh")
            np.testing.assert_array_equal(back[name] + back[other], state[name] + state[other])
            n = 2 * len(state[name]) // 3
            if reset_after:
                np.testing.assert_array_equal(back[other][n:], state[other][n:])
