"""The table of entry points."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from doors.draw import Draw
from doors.sides import Side

Body = Callable[[Draw, Side], None]


class Entrance(NamedTuple):
    """One way into the package.

    Attributes:
        run: draws arguments, calls, and writes down what came out into `side.found`.
        other: the side whose outcome is the right one; None where only crashes and inner errors are wrong.
        share: how often it is drawn.
    """

    run: Body
    other: str | None
    share: int


ENTRANCES: dict[str, Entrance] = {}


def entrance(other: str | None, share: int = 2) -> Callable[[Body], Body]:
    """Adds a function under its own name."""

    def add(run: Body) -> Body:
        ENTRANCES[run.__name__] = Entrance(run, other, share)
        return run

    return add
