"""Where ours and the other side differ on purpose, and why."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from doors.registry import ENTRANCES
from doors.sides import REFERENCE
from fastgru import errors


class Exemption(NamedTuple):
    """A difference that is meant.

    Attributes:
        reason: where it is promised, or why it cannot be otherwise.
        covers: of the draw, our outcome and theirs, whether this is such a difference.
    """

    reason: str
    covers: Callable[[Any, Any, Any], bool]


def exemption(draw: Any, ours: Any, theirs: Any) -> str | None:
    """The reason why these outcomes may differ, or None."""
    return next((one.reason for one in EXEMPTIONS if one.covers(draw, ours, theirs)), None)


def _refuses(draw: Any, ours: Any, theirs: Any) -> bool:
    is_one = draw.name.entrance in ("frozen", "stepper")
    return is_one and isinstance(ours.error, (errors.FrozenError, errors.ArgumentError))


def _falls_over_an_index(draw: Any, ours: Any, theirs: Any) -> bool:
    return isinstance(theirs.error, IndexError) and isinstance(ours.error, errors.FastGRUError)


def _is_of_a_bias(draw: Any, ours: Any, theirs: Any) -> bool:
    is_bias = any(note.startswith("of bias") for note in draw.notes)
    return is_bias and theirs.error is None and isinstance(ours.error, errors.FastGRUError)


def _is_of_the_schema(draw: Any, ours: Any, theirs: Any) -> bool:
    return str(ours.error).startswith("fastgru::") and theirs.error is not None


def _is_beyond_the_reference(draw: Any, ours: Any, theirs: Any) -> bool:
    has_memory = not any(word in note for note in draw.notes for word in ("freed", "storage", "zero", "resized"))
    is_torchs = theirs.error is not None and not isinstance(theirs.error, errors.FastGRUError)
    return ENTRANCES[draw.name.entrance].other == REFERENCE and ours.error is None and is_torchs and has_memory


EXEMPTIONS: list[Exemption] = [
    Exemption("frozen layers and steppers refuse what they cannot pack or watch: docs/streaming.md", _refuses),
    Exemption("torch falls over an index of its own; ours says what is wrong with the sizes", _falls_over_an_index),
    Exemption("torch promotes and broadcasts biases of other types and sizes; ours names the wrong one", _is_of_a_bias),
    Exemption("torch checks an operator's arguments by its schema before ours is asked", _is_of_the_schema),
    Exemption(
        "torch's operators cannot take this one by one, our core or torch's own GRU can", _is_beyond_the_reference
    ),
]
