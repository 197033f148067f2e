"""Names of arrays, as frameworks nest and lengthen them: paths, the two directions, the names of one cell."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from fastgru.errors import ArgumentError

Path = tuple[str, ...]
Paths = dict[Path, Any]

_DEEPEST = 32
_DIRECTIONS = ("forward", "backward")


def flattened(arrays: Any, path: Path = ()) -> Paths:
    """The arrays of nested mappings by path; arrays that are None are left out.

    Names are split at ``/`` and ``.``; the ``:0`` at the end of TensorFlow's names is removed; tuples are paths.

    Raises:
        ArgumentError: something else than a mapping, nested too deeply, or the same path twice.

    Example:
        >>> from fastgru.convert.names import flattened
        >>> flattened({"params": {"ir": {"kernel": 1}}, "gru/bias:0": 2, "b": None})
        {('params', 'ir', 'kernel'): 1, ('gru', 'bias'): 2}
    """
    if not isinstance(arrays, Mapping):
        raise ArgumentError(
            f"a layer is of type {type(arrays).__name__}. Expected its arrays by name, for example a dict. "
            'For the list that Keras\' get_weights() gives: dict(zip(("kernel", "recurrent_kernel", "bias"), weights)).'
        )
    found: Paths = {}
    for key, value in arrays.items():
        parts = key if isinstance(key, tuple) else re.split(r"[/.]", str(key).removesuffix(":0"))
        inner = (*path, *map(str, parts))
        if len(inner) > _DEEPEST:
            raise ArgumentError(
                f"the name {'/'.join(inner)[:200]!r} is nested too deeply. Pass the arrays of one layer."
            )
        news = flattened(value, inner) if isinstance(value, Mapping) else {} if value is None else {inner: value}
        if twice := [name for name in news if name in found]:
            raise ArgumentError(f"there are two arrays with the name {'/'.join(twice[0])!r}. Pass one of them.")
        found |= news
    return found


def directions(paths: Paths) -> list[Paths]:
    """The arrays of each direction: those with ``forward`` and ``backward`` in their paths, or all of them.

    Example:
        >>> from fastgru.convert.names import directions
        >>> directions({("forward_gru", "bias"): 1, ("backward_gru", "bias"): 2})
        [{('forward_gru', 'bias'): 1}, {('backward_gru', 'bias'): 2}]
    """
    sides: dict[str, Paths] = {side: {} for side in _DIRECTIONS}
    for path, array in paths.items():
        of_path = [side for side in _DIRECTIONS if any(re.match(rf"{side}(_|$)", part) for part in path)]
        if len(of_path) != 1:
            return [paths]
        sides[of_path[0]][path] = array
    return [sides[side] for side in _DIRECTIONS] if all(sides.values()) else [paths]


def last_parts(paths: Paths, wanted: Sequence[str]) -> dict[str, Any]:
    """The arrays by the ends of their paths, as many parts as `wanted` names have.

    Raises:
        ArgumentError: arrays of several layers.

    Example:
        >>> from fastgru.convert.names import last_parts
        >>> last_parts({("gru", "gru_cell", "bias"): 1}, ["kernel", "bias"])
        {'bias': 1}
    """
    parts = wanted[0].count("/") + 1
    prefixes = sorted({"/".join(path[:-parts]) for path in paths})
    if len(prefixes) > 1:
        raise ArgumentError(
            f"there are arrays under {len(prefixes)} names: {', '.join(map(repr, prefixes))[:200]}. Expected those "
            "of one layer. Pass stacked layers as a list, and two directions as {'forward': ..., 'backward': ...}."
        )
    return {"/".join(path[-parts:]): array for path, array in paths.items()}
