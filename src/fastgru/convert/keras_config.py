"""The configuration of a Keras model as calls of layers in the order of computation."""

from __future__ import annotations

import graphlib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from fastgru.errors import ConversionError

_BINARY_OPERATIONS = ("Add", "Subtract", "Multiply")
Config = Mapping[str, Any]


class Tensor(NamedTuple):
    """A result of a layer: which of its calls, and which result of that."""

    layer: str
    call: int
    result: int


class Call(NamedTuple):
    """One call of a layer.

    Attributes:
        layer: the layer's name.
        number: which call of it.
        kind: its class, such as ``GRU``.
        config: its options.
        inputs: what it reads.
        place: where its variables are in the file of weights; empty for an operation that can have none.
    """

    layer: str
    number: int
    kind: str
    config: Config
    inputs: tuple[Tensor, ...]
    place: str

    def __str__(self) -> str:
        return f"layer {self.layer!r} ({self.kind})"


class Program(NamedTuple):
    """All calls in the order of computation, and the model's outputs by name."""

    calls: list[Call]
    outputs: dict[str, Tensor]


def program(config: Config) -> Program:
    """The calls of a Sequential or Functional model.

    Raises:
        ConversionError: another kind of model, or a layer with arguments that a graph does not have.
        KeyError, TypeError, IndexError, AttributeError, ValueError: a configuration that does not fit together.
    """
    kind = config.get("class_name")
    if kind not in ("Sequential", "Functional"):
        raise ConversionError(
            f"the model is a {str(kind)[:80]}, whose layers the file does not tell. Expected a Sequential or "
            "functional model. Rebuild it as keras.Model(inputs, outputs), or convert layers by fastgru.convert.read."
        )
    inner = config["config"]
    layers = _placed(inner["layers"])
    return _sequential(layers) if kind == "Sequential" else _functional(inner, layers)


def _placed(layers: Sequence[Config]) -> list[tuple[Config, str]]:
    """Each layer with the place of its variables, which is named after its class and counted."""
    counts: dict[str, int] = {}
    placed = []
    for layer in layers:
        _check_kind(layer)
        if not _is_layer(layer):
            placed.append((layer, ""))
            continue
        name = _snake_case(layer["class_name"])
        count = counts[name] = counts.get(name, -1) + 1
        placed.append((layer, f"layers/{name}" + (f"_{count}" if count else "")))
    return placed


def _is_layer(layer: Config) -> bool:
    return bool(layer["module"] == "keras.layers")


def _check_kind(layer: Config) -> None:
    is_operation = layer["module"] == "keras.src.ops.numpy" and layer["class_name"] in _BINARY_OPERATIONS
    if not _is_layer(layer) and not is_operation:
        name = layer["config"].get("name") or layer.get("name")
        raise ConversionError(
            f"layer {name!r} is a {layer['class_name']} of {layer['module']}, which is not one of Keras' layers that a "
            "graph has. Cut the model there, or export it to ONNX and run it with an ONNX runtime."
        )


def _snake_case(name: str) -> str:
    """``LayerNormalization`` -> ``layer_normalization``, ``GRU`` -> ``gru``: as Keras names the places of variables."""
    starts = [i for i in range(1, len(name) - 1) if name[i].isupper() and name[i + 1].islower()]
    parts = [name[i:j] for i, j in zip([0, *starts], [*starts, len(name)], strict=True)]
    return "_".join(parts).lower()


def _sequential(layers: list[tuple[Config, str]]) -> Program:
    calls: list[Call] = []
    if not layers or layers[0][0]["class_name"] != "InputLayer":
        raise ConversionError(
            "the model was saved before the shape of its input was known. Begin it with keras.Input(shape), or call it "
            "once, and save it again."
        )
    for layer, place in layers:
        read = (Tensor(calls[-1].layer, 0, 0),) if calls else ()
        calls.append(Call(str(layer["config"]["name"]), 0, layer["class_name"], layer["config"], read, place))
    return Program(calls, {calls[-1].layer: Tensor(calls[-1].layer, 0, 0)})


def _functional(config: Config, layers: list[tuple[Config, str]]) -> Program:
    calls: dict[tuple[str, int], Call] = {}
    for layer, place in layers:
        nodes = layer["inbound_nodes"] or [{"args": [], "kwargs": {}}]
        for number, node in enumerate(nodes):
            read = tuple(_arguments(str(layer["name"]), node))
            calls[layer["name"], number] = Call(
                str(layer["name"]), number, layer["class_name"], layer["config"], read, place
            )
    before = {key: [(tensor.layer, tensor.call) for tensor in call.inputs] for key, call in calls.items()}
    order = graphlib.TopologicalSorter(before).static_order()
    return Program([calls[key] for key in order], _outputs(config["output_layers"]))


def _arguments(layer: str, node: Config) -> list[Tensor]:
    """The tensors that a call reads.

    Raises:
        ConversionError: other arguments, such as an initial state, a mask or a constant.
    """
    given = list(node["args"])
    if len(given) == 1 and isinstance(given[0], list):
        given = given[0]
    other = {name: value for name, value in node["kwargs"].items() if name != "training" and value is not None}
    unread = [
        value for value in given if not isinstance(value, Mapping) or value.get("class_name") != "__keras_tensor__"
    ]
    if other or unread:
        what = f"the argument {next(iter(other))!r}" if other else f"the argument {str(unread[0])[:80]}"
        raise ConversionError(
            f"layer {layer!r} is called with {what}. A graph has no masks, initial states or constants as arguments of "
            "layers: the runtime takes `lengths` and the state with each call. Build the model without it "
            "and save it again."
        )
    return [_tensor(value["config"]["keras_history"]) for value in given]


def _tensor(history: Sequence[Any]) -> Tensor:
    layer, call, result = history
    return Tensor(str(layer), int(call), int(result))


def _outputs(given: Any) -> dict[str, Tensor]:
    """The outputs by name: those of a dict, or the names of their layers."""
    if isinstance(given, Mapping):
        return {str(name): _tensor(history) for name, history in given.items()}
    tensors = [_tensor(given)] if isinstance(given[0], str) else [_tensor(history) for history in given]
    times = Counter(tensor.layer for tensor in tensors)
    return {
        tensor.layer if times[tensor.layer] == 1 else f"{tensor.layer}.{tensor.call}.{tensor.result}": tensor
        for tensor in tensors
    }
