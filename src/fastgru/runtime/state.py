"""`State`: the states of all recurrent nodes of a model, between calls."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from fastgru import errors

Array = np.ndarray[Any, Any]
_KEY = "fastgru"


class State(Mapping[str, Array]):
    """The states of the recurrent nodes by their names: arrays (layers * directions, B, H).

    The arrays can be read and written to. A model's call does not change the state that it is given.

    Some models compute the initial state of a sequence, such as a decoder that begins with a context. Before the first
    step of a sequence such states have no numbers yet: they are NaN in rows that begin anew, and the next call computes
    them. If you write numbers there, the next call begins with these.

    Args:
        arrays: the arrays by name. They are copied.

    Attributes:
        marks: (B,) booleans: rows in which NaN stand for a state that the next call computes; None: there are none.

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
    marks: Array | None = None

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

    @classmethod
    def beginning(cls, first: Mapping[str, Array], batch: int) -> State:
        """A state of `batch` rows that begin anew."""
        state = cls.of_arrays({name: np.repeat(one, batch, axis=1) for name, one in first.items()}, first)
        state._mark(slice(None))
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

    def begins_anew(self, name: str) -> Array | None:
        """The rows (B,) of a node whose initial state the next call computes, as booleans; None: no row.

        Raises:
            ArgumentError: there is no such node.
        """
        if name not in self._arrays:
            raise errors.unknown_state(name, self._arrays)
        if self.marks is None:
            return None
        rows = self.marks & np.isnan(self._arrays[name]).all(axis=(0, 2))
        return rows if rows.any() else None

    def reset(self, rows: int | Sequence[int] | Array | None = None) -> None:
        """Sets states to the initial ones: zeros, those that the model has learned, or those that the next call finds.

        A state that you made of arrays has no model, and is set to zeros.

        Args:
            rows: which rows of the batch: an index, indices or a mask (B,); None: all.
        """
        places = slice(None) if rows is None else rows
        for name, array in self._arrays.items():
            array[:, places] = self._first.get(name, 0)
        self._mark(places)

    def _mark(self, rows: Any) -> None:
        """Notes that NaN in these rows stand for what the next call begins with."""
        if not self._unknown():
            return
        if self.marks is None:
            self.marks = np.zeros(self.batch or 0, bool)
        self.marks[rows] = True

    def _unknown(self) -> list[str]:
        """The nodes of which it is not known here what sequences begin with."""
        return [name for name, first in self._first.items() if np.isnan(first).any()]

    def copy(self) -> State:
        """A copy, which shares no arrays."""
        return self._like({name: array.copy() for name, array in self._arrays.items()}, slice(None))

    def select(self, rows: Sequence[int] | Array) -> State:
        """The state of some rows of the batch, in this order: for streams that end."""
        return self._like({name: array[:, rows].copy() for name, array in self._arrays.items()}, rows)

    def _like(self, arrays: dict[str, Array], rows: Any) -> State:
        state = State.of_arrays(arrays, self._first)
        state.marks = None if self.marks is None else self.marks[rows].copy()
        return state

    def to_bytes(self) -> bytes:
        """The state as bytes (a safetensors file), for `from_bytes`, on any machine."""
        import safetensors.numpy

        dense = {name: np.ascontiguousarray(array) for name, array in self._arrays.items()}
        known = [name for name in self._arrays if not np.any(self._first.get(name, 0))]
        if len(known) == len(self._arrays):
            return bytes(safetensors.numpy.save(dense))
        rows = [] if self.marks is None else np.flatnonzero(self.marks).tolist()
        notes = {"begin": [name for name in self._arrays if name not in known], "anew": rows}
        return bytes(safetensors.numpy.save(dense, {_KEY: json.dumps(notes)}))

    @classmethod
    def from_bytes(cls, data: bytes) -> State:
        """The state that `to_bytes` gave.

        Raises:
            FormatError: `data` is something else.
        """
        import safetensors
        import safetensors.numpy

        data = bytes(data)
        try:
            state = cls(safetensors.numpy.load(data))
            header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
            notes = header.get("__metadata__", {}).get(_KEY)
            if notes is not None:
                state._read_notes(json.loads(notes))
        except (safetensors.SafetensorError, KeyError, TypeError, ValueError, RecursionError) as error:
            raise errors.not_a_state(error) from None
        return state

    def _read_notes(self, notes: Any) -> None:
        """What a file says of beginnings: the nodes that do not begin with zeros, and rows that begin anew."""
        names, rows = notes["begin"], notes["anew"]
        if not all(type(row) is int and 0 <= row < (self.batch or 0) for row in rows):
            raise ValueError("rows that begin anew are not among those of the batch")
        if not all(self._arrays[name].dtype.kind == "f" for name in names):
            raise ValueError("a state is not of numbers")
        self._first = {name: np.full_like(self._arrays[name][:, :1], np.nan) for name in names}
        if rows:
            self._mark(rows)
