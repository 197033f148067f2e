"""The layers of Keras that a graph has, each as nodes. A layer is a function from values to values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from fastgru.convert import reading
from fastgru.convert.keras import KERAS
from fastgru.convert.keras_building import Building, option
from fastgru.convert.keras_config import Call, Config
from fastgru.convert.layout import Array
from fastgru.errors import ConversionError, FormatError

Layer = Callable[[Building, Call, Sequence[str]], list[str]]

# Keras' names of functions -> operators with their attributes, as Keras' layers call them: without arguments.
FUNCTIONS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "relu": ("ReLU", {}),
    "relu6": ("Clamp", {"min": 0.0, "max": 6.0}),
    "leaky_relu": ("LeakyReLU", {"negative_slope": 0.2}),
    "elu": ("ELU", {}),
    "selu": ("SELU", {}),
    "gelu": ("GELU", {}),
    "silu": ("SiLU", {}),
    "swish": ("SiLU", {}),
    "sigmoid": ("Sigmoid", {}),
    "hard_sigmoid": ("Hardsigmoid", {}),
    "hard_silu": ("Hardswish", {}),
    "hard_swish": ("Hardswish", {}),
    "tanh": ("Tanh", {}),
    "softplus": ("Softplus", {}),
    "softsign": ("Softsign", {}),
    "exponential": ("Exp", {}),
    "softmax": ("Softmax", {}),
    "log_softmax": ("LogSoftmax", {}),
}
_REBUILD = "Build the model otherwise and save it again."


def name_of(call: Call) -> str:
    """The name of a call's node: that of the layer, with a number from its second call on."""
    return call.layer if call.number == 0 else f"{call.layer}.{call.number}"


def _only(call: Call, inputs: Sequence[str], count: int = 1) -> str:
    if len(inputs) != count:
        raise ConversionError(f"{call} reads {len(inputs)} values. Expected {count}. {_REBUILD}")
    return inputs[0]


def _activated(building: Building, call: Call, name: str, value: str, function: Any) -> list[str]:
    """The value after an activation by Keras' name."""
    if function in (None, "linear"):
        return [value]
    if not isinstance(function, str) or function not in FUNCTIONS:
        told = function.get("config", function) if isinstance(function, Mapping) else function
        raise ConversionError(
            f"{call} has the activation {str(told)[:80]}. Expected linear or one of: {', '.join(FUNCTIONS)}. {_REBUILD}"
        )
    operator, attributes = FUNCTIONS[function]
    return building.node(name, operator, [value], attributes)


def _arrays(building: Building, call: Call, place: str, names: Sequence[str]) -> dict[str, Array]:
    """The variables of a layer by name."""
    arrays = building.file.arrays(place)
    if len(arrays) != len(names):
        raise FormatError(
            f"{call} has {len(arrays)} arrays in the file at {place!r}. Expected {len(names)}: {', '.join(names)}."
        )
    return dict(zip(names, arrays, strict=True))


def embedding(building: Building, call: Call, inputs: Sequence[str]) -> list[str]:
    """Rows of a table."""
    option(call, call.config, "mask_zero", [False], "Pass `lengths` to the runtime instead of a mask.")
    option(call, call.config, "lora_rank", [None], "Merge it into the weights and save the model again.")
    option(call, call.config, "quantization_config", [None], _REBUILD)
    weight = _arrays(building, call, call.place, ["weight"])["weight"]
    sizes = {"num_embeddings": call.config["input_dim"], "embedding_dim": call.config["output_dim"]}
    parameters = {"weight": (f"{call.layer}.weight", weight)}
    return building.node(name_of(call), "Embedding", [_only(call, inputs)], sizes, parameters)


def dense(building: Building, call: Call, inputs: Sequence[str]) -> list[str]:
    """The product with a matrix, a bias and an activation."""
    config, name = call.config, name_of(call)
    option(call, config, "lora_rank", [None], "Merge it into the weights and save the model again.")
    option(call, config, "quantization_config", [None], _REBUILD)
    has_bias = bool(config.get("use_bias", True))
    arrays = _arrays(building, call, call.place, ["kernel", "bias"] if has_bias else ["kernel"])
    if arrays["kernel"].ndim != 2:
        raise FormatError(f"{call} has a kernel of shape {arrays['kernel'].shape}. Expected (features, units).")
    weight = np.ascontiguousarray(arrays["kernel"].T)
    sizes = {"in_features": weight.shape[1], "out_features": config["units"], "bias": has_bias}
    parameters = {"weight": (f"{call.layer}.weight", weight)}
    parameters |= {"bias": (f"{call.layer}.bias", arrays["bias"])} if has_bias else {}
    (value,) = building.node(name, "Linear", [_only(call, inputs)], sizes, parameters)
    return _activated(building, call, f"{name}.activation", value, config.get("activation"))


