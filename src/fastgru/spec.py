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
        return 2 if self.bidirectional else 1

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Torch's names in torch's order, which is by layer, then by direction."""
        kinds = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")[: 4 if self.bias else 2]
        return tuple(
            f"{kind}_l{layer}{suffix}"
            for layer in range(self.num_layers)
            for suffix in ("", "_reverse")[: self.num_directions]
            for kind in kinds
        )

    @property
    def parameter_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shapes in the order of `parameter_names`; weights (3H, I) and (3H, H), biases (3H,)."""
        gates = 3 * self.hidden_size
        shapes: list[tuple[int, ...]] = []
        for layer in range(self.num_layers):
            width = self.input_size if layer == 0 else self.num_directions * self.hidden_size
            cell: list[tuple[int, ...]] = [(gates, width), (gates, self.hidden_size)]
            cell += [(gates,), (gates,)] if self.bias else []
            shapes += cell * self.num_directions
        return tuple(shapes)

    def single_layer(self, layer: int) -> GRUSpec:
        """The spec of a single one of the stacked layers."""
        width = self.input_size if layer == 0 else self.num_directions * self.hidden_size
        return GRUSpec(width, self.hidden_size, 1, self.bias, self.bidirectional, self.reset_after)
