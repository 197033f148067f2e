"""GRU and GRUCell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

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


class GRU(Recurrent):
    """A stacked, bidirectional GRU over the steps.

    Results: the output for each step (D*H), and then, if named, the last state of each layer and direction (H).
    """

    attributes = MappingProxyType(
        {
            **_SIZES,
            "num_layers": Attribute(int, 1),
            "bidirectional": Attribute(bool, False),
        }
    )
    outputs = (1, 1 + MOST_CELLS)

    def spec(self, attributes: Attributes) -> GRUSpec:
        """The sizes of the layer."""
        return GRUSpec(**{name: attributes[name] for name in GRUSpec._fields})

    def parameter_shapes(self, attributes: Attributes, inputs: Sequence[Value]) -> dict[str, Shape]:
        spec = self.spec(attributes)
        return dict(zip(spec.parameter_names, spec.parameter_shapes, strict=True))

    def results(self, where: str, attributes: Attributes, inputs: Sequence[Value]) -> list[Value]:
        need_vectors(where, inputs[0], attributes["input_size"], Per.STEP)
        cells, hidden = self.state_shape(attributes)
        if cells > MOST_CELLS:
            raise errors.too_many_cells(where, cells, MOST_CELLS)
        directions = 2 if attributes["bidirectional"] else 1
        return [Value(Per.STEP, directions * hidden)] + [Value(Per.SEQUENCE, hidden)] * cells

    def state_shape(self, attributes: Attributes) -> tuple[int, int]:
        directions = 2 if attributes["bidirectional"] else 1
        return attributes["num_layers"] * directions, attributes["hidden_size"]

    def advance(
        self, attributes: Attributes, parameters: Mapping[str, Array], x: Array, state: Array, timing: Timing
    ) -> tuple[list[Array], Array]:
        spec = self.spec(attributes)
        weights = [parameters[name] for name in spec.parameter_names]
        output, h_n = reference.run(
            reference.NumPyOperations(), spec, x, state, weights, lengths=timing.lengths, reset=timing.reset
        )
        return [output, *h_n], h_n


class GRUCell(Recurrent):
    """One step of a GRU for each call: its result is its next state. The parameters have torch.nn.GRUCell's names."""

    attributes = MappingProxyType(_SIZES)

    def parameter_shapes(self, attributes: Attributes, inputs: Sequence[Value]) -> dict[str, Shape]:
        shapes = GRU().parameter_shapes({**attributes, "num_layers": 1, "bidirectional": False}, inputs)
        return {name.removesuffix("_l0"): shape for name, shape in shapes.items()}

    def results(self, where: str, attributes: Attributes, inputs: Sequence[Value]) -> list[Value]:
        need_vectors(where, inputs[0], attributes["input_size"], Per.SEQUENCE)
        return [Value(Per.SEQUENCE, attributes["hidden_size"])]

    def state_shape(self, attributes: Attributes) -> tuple[int, int]:
        return 1, attributes["hidden_size"]

    def advance(
        self, attributes: Attributes, parameters: Mapping[str, Array], x: Array, state: Array, timing: Timing
    ) -> tuple[list[Array], Array]:
        layer = {**attributes, "num_layers": 1, "bidirectional": False}
        named = {f"{name}_l0": parameter for name, parameter in parameters.items()}
        reset = None if timing.reset is None else timing.reset[:1]
        _, h_n = GRU().advance(layer, named, x[None], state, Timing(reset=reset))
        return [h_n[0]], h_n