def layer_normalization(building: Building, call: Call, inputs: Sequence[str]) -> list[str]:
    """Normalization over the features."""
    config, value = call.config, _only(call, inputs)
    last = len(building.values[value].axes) - 1
    option(call, config, "axis", [-1, [-1], last, [last]], "Only the features can be normalized.")
    option(call, config, "rms_scaling", [False], _REBUILD)
    has = {"weight": bool(config.get("scale", True)), "bias": bool(config.get("center", True))}
    arrays = _arrays(building, call, call.place, [name for name in has if has[name]])
    attributes = {"size": building.values[value].size, "eps": config["epsilon"], **has}
    parameters = {name: (f"{call.layer}.{name}", array) for name, array in arrays.items()}
    return building.node(name_of(call), "LayerNorm", [value], attributes, parameters)


def activation(building: Building, call: Call, inputs: Sequence[str]) -> list[str]:
    """A function by name."""
    return _activated(building, call, name_of(call), _only(call, inputs), call.config.get("activation"))


def function(
    operator: str, options: Mapping[str, str], building: Building, call: Call, inputs: Sequence[str]
) -> list[str]:
    """A layer that is a function; `options` are its names of the operator's attributes."""
    attributes = {name: float(call.config[own]) for own, name in options.items()}
    return building.node(name_of(call), operator, [_only(call, inputs)], attributes)


def relu(building: Building, call: Call, inputs: Sequence[str]) -> list[str]:
    """The plain function: not clipped, shifted or leaky."""
    for name, value in (("max_value", None), ("negative_slope", 0.0), ("threshold", 0.0)):
        option(call, call.config, name, [value], "Use LeakyReLU or another activation.")
    return function("ReLU", {}, building, call, inputs)


def softmax(building: Building, call: Call, inputs: Sequence[str]) -> list[str]:
    """Over the features."""
    last = len(building.values[_only(call, inputs)].axes) - 1
    option(call, call.config, "axis", [-1, last], "Softmax is over the features.")
    return function("Softmax", {}, building, call, inputs)


def nothing(building: Building, call: Call, inputs: Sequence[str]) -> list[str]:
    """A layer that only does something in training."""
    return [_only(call, inputs)]


def concatenate(building: Building, call: Call, inputs: Sequence[str]) -> list[str]:
    """Features one behind the other."""
    last = len(building.values[inputs[0]].axes) - 1
    option(call, call.config, "axis", [-1, last], "Only features can be concatenated.")
    return building.node(name_of(call), "Concat", inputs)


def combine(operator: str, building: Building, call: Call, inputs: Sequence[str]) -> list[str]:
    """Sums or products of two or more values."""
    if len(inputs) < 2 or (operator == "Subtract" and len(inputs) > 2):
        raise ConversionError(f"{call} reads {len(inputs)} values. Expected two. {_REBUILD}")
    value, name = inputs[0], name_of(call)
    for k, other in enumerate(inputs[1:], 2):
        (value,) = building.node(name if k == len(inputs) else f"{name}.{k - 1}", operator, [value, other])
    return [value]


def time_distributed(building: Building, call: Call, inputs: Sequence[str]) -> list[str]:
    """A layer that treats every step alike, as all do that are not recurrent."""
    inner = call.config["layer"]
    if inner["class_name"] not in ("Dense", "LayerNormalization", "Activation", "Dropout"):
        raise ConversionError(
            f"{call} holds a {str(inner['class_name'])[:80]}. Expected Dense, LayerNormalization, Activation or "
            f"Dropout. {_REBUILD}"
        )
    own = call._replace(config=inner["config"], place=f"{call.place}/layer")
    return LAYERS[inner["class_name"]](building, own, inputs)


def gru(building: Building, call: Call, inputs: Sequence[str]) -> list[str]:
    """A GRU in one direction."""
    config = call.config
    _check_gru(call, config)
    option(call, config, "go_backwards", [False], "Reverse the steps of input and output yourself.")
    y, h = _gru_node(building, call, inputs, config, {"": f"{call.place}/cell"})
    result = y if config.get("return_sequences") else h
    return [result, h] if config.get("return_state") else [result]


