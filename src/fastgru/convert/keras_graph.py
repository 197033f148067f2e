"""Whole Keras models as graphs: inputs, calls of layers, outputs."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from typing import Any

from fastgru.convert.keras_building import Building, configuration_of
from fastgru.convert.keras_config import Call, Tensor, program
from fastgru.convert.keras_file import KerasFile
from fastgru.convert.keras_layers import LAYERS
from fastgru.errors import ConversionError, FormatError
from fastgru.graph import Graph, Output
from fastgru.graph.values import value_of_axes

_DTYPES = ("float32", "float64")


def read_keras(path: str | os.PathLike[str]) -> Graph:
    """The graph of a .keras file; see `fastgru.convert.keras_model`."""
    file = KerasFile(path)
    with configuration_of("the model"):
        calls, outputs = program(file.config)
    building = Building(file)
    indices = {tensor.layer for call in calls if call.kind == "Embedding" for tensor in call.inputs}
    for call in calls:
        with configuration_of(call):
            names = _results(building, call, indices)
        building.names |= {Tensor(call.layer, call.number, k): name for k, name in enumerate(names)}
    return Graph(building.inputs, building.nodes, _outputs(building, outputs), building.parameters)


def _results(building: Building, call: Call, indices: Collection[str]) -> list[str]:
    """The values that a call of a layer gives."""
    if call.kind not in (*LAYERS, "InputLayer"):
        raise ConversionError(
            f"{call} is not among the layers that a graph has: {', '.join(LAYERS)}. Cut the model there, or export it "
            "to ONNX and run it with an ONNX runtime."
        )
    _check_dtype(call)
    _check_place(building.file, call)
    if call.kind == "InputLayer":
        return [_input(building, call, call.layer in indices)]
    return LAYERS[call.kind](building, call, [_value(building, call, tensor) for tensor in call.inputs])


def _value(building: Building, reader: Call, tensor: Tensor) -> str:
    if tensor not in building.names:
        raise FormatError(f"{reader} reads a result of {tensor.layer!r} that is not there. Save the model again.")
    return building.names[tensor]


def _input(building: Building, call: Call, is_index: bool) -> str:
    """The value of an InputLayer; it has indices if an Embedding reads it."""
    shape = list(call.config["batch_shape"])
    size = None if is_index else shape[-1]
    axes = {(1, True): "B", (2, True): "BT", (2, False): "BF", (3, False): "BTF"}.get((len(shape), is_index))
    if axes is None or not (is_index or isinstance(size, int)) or value_of_axes(axes, size) is None:
        raise ConversionError(
            f"{call} has the shape {tuple(shape)}. Expected (batch, steps, features), (batch, features), or for an "
            "Embedding (batch, steps) or (batch,), with a fixed number of features."
        )
    return building.add_input(call.layer, axes, size)


def _outputs(building: Building, outputs: Mapping[str, Tensor]) -> list[Output]:
    found = []
    for name, tensor in outputs.items():
        if tensor not in building.names:
            raise FormatError(f"the output {name!r} of the model is not a result of a layer. Save the model again.")
        value = building.names[tensor]
        found.append(Output(name, value, {"TBF": "BTF", "TB": "BT"}.get(building.values[value].axes, "BF")))
    return found


def _check_dtype(call: Call) -> None:
    """Raises unless the layer, and what it holds, computes in float32 or float64."""
    if call.kind == "InputLayer":  # whose indices may be of any type
        return
    held = [call.config[name]["config"] for name in ("layer", "backward_layer") if name in call.config]
    for config in (call.config, *held):
        policy: Any = config.get("dtype") or "float32"
        name = policy["config"]["name"] if isinstance(policy, Mapping) else policy
        if name not in _DTYPES:
            raise ConversionError(
                f"{call} computes in {str(name)[:40]}. Expected one of: {', '.join(_DTYPES)}. Set the layer's dtype "
                "policy, and save the model again."
            )


def _check_place(file: KerasFile, call: Call) -> None:
    """Raises where the file says that the variables at the layer's place are those of another one."""
    name = file.name_of(call.place) if call.place else None
    if name not in (None, call.layer):
        raise FormatError(f"{file.path!r}: the weights at {call.place!r} are those of {name!r}, not of {call.layer!r}.")
