"""The axes of arrays in a program of another framework, which become those of a graph.

Such programs transpose, squeeze and reshape. A graph has no such operations: its values are vectors for each step or
for each sequence. So this module keeps track of each axis of each array, until its meaning is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from functools import reduce
from typing import NamedTuple

from fastgru.errors import GraphError, clashing_axes, merged_axes


class Role(str, Enum):
    """What an axis stands for."""

    TIME = "time"
    BATCH = "batch"
    FEATURES = "features"
    UNIT = "an axis of size 1"
    DIRECTIONS = "directions"
    CELLS = "layers and directions"


LETTERS = {Role.TIME: "T", Role.BATCH: "B", Role.FEATURES: "F"}


class Size(NamedTuple):
    """A product of a number and of sizes that are not fixed, by name in order."""

    number: int
    names: tuple[str, ...] = ()

    def times(self, other: Size) -> Size:
        """The product of two."""
        return Size(self.number * other.number, tuple(sorted(self.names + other.names)))


class Axis:
    """One axis of one or more arrays; its role may become known later."""

    def __init__(self, size: Size, role: Role | None = None) -> None:
        self.size = size
        self._role = role
        self._same: Axis | None = None

    def find(self) -> Axis:
        """The axis that stands for all that are known to be the same."""
        return self if self._same is None else self._same.find()

    @property
    def role(self) -> Role | None:
        """What it stands for; None if that is not known yet."""
        return self.find()._role

    def become(self, role: Role, where: str) -> None:
        """Gives the axis a role.

        Raises:
            GraphError: it has another.
        """
        own = self.find()
        if own._role not in (None, role):
            raise clashing_axes(where, str(own._role.value if own._role else ""), role.value)
        own._role = role

    def join(self, other: Axis, where: str) -> None:
        """Makes two axes the same.

        Raises:
            GraphError: they stand for different things.
        """
        mine, theirs = self.find(), other.find()
        if mine is theirs:
            return
        if mine._role is not None:
            theirs.become(mine._role, where)
        mine._same = theirs


class Merged(Axis):
    """Axes that were made one by a reshape, from the outer to the inner."""

    def __init__(self, parts: Sequence[Axis]) -> None:
        super().__init__(product(parts))
        self.parts = tuple(parts)

    def become(self, role: Role, where: str) -> None:
        """Gives all of them together a role, which that of time or of features is not.

        Raises:
            ConversionError: it is one of these.
        """
        if role in (Role.TIME, Role.FEATURES):
            raise merged_axes(where, f"of {role.value}")
        super().become(role, where)


def unit() -> Axis:
    """A new axis of size 1."""
    return Axis(Size(1), Role.UNIT)


def is_unit(axis: Axis) -> bool:
    """Whether this is an axis of size 1 that a program has inserted."""
    return axis.role is Role.UNIT


def joined(first: Sequence[Axis], second: Sequence[Axis], where: str) -> tuple[Axis, ...]:
    """The axes of the result of an elementwise operation: matched from the last on, where sizes of 1 give way.

    Raises:
        GraphError: axes stand for different things.
    """
    count = max(len(first), len(second))
    result = []
    for place, (mine, theirs) in enumerate(zip(_padded(first, count), _padded(second, count), strict=True)):
        if is_unit(mine):
            result.append(theirs)
        elif is_unit(theirs):
            result.append(mine)
        elif (mine.size == Size(1)) != (theirs.size == Size(1)):
            one, wide = (mine, theirs) if mine.size == Size(1) else (theirs, mine)
            _stretch(one, wide, where, is_last=place == count - 1)
            result.append(wide)
        else:
            mine.join(theirs, where)
            result.append(mine)
    return tuple(result)


def _stretch(one: Axis, wide: Axis, where: str, *, is_last: bool) -> None:
    """Finds what an axis of size 1 stands for that meets one of another size: one feature for all, or nothing."""
    if one.role is None:
        is_feature = wide.role is Role.FEATURES or (wide.role is None and is_last)
        one.become(Role.FEATURES if is_feature else Role.UNIT, where)
    if one.role is Role.FEATURES:
        wide.become(Role.FEATURES, where)
    elif one.role is not Role.UNIT:
        one.join(wide, where)


def _padded(axes: Sequence[Axis], count: int) -> list[Axis]:
    return [unit() for _ in range(count - len(axes))] + list(axes)


def flattened(axes: Sequence[Axis]) -> list[Axis]:
    """The axes with merged ones taken apart."""
    flat: list[Axis] = []
    for axis in axes:
        flat += flattened(axis.parts) if isinstance(axis, Merged) else [axis]
    return flat


def reshaped(axes: Sequence[Axis], sizes: Sequence[Size | None]) -> tuple[Axis, ...] | None:
    """The axes after a reshape to `sizes`, of which one may be None, for the rest; None if it cuts an axis.

    Neighbouring axes may become one and be taken apart again, and units may come and go.

    Example:
        >>> from fastgru.graph.axes import Axis, Size, reshaped
        >>> sizes = Size(1, ("T",)), Size(1, ("B",)), Size(8)
        >>> time, batch, features = (Axis(size) for size in sizes)
        >>> merged = reshaped([time, batch, features], [None, Size(8)])
        >>> reshaped(merged, sizes) == (time, batch, features)
        True
    """
    left = [axis for axis in flattened(axes) if not is_unit(axis)]
    gap = sizes.index(None) if None in sizes else len(sizes)
    front, back = [], []
    for size in sizes[:gap]:
        front.append(_take(left, size, from_end=False))
    for size in reversed(sizes[gap + 1 :]):
        back.append(_take(left, size, from_end=True))
    if None in front or None in back or (left and gap == len(sizes)):
        return None
    rest = [_as_one(left)] if gap < len(sizes) else []
    return tuple([axis for axis in [*front, *rest, *reversed(back)] if axis is not None])


def _take(left: list[Axis], size: Size | None, *, from_end: bool) -> Axis | None:
    """Removes as few axes as have this size together, and makes them one; None if there are none."""
    if size == Size(1) and not (left and left[-1 if from_end else 0].size == Size(1)):
        return unit()
    for count in range(1, len(left) + 1):
        taken = left[-count:] if from_end else left[:count]
        if product(taken) == size:
            del left[-count if from_end else 0 : None if from_end else count]
            return _as_one(taken)
    return None


def _as_one(axes: Sequence[Axis]) -> Axis:
    if not axes:
        return unit()
    return axes[0] if len(axes) == 1 else Merged(axes)


def product(axes: Sequence[Axis]) -> Size:
    """The size of several axes as one."""
    return reduce(Size.times, (axis.size for axis in axes), Size(1))


def check_vectors(axes: Sequence[Axis], where: str) -> None:
    """Makes the last axis that of the features.

    Raises:
        GraphError: it stands for something else.
    """
    if not axes:
        raise GraphError(f"{where} reads a single number. Expected vectors.")
    axes[-1].become(Role.FEATURES, where)