def bidirectional(building: Building, call: Call, inputs: Sequence[str]) -> list[str]:
    """A GRU in two directions."""
    layers = [call.config["layer"], call.config["backward_layer"]]
    for layer in layers:
        if layer["class_name"] != "GRU":
            raise ConversionError(f"{call} holds a {str(layer['class_name'])[:80]}. Expected a GRU. {_REBUILD}")
        _check_gru(call, layer["config"])
    ahead, back = (layer["config"] for layer in layers)
    option(call, ahead, "go_backwards", [False], _REBUILD)
    option(call, back, "go_backwards", [True], _REBUILD)
    for name in ("units", "use_bias", "reset_after", "return_sequences", "return_state"):
        option(call, back, name, [ahead.get(name)], "Both directions must be alike.")
    merge = option(call, call.config, "merge_mode", ["concat", "sum", "mul", "ave"], _REBUILD)
    places = {side: f"{call.place}/{side}_layer/cell" for side in ("forward", "backward")}
    y, *h = _gru_node(building, call, inputs, ahead, places)
    pieces = h
    if ahead.get("return_sequences") and merge != "concat":
        pieces = [_half(building, call, y, k, ahead["units"]) for k in range(2)]
    result = y if ahead.get("return_sequences") and merge == "concat" else _merged(building, call, merge, pieces)
    return [result, *h] if ahead.get("return_state") else [result]


def _check_gru(call: Call, config: Config) -> None:
    """Raises unless the layer computes what a GRU of ours computes."""
    option(call, config, "activation", ["tanh"], "A GRU has tanh there.")
    option(call, config, "recurrent_activation", ["sigmoid"], "A GRU has sigmoid there.")


def _gru_node(
    building: Building, call: Call, inputs: Sequence[str], config: Config, places: Mapping[str, str]
) -> list[str]:
    """The node of a layer with variables at these places; its output and last states."""
    names = ["kernel", "recurrent_kernel"] + ["bias"] * bool(config.get("use_bias", True))
    sides = {side: _arrays(building, call, place, names) for side, place in places.items()}
    arrays: Any = sides if len(sides) == 2 else sides[""]
    reset_after = bool(config.get("reset_after", True))
    spec = reading.spec(KERAS, arrays, reset_after)
    if spec.hidden_size != config["units"]:
        raise FormatError(
            f"{call} has {config['units']} units, but weights of {spec.hidden_size}. Save the model again."
        )
    state = reading.read(KERAS, arrays, reset_after)
    parameters = {name: (f"{call.layer}.{name}", array) for name, array in state.items()}
    return building.node(name_of(call), "GRU", [_only(call, inputs)], spec._asdict(), parameters)


def _half(building: Building, call: Call, value: str, k: int, size: int) -> str:
    side = ("forward", "backward")[k]
    (half,) = building.node(f"{name_of(call)}.{side}", "Slice", [value], {"first": k * size, "size": size})
    return half


def _merged(building: Building, call: Call, merge: str, pieces: Sequence[str]) -> str:
    """Both directions as one value."""
    operator = {"concat": "Concat", "sum": "Add", "mul": "Multiply", "ave": "Add"}[merge]
    (value,) = building.node(f"{name_of(call)}.merged", operator, pieces)
    if merge == "ave":
        half = {"other": "number", "number": 0.5}
        (value,) = building.node(f"{name_of(call)}.average", "Multiply", [value], half)
    return value


LAYERS: Mapping[str, Layer] = {
    "Embedding": embedding,
    "Dense": dense,
    "GRU": gru,
    "Bidirectional": bidirectional,
    "LayerNormalization": layer_normalization,
    "Activation": activation,
    "ReLU": relu,
    "LeakyReLU": partial(function, "LeakyReLU", {"negative_slope": "negative_slope"}),
    "ELU": partial(function, "ELU", {"alpha": "alpha"}),
    "Softmax": softmax,
    "Dropout": nothing,
    "SpatialDropout1D": nothing,
    "GaussianNoise": nothing,
    "GaussianDropout": nothing,
    "TimeDistributed": time_distributed,
    "Concatenate": concatenate,
    "Add": partial(combine, "Add"),
    "Subtract": partial(combine, "Subtract"),
    "Multiply": partial(combine, "Multiply"),
}
