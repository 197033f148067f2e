"""The results of a `GraphTracer`: arrays that a program computes, states, and layers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from fastgru.graph.axes import (
    Axis,
)

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Traced:
    """An array that the program computes.

    Attributes:
        name: of its value in the graph.
        axes: in the program's order.
        is_index: whether it has integers.
        is_state: whether it is the state of one layer and direction, which the runtime also hands on by itself.
        is_number: whether the axis of its one feature was removed.
    """

    name: str
    axes: tuple[Axis, ...]
    is_index: bool = False
    is_state: bool = False
    is_number: bool = False


@dataclass(frozen=True)
class States:
    """The states of recurrent nodes: an input of the program, or what a layer returns.

    Attributes:
        cells: names of the values with the states of each layer and direction; None for a state that comes in.
        axes: in the program's order; those of the role CELLS count layers and directions.
        source: the name of the input, for the words of errors.
        is_computed: whether they are no states of nodes, but values computed of some, for a layer to begin with.
    """

    cells: tuple[str, ...] | None
    axes: tuple[Axis, ...]
    source: str = ""
    is_computed: bool = False


class Recurrence(NamedTuple):
    """What a recurrent layer is, for `GraphTracer.gru`."""

    attributes: Mapping[str, Any]
    parameters: Mapping[str, Array]
    keys: Mapping[str, str] | None = None  # of the parameters in the graph; None: derived from the node's name
