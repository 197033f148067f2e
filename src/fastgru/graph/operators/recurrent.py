"""GRU and GRUCell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np

from fastgru import errors, reference
from fastgru.graph.operators.base import Array, Attribute, Attributes, Recurrent, Shape, Timing, need_vectors
from fastgru.graph.values import Per, Value
from fastgru.spec import GRUSpec

MOST_CELLS = 256  # layers times directions, as the compiled core

_SIZES = {
    "input_size": Attribute(int),
    "hidden_size": Attribute(int),
    "bias": Attribute(bool, True),
    "reset_after": Attribute(bool, True),
}


_ONE_CELL = {"num_layers": 1, "bidirectional": False, "learn_h0": False}


class GRU(Recurrent):
    """A stacked, bidirectional GRU over the steps.

    Results: the output for each step (D*H), and then, if named, the last state of each layer and direction (H).
    Sequences begin with zeros, also after a reset; with `learn_h0` with a parameter h_0 (L*D, H); and with further
    inputs, a vector (H) for each layer and direction, with these.
    """

    attributes = MappingProxyType(
        {
            **_SIZES,
            "num_layers": Attribute(int, 1),
            "bidirectional": Attribute(bool, False),
            "learn_h0": Attribute(bool, False),
        }
    )
    inputs = (1, 1 + MOST_CELLS)
    outputs = (1, 1 + MOST_CELLS)

    def spec(self, attributes: Attributes) -> GRUSpec:
        """The sizes of the layer."""
        return GRUSpec(**{name: attributes[name] for name in GRUSpec._fields})

    def parameter_shapes(self, attributes: Attributes, inputs: Sequence[Value]) -> dict[str, Shape]:
        spec = self.spec(attributes)
        shapes: dict[str, Shape] = dict(zip(spec.parameter_names, spec.parameter_shapes, strict=True))
        return shapes | {"h_0": self.state_shape(attributes)} if attributes["learn_h0"] else shapes

    def results(self, where: str, attributes: Attributes, inputs: Sequence[Value]) -> list[Value]:
        need_vectors(where, inputs[0], attributes["input_size"], Per.STEP)
        cells, hidden = self.state_shape(attributes)
        if cells > MOST_CELLS:
            raise errors.too_many_cells(where, cells, MOST_CELLS)
        _check_beginnings(where, inputs, cells, hidden)
        if len(inputs) > 1 and attributes["learn_h0"]:
            raise errors.two_beginnings(where)
        directions = 2 if attributes["bidirectional"] else 1
        return [Value(Per.STEP, directions * hidden)] + [Value(Per.SEQUENCE, hidden)] * cells

    def state_shape(self, attributes: Attributes) -> tuple[int, int]:
        directions = 2 if attributes["bidirectional"] else 1
        return attributes["num_layers"] * directions, attributes["hidden_size"]

    def anew(self, parameters: Mapping[str, Array], inputs: Sequence[Array]) -> Array | None:
        """The state (L*D, B or 1, H) that a sequence begins with; None for zeros."""
        if len(inputs) > 1:
            return np.stack(inputs[1:])
        return parameters["h_0"][:, None] if "h_0" in parameters else None

    def advance(
        self,
        attributes: Attributes,
        parameters: Mapping[str, Array],
        inputs: Sequence[Array],
        state: Array,
        timing: Timing,
    ) -> tuple[list[Array], Array]:
        spec, anew = self.spec(attributes), self.anew(parameters, inputs)
        weights = [parameters[name] for name in spec.parameter_names]
        output, h_n = reference.run(
            reference.NumPyOperations(), spec, inputs[0], state, weights, timing.lengths, timing.reset, anew
        )
        return [output, *h_n], h_n


class GRUCell(Recurrent):
    """One step of a GRU for each call: its result is its next state. The parameters have torch.nn.GRUCell's names.

    Sequences begin with zeros, or with the second input if there is one, also after a reset.
    """

    attributes = MappingProxyType(_SIZES)
    inputs = (1, 2)

    def parameter_shapes(self, attributes: Attributes, inputs: Sequence[Value]) -> dict[str, Shape]:
        shapes = GRU().parameter_shapes({**attributes, **_ONE_CELL}, inputs)
        return {name.removesuffix("_l0"): shape for name, shape in shapes.items()}

    def results(self, where: str, attributes: Attributes, inputs: Sequence[Value]) -> list[Value]:
        need_vectors(where, inputs[0], attributes["input_size"], Per.SEQUENCE)
        _check_beginnings(where, inputs, 1, attributes["hidden_size"])
        return [Value(Per.SEQUENCE, attributes["hidden_size"])]

    def state_shape(self, attributes: Attributes) -> tuple[int, int]:
        return 1, attributes["hidden_size"]

    def advance(
        self,
        attributes: Attributes,
        parameters: Mapping[str, Array],
        inputs: Sequence[Array],
        state: Array,
        timing: Timing,
    ) -> tuple[list[Array], Array]:
        layer = {**attributes, **_ONE_CELL}
        named = {f"{name}_l0": parameter for name, parameter in parameters.items()}
        reset = None if timing.reset is None else timing.reset[:1]
        _, h_n = GRU().advance(layer, named, [inputs[0][None], *inputs[1:]], state, Timing(reset=reset))
        return [h_n[0]], h_n


def _check_beginnings(where: str, inputs: Sequence[Value], cells: int, hidden: int) -> None:
    """Raises unless the inputs behind the first are none, or a vector for each layer and direction.

    Raises:
        GraphError: they are not.
    """
    if len(inputs) > 1 and len(inputs) != 1 + cells:
        raise errors.wrong_beginnings(where, len(inputs) - 1, cells)
    for value in inputs[1:]:
        need_vectors(where, value, hidden, Per.SEQUENCE)
