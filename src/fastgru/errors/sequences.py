"""Errors for wrong lengths and resets."""

from __future__ import annotations

from collections.abc import Sequence

from fastgru.errors.classes import SequenceError, SequenceTypeError


def no_sequence_values(name: str, values: object) -> SequenceTypeError:
    """For lengths or a reset mask that cannot be converted to a tensor."""
    return SequenceTypeError(
        f"`{name}` is a {type(values).__name__} that cannot be converted to a tensor. Expected a list or a tensor."
    )


def lengths_type(dtype: object) -> SequenceTypeError:
    """For lengths that are not integers."""
    return SequenceTypeError(f"`lengths` has dtype {dtype}. Expected integers, int32 or int64; call .long() on it.")


def lengths_count(shape: Sequence[int], batch: int) -> SequenceError:
    """For a wrong number of lengths."""
    return SequenceError(
        f"`lengths` has shape {tuple(shape)}. Expected ({batch},): one length for each of the {batch} sequences."
    )


def length_range(index: int, length: int, steps: int) -> SequenceError:
    """For a length out of range."""
    return SequenceError(
        f"`lengths[{index}]` is {length}. Expected 0 to {steps}, because the input has {steps} steps. "
        "Count the steps without padding, and check `batch_first`."
    )


def lengths_of_packed() -> SequenceError:
    """For lengths together with a PackedSequence."""
    return SequenceError(
        "`lengths` was given together with packed data, which has its own lengths. Pass the padded tensor with "
        "`lengths`, or the PackedSequence alone."
    )


def lengths_of_jagged() -> SequenceError:
    """For lengths together with a nested tensor."""
    return SequenceError(
        "`lengths` was given together with a nested tensor, which has its own lengths. Pass the padded tensor with "
        "`lengths`, or the nested tensor alone."
    )


def reset_type(dtype: object) -> SequenceTypeError:
    """For a reset mask that is not boolean."""
    return SequenceTypeError(f"`reset` has dtype {dtype}. Expected booleans; call .bool() on it.")


def reset_shape(got: Sequence[int], expected: Sequence[int], layout: str) -> SequenceError:
    """For a reset mask of the wrong shape."""
    return SequenceError(
        f"`reset` has shape {tuple(got)}. Expected {layout} = {tuple(expected)}, one boolean for every step of every "
        "sequence, in the layout of the input."
    )


def reset_state_alone() -> SequenceError:
    """For a `reset_state` without `reset`."""
    return SequenceError(
        "`reset_state` was given without `reset`. Pass the mask of steps at which the state is reset, or omit it."
    )


def reset_state_shape(got: Sequence[int], expected: tuple[int, int, int]) -> SequenceError:
    """For a `reset_state` of the wrong shape."""
    cells, batch, hidden = expected
    return SequenceError(
        f"`reset_state` has shape {tuple(got)}. Expected ({cells}, {hidden}), one state for every sequence, or "
        f"({cells}, {batch}, {hidden})."
    )
