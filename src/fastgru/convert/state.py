"""State dicts with torch's names, as cells, and cells as state dicts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from fastgru.convert.arrays import to_numpy
from fastgru.convert.layout import Array, Cell
from fastgru.errors import ArgumentError
from fastgru.spec import GRUSpec

_NAME = re.compile(r"(weight_ih|weight_hh|bias_ih|bias_hh)(?:_l(\d+)(_reverse)?)?")
_KINDS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
_OPTIONS = {
    "h_0": "learn_h0. Pass its value as the initial state of the other framework's layer, and remove it here.",
    "weight_hr": "proj_size. No framework here has such a projection; train a layer without it.",
}


def to_state(layers: Sequence[Sequence[Cell]]) -> dict[str, Array]:
    """The state dict of a stack of layers of one or two directions."""
    state: dict[str, Array] = {}
    for k, directions in enumerate(layers):
        for cell, reverse in zip(directions, ("", "_reverse"), strict=False):
            named = zip(_KINDS, cell[:4], strict=True)
            state |= {f"{kind}_l{k}{reverse}": array for kind, array in named if array is not None}
    return state


def to_cells(state: Mapping[str, Any]) -> list[list[Cell]]:
    """The layers, and in each the directions, of a state dict of a GRU or GRUCell.

    Raises:
        ArgumentError: unknown, missing or doubled names, or shapes or dtypes that do not fit each other.
    """
    arrays = _arrays(state)
    spec = spec_of(arrays)
    suffixes = [
        f"_l{k}{reverse}" for k in range(spec.num_layers) for reverse in ("", "_reverse")[: spec.num_directions]
    ]
    cells = [_cell(arrays, suffix) for suffix in suffixes]
    return [cells[i : i + spec.num_directions] for i in range(0, len(cells), spec.num_directions)]


def spec_of_state(state: Mapping[str, Any]) -> GRUSpec:
    """The sizes of a GRU or GRUCell with this state dict; raises as `to_cells`."""
    return spec_of(_arrays(state))


def _arrays(state: Mapping[str, Any]) -> dict[str, Array]:
    return {name: to_numpy(name, value) for name, value in _named(state).items()}


def _cell(arrays: Mapping[str, Array], suffix: str) -> Cell:
    weights = arrays["weight_ih" + suffix], arrays["weight_hh" + suffix]
    return Cell(*weights, arrays.get("bias_ih" + suffix), arrays.get("bias_hh" + suffix), suffix)


def spec_of(arrays: Mapping[str, Array]) -> GRUSpec:
    """The sizes of a layer, from its parameters by torch's names; checks that these belong together.

    Raises:
        ArgumentError: missing or left-over parameters, or shapes or dtypes that do not fit each other.

    Example:
        >>> import numpy as np
        >>> from fastgru.convert.state import spec_of
        >>> spec = spec_of({"weight_ih_l0": np.ones((6, 4)), "weight_hh_l0": np.ones((6, 2))})
        >>> spec.input_size, spec.hidden_size, spec.bias
        (4, 2, False)
    """
    for name in ("weight_ih_l0", "weight_hh_l0"):
        if name not in arrays:
            raise ArgumentError(f"there is no {name!r}. Pass all parameters of the layer: its state_dict().")
        if arrays[name].ndim != 2 or 0 in arrays[name].shape:
            raise ArgumentError(
                f"{name!r} has shape {arrays[name].shape}. Expected a matrix (3H, features) with H > 0."
            )
    layers = 1 + max(int(_NAME.fullmatch(name)[2]) for name in arrays)  # type: ignore[index]
    if layers > len(arrays):  # before names are listed for each of them
        raise ArgumentError(f"there are parameters of layer {layers - 1}, but not of all layers before it.")
    has_bias, has_reverse = any("bias" in name for name in arrays), any("reverse" in name for name in arrays)
    sizes = arrays["weight_ih_l0"].shape[1], arrays["weight_hh_l0"].shape[1]
    spec = GRUSpec(*sizes, layers, has_bias, has_reverse)
    if missing := [name for name in spec.parameter_names if name not in arrays]:
        raise ArgumentError(f"there is no {missing[0]!r}, but other parameters of its kind. Pass all of the layer.")
    dtype = arrays["weight_ih_l0"].dtype
    for name, shape in zip(spec.parameter_names, spec.parameter_shapes, strict=True):
        if arrays[name].shape != shape:
            raise ArgumentError(
                f"{name!r} has shape {arrays[name].shape}. Expected {shape}, from the other parameters."
            )
        if arrays[name].dtype != dtype:
            raise ArgumentError(f"{name!r} is {arrays[name].dtype}, 'weight_ih_l0' is {dtype}. Convert one of them.")
    return spec


def _named(state: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters with the names of a GRU; those of a GRUCell get the ending ``_l0``."""
    if not isinstance(state, Mapping):
        raise ArgumentError(f"the state is of type {type(state).__name__}. Expected a state dict: layer.state_dict().")
    named: dict[str, Any] = {}
    for name, value in state.items():
        kind = re.match(r"h_0$|weight_hr", str(name))
        if kind is not None:
            raise ArgumentError(f"{name!r} is of the option {_OPTIONS[kind[0]]}")
        match = _NAME.fullmatch(str(name))
        if match is None:
            raise ArgumentError(
                f"{name!r} is not a parameter of a GRU. Expected names such as weight_ih_l0 or bias_hh_l1_reverse. "
                "Pass the state dict of the layer alone, without the prefix of the model around it."
            )
        full = name if match[2] else f"{name}_l0"
        if full in named:
            raise ArgumentError(f"there are {full!r} of a GRU and {name!r} of a GRUCell. Pass the parameters of one.")
        named[full] = value
    return named
