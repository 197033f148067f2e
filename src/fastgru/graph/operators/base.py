"""The description of an operator: its attributes, parameters, results, and its definition on NumPy arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple

import numpy as np

from fastgru import errors
from fastgru.graph.values import Per, Value

Array = np.ndarray[Any, Any]
Attributes = Mapping[str, Any]
Shape = tuple[int, ...]

# More than any model has, and few enough that products of two sizes are no problem anywhere.
LARGEST_SIZE = 2**31 - 1


class Attribute(NamedTuple):
    """An attribute of an operator.

    Attributes:
        kind: ``int``, ``float`` (finite), ``bool``; or the strings that are allowed.
        default: the value of a node that does not give one; None if it must.
        least: the smallest integer.
    """

    kind: type | tuple[str, ...]
    default: Any = None
    least: int = 1

    def problem(self, value: object) -> str | None:
        """What was expected instead of `value`; None if it is right."""
        if isinstance(self.kind, tuple):
            return (
                None if isinstance(value, str) and value in self.kind else f"one of {', '.join(map(repr, self.kind))}"
            )
        if self.kind is bool:
            return None if isinstance(value, bool) else "true or false"
        if self.kind is int:
            is_size = isinstance(value, int) and not isinstance(value, bool) and self.least <= value <= LARGEST_SIZE
            return None if is_size else f"an integer from {self.least} to {LARGEST_SIZE}"
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool) and bool(np.isfinite(value))
        return None if is_number else "a finite number"


class Timing(NamedTuple):
    """Where sequences end and begin anew, on the arrays of one call.

    Attributes:
        lengths: (B,) integers; None: all steps.
        reset: (T, B) booleans; None: nowhere.
    """

    lengths: Array | None = None
    reset: Array | None = None


class Operator:
    """A kind of node.

    A subclass gives the class attributes, `parameter_shapes`, `results` and `compute`. `compute` defines the operator:
    what the compiled core computes is tested against it.
    """

    attributes: Mapping[str, Attribute] = MappingProxyType({})
    inputs: ClassVar[tuple[int, int]] = (1, 1)  # fewest and most
    outputs: ClassVar[tuple[int, int]] = (1, 1)

    def parameter_shapes(self, attributes: Attributes, inputs: Sequence[Value]) -> dict[str, Shape]:
        """Shapes of the parameters by their names."""
        return {}

    def results(self, where: str, attributes: Attributes, inputs: Sequence[Value]) -> list[Value]:
        """The types of the results.

        Args:
            where: the node, for the words of an error.
            attributes: complete.
            inputs: types of the inputs, of the right number.

        Raises:
            GraphError: the inputs do not fit.
        """
        raise NotImplementedError

    def compute(
        self, attributes: Attributes, parameters: Mapping[str, Array], inputs: Sequence[Array], timing: Timing
    ) -> list[Array]:
        """The results; arrays are (T, B, F), (B, F), or of indices (T, B), (B)."""
        raise NotImplementedError


class Recurrent(Operator):
    """An operator with a state that goes from call to call."""

    def state_shape(self, attributes: Attributes) -> tuple[int, int]:
        """(rows for each sequence, H): the state of a batch of B is (rows, B, H)."""
        raise NotImplementedError

    def advance(
        self,
        attributes: Attributes,
        parameters: Mapping[str, Array],
        inputs: Sequence[Array],
        state: Array,
        timing: Timing,
    ) -> tuple[list[Array], Array]:
        """The results and the next state, (rows, B, H)."""
        raise NotImplementedError


def need_vectors(where: str, value: Value, size: int | None = None, per: Per | None = None) -> None:
    """Raises unless a value is a vector, of `size` and `per` if given.

    Raises:
        GraphError: it is not.
    """
    if value.size is None or size not in (None, value.size) or per not in (None, value.per):
        expected = "a vector" if size is None else f"a vector of {size}"
        raise errors.wrong_value(where, str(value), expected + (f" for each {per.value}" if per else ""))
