"""What is taken as arrays of a layer: libraries, names, nesting, stacks; and what is written without biases."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import fastgru
from converters.comparing import KERAS, assert_same_bits, plain
from fastgru.convert import CONVERTERS
from fastgru.convert.frameworks import FRAMEWORKS


class ByDLPack:
    """An array that only has the protocol of exchange."""

    def __init__(self, array):
        self.array = array

    def __dlpack__(self, **options):
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


@pytest.mark.parametrize(
    "kind",
    [
        np.asarray,
        torch.from_numpy,
        lambda array: torch.nn.Parameter(torch.from_numpy(array)),
        ByDLPack,
        lambda array: array.astype(array.dtype.newbyteorder(">")),
        lambda array: np.asfortranarray(array),
        lambda array: np.repeat(array, 2, axis=-1)[..., ::2],
    ],
)
def test_arrays_of_any_library_are_taken(kind):
    want = fastgru.convert.read("keras", KERAS)
    got = fastgru.convert.read("keras", {name: kind(array.copy()) for name, array in KERAS.items()})
    assert_same_bits(got, want)
    assert all(array.flags.c_contiguous and array.dtype.isnative for array in got.values())


def test_results_share_no_memory_with_what_was_given():
    state = fastgru.convert.read("torch", {k: v.numpy() for k, v in fastgru.GRU(2, 3).state_dict().items()})
    for name in state:
        if name.startswith("bias_hh"):
            state[name][...] = 0
    for framework in FRAMEWORKS:
        written = fastgru.convert.write(framework, state)
        back = fastgru.convert.read(framework, written, reset_after=True)
        assert not any(np.shares_memory(a, b) for a in written.values() for b in (*state.values(), *back.values()))


@pytest.mark.parametrize(
    "arrays",
    [
        KERAS,
        {f"gru/gru_cell/{name}:0": array for name, array in KERAS.items()},
        {f"gru_1/{name}:0": array for name, array in KERAS.items()},
        {"layers": {"gru": {"cell": KERAS}}},
        {("gru", name): array for name, array in KERAS.items()},
        {f"gru.{name}": array for name, array in KERAS.items()},
        [KERAS],
    ],
)
def test_longer_names_and_nested_ones_are_found(arrays):
    assert_same_bits(fastgru.convert.read("keras", arrays), fastgru.convert.read("keras", KERAS))


def test_both_directions_by_name():
    other = {name: -array for name, array in KERAS.items()}
    want = fastgru.convert.read("keras", {"forward": KERAS, "backward": other})
    assert list(want)[4:] == [
        "weight_ih_l0_reverse",
        "weight_hh_l0_reverse",
        "bias_ih_l0_reverse",
        "bias_hh_l0_reverse",
    ]
    named = {f"bidirectional/backward_gru/gru_cell/{name}": array for name, array in other.items()}
    named |= {f"bidirectional/forward_gru/gru_cell/{name}": array for name, array in KERAS.items()}
    assert_same_bits(fastgru.convert.read("keras", named), want)


def test_a_primitive_of_onednn_with_several_layers_is_a_stack():
    cell = fastgru.GRU(3, 3, num_layers=2).state_dict()
    one_by_one = fastgru.convert.write("onednn", cell)
    together = {name: np.concatenate([layer[name] for layer in one_by_one]) for name in one_by_one[0]}
    assert_same_bits(fastgru.convert.read("onednn", together), fastgru.convert.read("onednn", one_by_one))
    both = {name: np.concatenate([array, array], axis=1) for name, array in together.items()}
    with pytest.raises(ValueError, match="each direction through all layers on its own"):
        fastgru.convert.read("onednn", both)


STATE = {name: array.numpy() for name, array in torch.nn.GRU(2, 3).state_dict().items()}
NO_BIAS = {name: array for name, array in STATE.items() if "weight" in name}


def test_biases_are_left_out_or_added_on_request():
    zero = {name: array if "weight" in name else np.zeros_like(array) for name, array in STATE.items()}
    assert sorted(fastgru.convert.write("keras", zero, bias=False)) == ["kernel", "recurrent_kernel"]
    assert fastgru.convert.write("keras", NO_BIAS, bias=True)["bias"].tolist() == np.zeros((2, 9)).tolist()
    assert fastgru.convert.write("onednn", NO_BIAS)["bias"].tolist() == np.zeros((1, 1, 4, 3)).tolist()


def test_a_cell_is_written_like_a_layer():
    cell = {name.removesuffix("_l0"): array for name, array in STATE.items()}
    for framework in set(CONVERTERS) - {"torch", "flax_nnx"}:
        written = fastgru.convert.write(framework, cell)
        assert_same_bits(plain(framework, written), plain(framework, fastgru.convert.write(framework, STATE)))


class ResetBefore(torch.nn.GRU):
    reset_after = False


def test_a_layer_is_written_as_its_state_dict_with_its_reset_gate():
    for framework in set(CONVERTERS) - {"flax_nnx"}:
        layer = torch.nn.GRU(2, 3)
        written, want = fastgru.convert.write(framework, layer), fastgru.convert.write(framework, layer.state_dict())
        assert_same_bits(
            {name: np.asarray(array) for name, array in written.items()},
            {name: np.asarray(array) for name, array in want.items()},
        )
    before = ResetBefore(2, 3)
    want = fastgru.convert.write("keras", before.state_dict(), reset_after=False)
    assert_same_bits(fastgru.convert.write("keras", before), want)
    with pytest.raises(fastgru.errors.ArgumentError, match="MLX has no GRU with reset_after=False"):
        fastgru.convert.write("mlx", before)
    with pytest.raises(fastgru.errors.ArgumentError, match="reset_after=True was passed for a layer with reset_after="):
        fastgru.convert.write("keras", before, reset_after=True)
