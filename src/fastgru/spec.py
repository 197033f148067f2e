"""`GRUSpec`: the sizes of a GRU layer, and the names and shapes of its parameters."""

from __future__ import annotations

from typing import NamedTuple


class GRUSpec(NamedTuple):
    """The sizes and options that determine the results of a layer.

    It is a tuple because each call uses it as a dictionary key, and tuples are the fastest to hash.

    Attributes:
        input_size: features per step, I.
        hidden_size: size of the state, H.
        num_layers: number of stacked layers, L.
        bias: whether there are bias_ih and bias_hh.
        bidirectional: whether a second direction reads the sequence backwards.
        reset_after: whether the reset gate acts after the product of the state with the weights of n, as in torch;
            otherwise it acts before it, on the state itself (`fastgru.reference.step`).

    Example:
        >>> from fastgru import GRUSpec
        >>> GRUSpec(8, 16).parameter_shapes[0]
        (48, 8)
    """

    input_size: int
    hidden_size: int
    num_layers: int = 1
    bias: bool = True
    bidirectional: bool = False
    reset_after: bool = True

    @property
    def num_directions(self) -> int:
        """1 or 2."""
        return directions_of(self)

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Torch's names in torch's order, which is by layer, then by direction."""
        return names_of(self)

    @property
    def parameter_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shapes in the order of `parameter_names`; weights (3H, I) and (3H, H), biases (3H,)."""
        return shapes_of(self)

    def single_layer(self, layer: int) -> GRUSpec:
        """The spec of a single one of the stacked layers."""
        width = self.input_size if layer == 0 else directions_of(self) * self.hidden_size
        return GRUSpec(width, self.hidden_size, 1, self.bias, self.bidirectional, self.reset_after)


# The properties as functions, for code that torch.compile reads: until 2.10 at least it knows no property of a tuple.


def directions_of(spec: GRUSpec) -> int:
    """As `GRUSpec.num_directions`."""
    return 2 if spec.bidirectional else 1


def names_of(spec: GRUSpec) -> tuple[str, ...]:
    """As `GRUSpec.parameter_names`."""
    kinds = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")[: 4 if spec.bias else 2]
    suffixes = ("", "_reverse")[: directions_of(spec)]
    cells = [f"l{layer}{suffix}" for layer in range(spec.num_layers) for suffix in suffixes]
    return tuple([f"{kind}_{cell}" for cell in cells for kind in kinds])


def shapes_of(spec: GRUSpec) -> tuple[tuple[int, ...], ...]:
    """As `GRUSpec.parameter_shapes`."""
    gates = 3 * spec.hidden_size
    shapes: list[tuple[int, ...]] = []
    for layer in range(spec.num_layers):
        width = spec.input_size if layer == 0 else directions_of(spec) * spec.hidden_size
        cell: list[tuple[int, ...]] = [(gates, width), (gates, spec.hidden_size)]
        cell += [(gates,), (gates,)] if spec.bias else []
        shapes += cell * directions_of(spec)
    return tuple(shapes)
