"""`Building`: a graph that grows by the calls of a Keras model, and checks of the layers' options."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from fastgru.convert.keras_config import Call, Config, Tensor
from fastgru.convert.keras_file import KerasFile
from fastgru.convert.layout import Array
from fastgru.errors import ConversionError, FastGRUError, FormatError
from fastgru.graph import Input, Node, Value
from fastgru.graph.graph import operator_of, with_defaults


class Building:
    """A graph that grows call by call; values are found by the tensors of Keras."""

    def __init__(self, file: KerasFile) -> None:
        self.file = file
        self.inputs: list[Input] = []
        self.nodes: list[Node] = []
        self.parameters: dict[str, Array] = {}
        self.values: dict[str, Value] = {}
        self.names: dict[Tensor, str] = {}

    def add_input(self, name: str, axes: str, size: int | None) -> str:
        """An input of the model."""
        self.inputs.append(Input(name, axes, size))
        self.values[name] = self.inputs[-1].value
        return name

    def node(
        self,
        name: str,
        operator: str,
        inputs: Sequence[str],
        attributes: Mapping[str, Any] | None = None,
        parameters: Mapping[str, tuple[str, Array]] | None = None,
    ) -> list[str]:
        """A node; returns the names of its results.

        Args:
            name: of the node, and of its first result.
            operator: what it computes.
            inputs: names of values.
            attributes: of the operator.
            parameters: key and array by the operator's names.
        """
        keyed = parameters or {}
        keys = {role: key for role, (key, _) in keyed.items()}
        node = with_defaults(Node(name, operator, tuple(inputs), (name,), attributes or {}, keys))
        results = operator_of(node).results(str(node), node.attributes, [self.values[value] for value in inputs])
        names = [name, *(f"{name}.h_{k}" for k in range(len(results) - 1))]
        self.values |= dict(zip(names, results, strict=True))
        self.parameters |= dict(keyed.values())
        self.nodes.append(Node(name, operator, node.inputs, tuple(names), node.attributes, keys))
        return names


@contextmanager
def configuration_of(what: object) -> Iterator[None]:
    """Turns errors of a configuration with other keys and types than Keras writes into one that names the layer."""
    try:
        yield
    except FastGRUError:
        raise
    except (KeyError, TypeError, IndexError, AttributeError, ValueError, OverflowError) as error:
        raise FormatError(
            f"the configuration of {what} does not fit together ({type(error).__name__}: {str(error)[:200]}). "
            "Save the model again."
        ) from error


def option(call: Call, config: Config, name: str, allowed: Sequence[Any], remedy: str) -> Any:
    """An option of a layer that must have one of some values.

    Raises:
        ConversionError: it has another.
    """
    value = config.get(name, allowed[0])
    if value not in allowed:
        raise ConversionError(
            f"{call} has {name}={str(value)[:80]}. Expected {' or '.join(map(str, allowed))}. {remedy}"
        )
    return value
