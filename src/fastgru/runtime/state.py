"""`State`: the states of all recurrent nodes of a model, between calls."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from fastgru import errors

Array = np.ndarray[Any, Any]


class State(Mapping[str, Array]):
    """The states of the recurrent nodes by their names: arrays (layers * directions, B, H).

    The arrays can be read and written to. A model's call does not change the state that it is given, unless it is told
    to write the next one there.

    Args:
        arrays: the arrays by name. They are copied.

    Raises:
        ShapeError: they are not all of three dimensions and of one batch size.

    Example:
        >>> import numpy as np
        >>> from fastgru.runtime import State
        >>> state = State({"gru": np.ones((1, 2, 3), np.float32)})
        >>> state.reset([0])
        >>> state["gru"][0].tolist()
        [[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]]
        >>> State.from_bytes(state.to_bytes()).batch
        2
    """

    _first: Mapping[str, Array] = MappingProxyType({})

    def __init__(self, arrays: Mapping[str, Array]) -> None:
        self._arrays = {name: np.array(array, order="C") for name, array in arrays.items()}
        sizes = {array.shape[1] if array.ndim == 3 else None for array in self._arrays.values()}
        if len(sizes) > 1 or None in sizes:
            raise errors.wrong_states({name: array.shape for name, array in self._arrays.items()})

    @classmethod
    def of_arrays(cls, arrays: dict[str, Array], first: Mapping[str, Array]) -> State:
        """A state that owns these arrays, without copies and checks; `first` are those that sequences begin with."""
        state = cls.__new__(cls)
        state._arrays, state._first = arrays, first
        return state

    @property
    def arrays(self) -> dict[str, Array]:
        """The arrays by name."""
        return self._arrays

    def __getitem__(self, name: str) -> Array:
        return self._arrays[name]

    def __setitem__(self, name: str, value: Any) -> None:
        """Copies `value` to the state of a node; it must have its shape."""
        if name not in self._arrays:
            raise errors.unknown_state(name, self._arrays)
        given, own = np.asarray(value), self._arrays[name]
        if given.shape != own.shape:
            raise errors.wrong_state_shape(name, given.shape, own.shape)
        if not np.can_cast(given.dtype, own.dtype, "same_kind"):
            raise errors.wrong_array_dtype(f"the state {name!r}", given.dtype, own.dtype)
        own[...] = given

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)

    def __repr__(self) -> str:
        return f"State({', '.join(f'{name}: {array.shape}' for name, array in self._arrays.items())})"

    @property
    def batch(self) -> int | None:
        """B; None for a model without states."""
        return next((array.shape[1] for array in self._arrays.values()), None)

    def reset(self, rows: int | Sequence[int] | Array | None = None) -> None:
        """Sets states to what sequences begin with: zeros, or what the model has learned.

        Args:
            rows: which rows of the batch: an index, indices or a mask (B,); None: all.
        """
        for name, array in self._arrays.items():
            array[:, slice(None) if rows is None else rows] = self._first.get(name, 0)

    def copy(self) -> State:
        """A state with arrays of its own."""
        return State.of_arrays({name: array.copy() for name, array in self._arrays.items()}, self._first)

    def select(self, rows: Sequence[int] | Array) -> State:
        """The state of some rows of the batch, in this order: for streams that end."""
        return State.of_arrays({name: array[:, rows].copy() for name, array in self._arrays.items()}, self._first)

    def to_bytes(self) -> bytes:
        """The state as bytes (a safetensors file), for `from_bytes`, on any machine."""
        import safetensors.numpy

        dense = {name: np.ascontiguousarray(array) for name, array in self._arrays.items()}
        return bytes(safetensors.numpy.save(dense))

    @classmethod
    def from_bytes(cls, data: bytes) -> State:
        """The state that `to_bytes` gave.

        Raises:
            FormatError: `data` is something else.
        """
        import safetensors
        import safetensors.numpy

        try:
            return cls(safetensors.numpy.load(bytes(data)))
        except (safetensors.SafetensorError, KeyError, TypeError, ValueError) as error:
            raise errors.not_a_state(error) from None
